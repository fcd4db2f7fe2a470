//! The lease of a worker, by the database's clock. Every worker renews its own and reclaims the claims of
//! workers whose lease has expired.

use std::{collections::HashSet, time::Duration};

use domain::{Circuit, protocol::Policy};
use sqlx::PgExecutor;
use uuid::Uuid;

use super::{ReclaimCause, reclaim};
use crate::{
    database::{BoundedPool, interval},
    monitoring::Requests,
};

/// How long a worker that does not renew its lease still counts as alive.
pub const LEASE: Duration = Duration::from_secs(5);
/// How often a worker renews its lease and checks for dead workers.
pub const RENEWAL: Duration = Duration::from_secs(1);
/// Claims that one statement reclaims.
const BATCH: i64 = 500;

/// Begins or renews the lease of a worker, and records the state of its circuit breaker and its requests of
/// the last minute.
pub async fn renew(
    pool: &BoundedPool,
    worker_id: Uuid,
    circuit: Circuit,
    requests: Requests,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into workers (id, expires_at, circuit, attempts_ended, attempts_posted,
            verifications_ended, verifications_failed)
         values ($1, clock_timestamp() + $2, $3, $4, $5, $6, $7)
         on conflict (id) do update set
            expires_at = excluded.expires_at, circuit = excluded.circuit,
            attempts_ended = excluded.attempts_ended, attempts_posted = excluded.attempts_posted,
            verifications_ended = excluded.verifications_ended,
            verifications_failed = excluded.verifications_failed",
        worker_id,
        interval(LEASE)?,
        circuit.as_str(),
        i64::from(requests.attempts),
        i64::from(requests.posted),
        i64::from(requests.verifications),
        i64::from(requests.failed_verifications),
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
    sqlx::query!(
        "update apalis.jobs set status = 'Pending', lock_by = null, lock_at = null
         where status = 'Queued'
            and lock_by in (select id from apalis.workers where starts_with(id, $1))",
        worker_id.to_string(),
    )
    .execute(pool)
    .await?;
    sqlx::query!("delete from workers where id = $1", worker_id).execute(pool).await?;
    Ok(released)
}
