//! The lease of a worker, by the database's clock. Every worker renews its own and reclaims the claims of
//! workers whose lease has expired.

use std::{collections::HashSet, time::Duration};

use domain::{breaker::Report, protocol::Policy};
use sqlx::PgExecutor;
use uuid::Uuid;

use super::{ReclaimCause, reclaim};
use crate::{
    database::{BoundedPool, interval},
    job::{Queue, queue_names},
    monitoring::Requests,
};

/// How long a worker that does not renew its lease still counts as alive. Longer than [`RENEWAL`], the
/// `RECOVERY_TIMEOUT` in `posting/heartbeat.rs` and one statement together: otherwise the lease of a live
/// worker could expire between two renewals.
pub const LEASE: Duration = Duration::from_secs(5);
/// How often a worker renews its lease and checks for dead workers.
pub const RENEWAL: Duration = Duration::from_secs(1);
/// How long an apalis worker that does not show that it is alive keeps the jobs that it has fetched.
const SILENT: Duration = Duration::from_secs(10);
/// Claims that one statement reclaims.
const BATCH: i64 = 500;

/// Begins or renews the lease of a worker, and records the state of its circuit breaker and its requests of
/// the last minute.
pub async fn renew(
    pool: &BoundedPool,
    worker_id: Uuid,
    breaker: Report,
    requests: Requests,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into workers (id, expires_at, circuit, attempts_ended, attempts_posted,
            verifications_ended, verifications_failed, credentials_refused)
         values ($1, clock_timestamp() + $2, $3, $4, $5, $6, $7, $8)
         on conflict (id) do update set
            expires_at = excluded.expires_at, circuit = excluded.circuit,
            credentials_refused = excluded.credentials_refused,
            attempts_ended = excluded.attempts_ended, attempts_posted = excluded.attempts_posted,
            verifications_ended = excluded.verifications_ended,
            verifications_failed = excluded.verifications_failed",
        worker_id,
        interval(LEASE)?,
        breaker.circuit.as_str(),
        i64::from(requests.attempts),
        i64::from(requests.posted),
        i64::from(requests.verifications),
        i64::from(requests.failed_verifications),
        breaker.credentials_refused,
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// What a worker finds when it looks around.
#[derive(Debug)]
pub struct Sighting {
    /// Whether posting is paused.
    pub paused: bool,
    /// Whether a worker may have died with claims.
    pub has_expired_claims: bool,
    /// Whether a worker may have died, or hang, with jobs that it has fetched and not begun.
    pub has_stranded_jobs: bool,
    /// Whether there are claims of this worker besides those of its executions in flight.
    pub has_unknown_claims: bool,
    /// For each queue, in how many seconds its next job is due: zero or less if one is due, infinity if it has
    /// none.
    due_in_seconds: Vec<f64>,
}

impl Sighting {
    /// The queues with a job that is due, or will be in less than `within`, and the time until then.
    pub fn due_within(&self, within: Duration) -> impl Iterator<Item = (Queue, Duration)> {
        let queues = Queue::ALL.into_iter().zip(&self.due_in_seconds);
        queues
            .filter(move |(_, seconds)| **seconds < within.as_secs_f64())
            .map(|(queue, seconds)| (queue, Duration::from_secs_f64(seconds.max(0.0))))
    }
}

/// Looks for everything that a worker does not learn otherwise, in one statement: an idle one needs no other.
/// It is apart from the renewal of the lease, which must not wait for it.
pub async fn look(
    pool: &BoundedPool,
    worker_id: Uuid,
    in_flight: &[Uuid],
) -> Result<Sighting, sqlx::Error> {
    sqlx::query_as!(
        Sighting,
        r#"select
            exists (select from posting_pause) as "paused!",
            exists (
                select from transactions t
                where t.claimed_by is not null and not exists (
                    select from workers w where w.id = t.claimed_by and w.expires_at > clock_timestamp()
                )
            ) as "has_expired_claims!",
            exists (
                select from apalis.workers a
                where a.worker_type = any ($4) and exists (select from apalis.jobs j where j.lock_by = a.id and j.status = 'Queued')
                    and (a.last_seen < now() - $3::interval or not exists (
                        select from workers w
                        where w.id::text = left(a.id, 36) and w.expires_at > clock_timestamp()
                    ))
            ) as "has_stranded_jobs!",
            exists (
                select from transactions where claimed_by = $1 and id <> all ($2)
            ) as "has_unknown_claims!",
            array(
                select coalesce(extract(epoch from (
                    select run_at from apalis.jobs
                    where job_type = queue and priority = 0
                        and (status = 'Pending' or (status = 'Failed' and attempts < max_attempts))
                    order by run_at limit 1
                ) - clock_timestamp())::float8, 'infinity')
                from unnest($4::text[]) with ordinality as queues (queue, position)
                order by position
            ) as "due_in_seconds!""#,
        worker_id,
        in_flight,
        interval(SILENT)?,
        &queue_names(),
    )
    .fetch_one(pool)
    .await
}

/// Releases the jobs that dead or hanging workers have fetched and not begun. Returns how many there were.
pub async fn release_stranded_jobs(pool: &BoundedPool) -> Result<u64, sqlx::Error> {
    let released = sqlx::query!(
        "update apalis.jobs set status = 'Pending', lock_by = null, lock_at = null
         where status = 'Queued' and lock_by in (
            select a.id from apalis.workers a
            where a.worker_type = any ($2) and (a.last_seen < now() - $1::interval or not exists (
                select from workers w
                where w.id::text = left(a.id, 36) and w.expires_at > clock_timestamp()
            ))
         )",
        interval(SILENT)?,
        &queue_names(),
    )
    .execute(pool)
    .await?;
    Ok(released.rows_affected())
}

/// Releases the jobs that apalis workers whose names begin so have fetched and not begun.
pub async fn release_jobs(pool: &BoundedPool, prefix: &str) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update apalis.jobs set status = 'Pending', lock_by = null, lock_at = null
         where status = 'Queued'
            and lock_by in (select id from apalis.workers where starts_with(id, $1))",
        prefix,
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Reclaims the claims of dead workers. Returns how many there were.
pub async fn reclaim_expired(
    pool: impl PgExecutor<'_> + Copy,
    policy: &Policy,
) -> Result<usize, sqlx::Error> {
    let mut reclaimed = 0;
    loop {
        let expired = sqlx::query!(
            "select id, fence from transactions t
             where claimed_by is not null and not exists (
                select from workers w where w.id = t.claimed_by and w.expires_at > clock_timestamp()
             )
             limit $1",
            BATCH,
        )
        .fetch_all(pool)
        .await?;
        let claims: Vec<_> = expired.iter().map(|row| (row.id, row.fence)).collect();
        reclaimed += reclaim(pool, &claims, ReclaimCause::WorkerDied, policy).await?;
        if (claims.len() as i64) < BATCH {
            return Ok(reclaimed);
        }
    }
}

/// The claims of a worker except those of its executions in flight. A claim that is found twice in a row is
/// orphaned: the answer to the claim was lost, and its release ran before the claim was committed.
pub async fn orphaned_claims(
    pool: &BoundedPool,
    worker_id: Uuid,
    in_flight: &[Uuid],
) -> Result<HashSet<(Uuid, i64)>, sqlx::Error> {
    let rows = sqlx::query!(
        "select id, fence from transactions where claimed_by = $1 and id <> all ($2)",
        worker_id,
        in_flight,
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.fence)).collect())
}

/// Ends a worker: releases its remaining claims and the jobs that it has fetched and not begun, and deletes
/// its lease.
pub async fn end(
    pool: &BoundedPool,
    worker_id: Uuid,
    policy: &Policy,
) -> Result<usize, sqlx::Error> {
    let held = sqlx::query!("select id, fence from transactions where claimed_by = $1", worker_id)
        .fetch_all(pool)
        .await?;
    let claims: Vec<_> = held.iter().map(|row| (row.id, row.fence)).collect();
    let released = reclaim(pool, &claims, ReclaimCause::Released, policy).await?;
    release_jobs(pool, &worker_id.to_string()).await?;
    sqlx::query!("delete from workers where id = $1", worker_id).execute(pool).await?;
    Ok(released)
}
