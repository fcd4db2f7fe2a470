-- What clients handed over, and where each of it stands. The row owns the state, the fence, the
-- attempt count and the due time; apalis only dispatches.

-- The number of the database transaction that makes a change. Commits become visible to the change
-- feed in an order that it can follow without missing one: see crates/gateway/src/changes.rs.
create function current_change() returns bigint
    language sql volatile
    as $$ select pg_current_xact_id()::text::bigint $$;

create table transactions (
    id uuid primary key,
    principal text not null,
    reference text,
    amount numeric not null check (amount > 0),
    currency text not null check (currency ~ '^[A-Z]{3}$'),
    description text,
    occurred_at timestamptz,
    source_account text,
    destination_account text,
    -- json, not jsonb: kept as it was checked, whatever the size of its numbers.
    metadata json,
    fingerprint bytea not null check (octet_length(fingerprint) = 32),

    state text not null default 'pending' check (
        state in ('pending', 'processing', 'completed', 'failed', 'in_doubt', 'rejected', 'cancelled')
    ),
    -- Raised by every claim and every recovery. A writer whose fence is stale changes nothing.
    fence bigint not null default 0,
    attempts integer not null default 0 check (attempts >= 0),
    -- Since the latest attempt.
    verifications integer not null default 0 check (verifications >= 0),
    lost_claims integer not null default 0 check (lost_claims >= 0),
    -- Since when nobody waits any more for the latest attempt, where it may have reached the posting
    -- service. Written with the attempt, for when its worker would give up at the latest: a worker
    -- that is lost tells nothing any more.
    doubt_since timestamptz,
    doubt_window text check (doubt_window in ('settle', 'visibility')),
    -- The run of a worker that holds it: workers.id.
    claimed_by uuid,
    next_attempt_at timestamptz default now(),
    error text,
    submitted_at timestamptz not null default now(),
    completed_at timestamptz,
    changed_in bigint not null default current_change(),

    constraint transactions_reference_per_principal unique (principal, reference),
    check ((doubt_since is null) = (doubt_window is null)),
    check ((state in ('completed', 'failed', 'rejected', 'cancelled')) = (completed_at is not null)),
    check (state <> 'pending' or (next_attempt_at is not null and claimed_by is null)),
    check (state <> 'processing' or claimed_by is not null),
    check (completed_at is null or (claimed_by is null and next_attempt_at is null))
);

-- The list, newest first, whole and by state; the second also counts the states.
create index transactions_by_age on transactions (submitted_at desc, id desc);
create index transactions_by_state on transactions (state, submitted_at desc, id desc);
create index transactions_by_change on transactions (changed_in);
create index transactions_claimed on transactions (claimed_by) where claimed_by is not null;
