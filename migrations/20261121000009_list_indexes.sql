-- A page of the list is found in about the same time whatever it is filtered by: see
-- crates/gateway/src/list.rs. Every index costs each transaction three entries: accepted, claimed, finished.

-- By currency, and by currency and state. 4 % more of the processor for a batch of 64.
create index transactions_by_currency on transactions (currency, state, submitted_at desc, id desc);

-- By attempts, and in one currency: of transactions that took more than a smooth course does, so that one
-- costs nothing. Those with twenty or more are one part.
create index transactions_by_attempts
    on transactions (state, least(attempts, 20), submitted_at desc, id desc) include (attempts)
    where attempts > case when state in ('processing', 'completed') then 1 else 0 end;
create index transactions_by_currency_and_attempts
    on transactions (currency, state, least(attempts, 20), submitted_at desc, id desc) include (attempts)
    where attempts > case when state in ('processing', 'completed') then 1 else 0 end;

-- The reference first, so that it is found without its principal, too; and no entry where there is none.
alter table transactions drop constraint transactions_reference_per_principal;
create unique index transactions_reference_per_principal on transactions (reference, principal)
    where reference is not null;
