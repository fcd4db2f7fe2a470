//! Sweeping up what nobody looks at any more: rows of workers that are long gone, and finished jobs.
//! Transactions, their attempts and what people did are kept. And a look for what must not be: a
//! transaction that is due and has no job.

use std::time::Duration;

use sqlx::PgExecutor;
use tokio::time::sleep;
use uuid::Uuid;

use crate::{
    database::bounded_pool::BoundedPool,
    job::{Job, POSTING, VERIFICATION},
    monitoring::counts::compact,
};

/// Between sweeps.
const SWEEP: Duration = Duration::from_secs(60);
/// Transactions that are looked at for their job in one clean_up: those that have been due for longest.
const LOOKED_AT: i64 = 1000;

/// Sweeps now and then, for ever. Any number of processes may do so.
pub async fn run_forever(pool: &BoundedPool) {
    loop {
        if let Err(error) = clean_up(pool).await {
            tracing::warn!(%error, "sweeping has to wait");
        }
        sleep(SWEEP).await;
    }
}

/// Removes what has been over for an hour, puts the counts together, and gives a job to what has been due for
/// half a minute and has none.
///
/// # Errors
/// Where PostgreSQL does not answer.
pub async fn clean_up(pool: impl PgExecutor<'_> + Copy) -> Result<(), sqlx::Error> {
    sqlx::query!("delete from workers where expires_at < now() - interval '1 hour'")
        .execute(pool)
        .await?;
    // Ours are deleted where they end. What apalis itself calls finished would stay for ever.
    sqlx::query!(
        "delete from apalis.jobs
         where status in ('Done', 'Killed', 'Failed') and coalesce(done_at, run_at) < now() - interval '1 hour'"
    )
    .execute(pool)
    .await?;
    // A job that is locked still refers to its worker: apalis has to make it free first.
    sqlx::query!(
        "delete from apalis.workers w
         where last_seen < now() - interval '1 hour'
            and not exists (select from apalis.jobs where lock_by = w.id)"
    )
    .execute(pool)
    .await?;
    while compact(pool).await? {}
    give_jobs(pool).await
}

/// Every change of a transaction writes its job in the same statement, so there is nothing to give. Where
/// there is, a hand has been in the tables, or we have a bug; either way nothing that was accepted may
/// lie there for ever.
async fn give_jobs(pool: impl PgExecutor<'_> + Copy) -> Result<(), sqlx::Error> {
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
        LOOKED_AT,
    )
    .fetch_all(pool)
    .await?;
    let job_ids: Vec<String> = late.iter().copied().map(Job::id_of).collect();
    let given = sqlx::query!(
        r#"
        with late as (
            select t.id, t.doubt_since, t.next_attempt_at, given.job_id
            from unnest($1::uuid[], $2::text[]) as given (id, job_id)
            join transactions t on t.id = given.id
            where t.claimed_by is null and t.next_attempt_at is not null
                and not exists (select from apalis.jobs where jobs.id = given.job_id)
            order by t.id
            -- Whoever changes the transaction writes its job.
            for update of t skip locked
        )
        insert into apalis.jobs (id, job_type, job, status, attempts, max_attempts, run_at, priority)
        select job_id, case when doubt_since is null then $3 else $4 end,
            convert_to('"' || id || '"', 'UTF8'), 'Pending', 0, 1, next_attempt_at, 0
        from late
        on conflict do nothing
        "#,
        &late,
        &job_ids,
        POSTING,
        VERIFICATION,
    )
    .execute(pool)
    .await?;
    if given.rows_affected() > 0 {
        tracing::error!(transactions = given.rows_affected(), "were due and had no job");
    }
    Ok(())
}
