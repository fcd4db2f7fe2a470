-- Every job is written when it is accepted, fetched and finished, and pays for each index of apalis's
-- table. Two of them are there twice; two others hold every job, though they are asked only for those
-- that are locked, or have a key. All under apalis's names, so that its own migrations find them.

-- The same as jobs_pkey, and as idx_apalis_jobs_lock_by.
drop index if exists apalis.unique_job_id, apalis.lidx;

drop index if exists apalis.idx_apalis_jobs_lock_by, apalis.idx_jobs_idempotency_key;
create index idx_apalis_jobs_lock_by on apalis.jobs (lock_by) where lock_by is not null;
create unique index idx_jobs_idempotency_key on apalis.jobs (job_type, idempotency_key)
    where idempotency_key is not null;
