-- The runs of worker processes. A run whose lease has expired is dead, and what it had claimed is
-- taken back from it. The lease is one row a process, so that renewing it costs the same whatever
-- the process has claimed.

create table workers (
    id uuid primary key,
    started_at timestamptz not null default now(),
    expires_at timestamptz not null
);
