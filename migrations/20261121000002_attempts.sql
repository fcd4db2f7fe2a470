-- One row for each POST to the posting service, committed before the POST leaves, and one for each
-- verification. Rows of their own, so that the timeline of a transaction is read, not guessed.

create table attempts (
    transaction_id uuid not null references transactions (id) on delete cascade,
    -- The fence of the claim that made it: a claim makes one POST at most.
    fence bigint not null,
    started_at timestamptz not null default clock_timestamp(),
    ended_at timestamptz,
    outcome text check (outcome in ('posted', 'refused', 'not_sent', 'unknown')),
    http_status integer,
    transport_error text,
    answer_excerpt text,
    primary key (transaction_id, fence),
    check ((ended_at is null) = (outcome is null))
);

-- Health asks for the last minute only. BRIN costs the posting path next to nothing.
create index attempts_by_start on attempts using brin (started_at) with (pages_per_range = 16);

create table verifications (
    id bigint generated always as identity primary key,
    transaction_id uuid not null,
    -- The attempt that it is about.
    fence bigint not null,
    started_at timestamptz not null,
    ended_at timestamptz not null,
    finding text not null check (finding in ('found', 'mismatch', 'absent', 'failed')),
    http_status integer,
    error text,
    foreign key (transaction_id, fence) references attempts (transaction_id, fence) on delete cascade
);

create index verifications_by_attempt on verifications (transaction_id, fence);
