-- Another program may use apalis in the same database. What earlier migrations changed of apalis was meant for our
-- queues, and changed those of the other program too: jobs with a priority were never fetched, and new jobs were not
-- announced. Now each change is for our queues alone.

create or replace function apalis.get_jobs(
    worker_id text,
    v_job_type text,
    v_job_count integer default 5
) returns setof apalis.jobs
    language plpgsql volatile
    as $$
    begin
        if v_job_type in ('transactions', 'verifications', 'bulk_retries') then
            -- As in the migration `fetch`. Ours have no priority other than 0.
            return query
            update apalis.jobs
            set status = 'Queued', lock_by = worker_id, lock_at = now()
            where id = any (array(
                select id
                from apalis.jobs
                where (status = 'Pending' or (status = 'Failed' and attempts < max_attempts))
                    and run_at < now()
                    and job_type = v_job_type
                    and priority = 0
                order by run_at
                limit v_job_count
                for update skip locked
            ))
            returning *;
        else
            -- As in apalis.
            return query
            with fetched as (
                select id
                from apalis.jobs
                where (status = 'Pending' or (status = 'Failed' and attempts < max_attempts))
                    and run_at < now()
                    and job_type = v_job_type
                order by priority desc, run_at
                limit v_job_count
                for update skip locked
            )
            update apalis.jobs j
            set status = 'Queued', lock_by = worker_id, lock_at = now()
            from fetched
            where j.id = fetched.id
            returning j.*;
        end if;
    end;
    $$;

-- As in apalis, but for our jobs, which are announced in another way: a NOTIFY would serialise the commits that accept.
drop trigger if exists notify_workers on apalis.jobs;
create trigger notify_workers after insert on apalis.jobs
    for each row when (new.job_type not in ('transactions', 'verifications', 'bulk_retries'))
    execute function apalis.notify_new_jobs();
