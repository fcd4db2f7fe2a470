//! Housekeeping: it deletes the rows of workers that ended long ago and finished jobs, compacts the counts, and
//! creates the job of a due transaction that has none, which should never happen. Transactions, their attempts
//! and the audit are kept.

use std::time::Duration;

use sqlx::PgExecutor;
use tokio::time::sleep;
use uuid::Uuid;

use crate::{
    database::BoundedPool,
    job::{Job, POSTING, VERIFICATION, queue_names},
    monitoring::compact,
    queries::forget_readable,
};

/// The delay between two passes.
const INTERVAL: Duration = Duration::from_secs(60);
/// How many transactions of each kind are checked for their job in one pass: the oldest due ones.
const MAX_CHECKED: i64 = 1000;

/// Runs a pass from time to time, for ever. Any number of processes may do so.
pub(crate) async fn run_forever(pool: &BoundedPool) {
    loop {
        if let Err(error) = clean_up(pool).await {
            tracing::warn!(%error, "a housekeeping pass failed");
        }
        sleep(INTERVAL).await;
    }
}

/// One pass: deletes what ended an hour ago, compacts the counts, and creates a job for each transaction that
/// has been due for half a minute and has none.
///
/// # Errors
/// If PostgreSQL does not answer.
pub async fn clean_up(pool: impl PgExecutor<'_> + Copy) -> Result<(), sqlx::Error> {
    sqlx::query!("delete from workers where expires_at < now() - interval '1 hour'")
        .execute(pool)
        .await?;
    // What another program has in apalis's tables is left alone.
    let queues = queue_names();
    // Our statements delete a job when it ends. A job that apalis itself marks as finished would stay for ever.
    sqlx::query!(
        "delete from apalis.jobs
         where job_type = any ($1) and status in ('Done', 'Killed', 'Failed')
            and coalesce(done_at, run_at) < now() - interval '1 hour'",
        &queues,
    )
    .execute(pool)
    .await?;
    // A locked job still refers to its worker: apalis has to release it first.
    sqlx::query!(
        "delete from apalis.workers w
         where worker_type = any ($1) and last_seen < now() - interval '1 hour'
            and not exists (select from apalis.jobs where lock_by = w.id)",
        &queues,
    )
    .execute(pool)
    .await?;
    while compact(pool).await? {}
    create_missing_jobs(pool).await?;
    forget_readable(pool).await
}

/// Every change of a transaction writes its job in the same statement, so no job should be missing. If one is,
/// the tables were edited by hand, or there is a bug; either way an accepted transaction must not stay
/// unprocessed for ever.
async fn create_missing_jobs(pool: impl PgExecutor<'_> + Copy) -> Result<(), sqlx::Error> {
    let late: Vec<Uuid> = sqlx::query_scalar!(
        r#"select id as "id!" from (
            (select id, next_attempt_at from transactions
             where state = 'pending' and next_attempt_at < now() - interval '30 seconds'
             order by next_attempt_at limit $1)
            union all
            (select id, next_attempt_at from transactions
             where state = 'in_doubt' and claimed_by is null
                and next_attempt_at < now() - interval '30 seconds'
             order by next_attempt_at limit $1)
        ) late"#,
        MAX_CHECKED,
    )
    .fetch_all(pool)
    .await?;
    let job_ids: Vec<String> = late.iter().copied().map(Job::id_of).collect();
    let created = sqlx::query!(
        r#"
        with late as (
            select t.id, t.doubt_since, t.next_attempt_at, given.job_id
            from unnest($1::uuid[], $2::text[]) as given (id, job_id)
            join transactions t on t.id = given.id
            where t.claimed_by is null and t.next_attempt_at is not null
                and not exists (
                    select from apalis.jobs where jobs.id = given.job_id and status <> 'Killed'
                )
            order by t.id
            -- A statement that changes the transaction writes its job.
            for update of t skip locked
        )
        insert into apalis.jobs (id, job_type, job, status, attempts, max_attempts, run_at, priority)
        select job_id, case when doubt_since is null then $3 else $4 end,
            convert_to('"' || id || '"', 'UTF8'), 'Pending', 0, 1, next_attempt_at, 0
        from late
        -- A worker has put a job aside that it could not read.
        on conflict (id) do update set
            job_type = excluded.job_type, job = excluded.job, status = 'Pending', attempts = 0,
            run_at = excluded.run_at, done_at = null, lock_by = null, lock_at = null
        where jobs.status = 'Killed'
        "#,
        &late,
        &job_ids,
        POSTING,
        VERIFICATION,
    )
    .execute(pool)
    .await?;
    if created.rows_affected() > 0 {
        tracing::error!(
            transactions = created.rows_affected(),
            "due transactions had no job; their jobs were created"
        );
    }
    Ok(())
}
