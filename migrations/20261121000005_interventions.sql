-- What people do to transactions and to posting as a whole, and the record of it.

-- Posting is paused while there is a row. In the database, so that every worker obeys, and one that
-- starts later too.
create table posting_pause (
    singleton boolean primary key default true check (singleton),
    paused_at timestamptz not null default clock_timestamp(),
    paused_by text not null,
    reason text
);

-- A retry of all transactions that pass a filter. It goes through them from the newest on, so what
-- it has retried does not come up again.
create table bulk_retries (
    id uuid primary key,
    principal text not null,
    reason text,
    filter jsonb not null,
    requested_at timestamptz not null default clock_timestamp(),
    -- How far it has come: the last transaction that it looked at.
    at_submitted_at timestamptz,
    at_id uuid,
    examined bigint not null default 0,
    retried bigint not null default 0,
    finished_at timestamptz,
    check ((at_submitted_at is null) = (at_id is null))
);

-- Written in the statement that makes the change.
create table interventions (
    id bigint generated always as identity primary key,
    at timestamptz not null default clock_timestamp(),
    principal text not null,
    action text not null check (action in ('cancel', 'retry', 'resolve', 'pause', 'resume')),
    -- None where it was about posting as a whole.
    transaction_id uuid references transactions (id) on delete cascade,
    from_state text,
    to_state text,
    reason text,
    bulk_retry_id uuid references bulk_retries (id) on delete cascade,
    check ((transaction_id is null) = (action in ('pause', 'resume')))
);

create index interventions_by_transaction on interventions (transaction_id)
    where transaction_id is not null;

-- Each worker's circuit breaker, so that every process can tell of it.
alter table workers add column circuit text not null default 'closed'
    check (circuit in ('closed', 'open', 'half_open'));

-- Transactions in doubt have a queue of their own: verification goes on while nothing is posted.
update apalis.jobs set job_type = 'verifications'
from transactions
where jobs.job_type = 'transactions' and transactions.doubt_since is not null
    and convert_from(jobs.job, 'UTF8') = '"' || transactions.id || '"';
