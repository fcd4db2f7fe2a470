-- A client that repeats a submission says so with a key of its own: one key, one transaction, for as long
-- as the transaction is kept. And the trace that a submission belongs to goes on to the posting service.
alter table transactions
    add column idempotency_key text check (octet_length(idempotency_key) between 1 and 255),
    -- W3C Trace Context, version 00, as the client sent it.
    add column traceparent text check (traceparent ~ '^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$');

-- The key first, so that it is found without its principal, too.
create unique index transactions_idempotency_key_per_principal on transactions (idempotency_key, principal)
    where idempotency_key is not null;
