-- apalis as we need it. Its own migrations have run before ours.

-- A wake-up comes from within the process and an interval stands behind it. The NOTIFY of every
-- inserted row would serialise the commits of the accept path.
drop trigger if exists notify_workers on apalis.jobs;

-- Joined to a sub-select, the planner of PostgreSQL 15 scans the whole table for each fetch; given
-- an array it looks the few rows up by their primary key.
create or replace function apalis.get_jobs(
    worker_id text,
    v_job_type text,
    v_job_count integer default 5
) returns setof apalis.jobs
    language sql volatile
    as $$
        update apalis.jobs
        set status = 'Queued', lock_by = worker_id, lock_at = now()
        where id = any (array(
            select id
            from apalis.jobs
            where (status = 'Pending' or (status = 'Failed' and attempts < max_attempts))
                and run_at < now()
                and job_type = v_job_type
            order by priority desc, run_at asc
            limit v_job_count
            for update skip locked
        ))
        returning *;
    $$;
