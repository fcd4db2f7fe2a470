//! The lease of a worker's run, by the database's clock. Every worker renews its own and takes back
//! the claims of those whose lease has expired.

use std::{collections::HashSet, time::Duration};

use domain::{Circuit, protocol::Policy};
use sqlx::PgExecutor;
use uuid::Uuid;

use crate::{
    database::bounded_pool::BoundedPool,
    database::interval,
    monitoring::last_minute::Attempts,
    recovery::reclaim::{ReclaimCause, reclaim},
};

/// How long a run that does not renew its lease still counts as alive.
pub const LEASE: Duration = Duration::from_secs(5);
/// How often a run renews its lease and looks for dead ones.
pub const RENEWAL: Duration = Duration::from_secs(1);
/// Claims that are taken back in one statement.
const BATCH: i64 = 500;

/// Begins or renews the lease of a run, and tells where its circuit breaker stands and what came of its
/// attempts of the last minute.
pub async fn renew(
    pool: &BoundedPool,
    run: Uuid,
    circuit: Circuit,
    attempts: Attempts,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into workers (id, expires_at, circuit, attempts_ended, attempts_posted)
         values ($1, clock_timestamp() + $2, $3, $4, $5)
         on conflict (id) do update set
            expires_at = excluded.expires_at, circuit = excluded.circuit,
            attempts_ended = excluded.attempts_ended, attempts_posted = excluded.attempts_posted",
        run,
        interval(LEASE)?,
        circuit.as_str(),
        i64::from(attempts.ended),
        i64::from(attempts.posted),
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Takes back what dead runs had claimed. Gives how many claims that were.
pub async fn reclaim_expired(
    pool: impl PgExecutor<'_> + Copy,
    policy: &Policy,
) -> Result<usize, sqlx::Error> {
    let mut recovered = 0;
    loop {
        let lost = sqlx::query!(
            "select id, fence from transactions t
             where claimed_by is not null and not exists (
                select from workers w where w.id = t.claimed_by and w.expires_at > clock_timestamp()
             )
             limit $1",
            BATCH,
        )
        .fetch_all(pool)
        .await?;
        let claims: Vec<_> = lost.iter().map(|row| (row.id, row.fence)).collect();
        recovered += reclaim(pool, &claims, ReclaimCause::WorkerDied, policy).await?;
        if (claims.len() as i64) < BATCH {
            return Ok(recovered);
        }
    }
}

/// The claims of a run other than those of the turns that are under way. One that is there on two
/// looks in a row belongs to nobody: the claim's answer was lost, and what gave it up came too early.
pub async fn orphaned_claims(
    pool: &BoundedPool,
    run: Uuid,
    under_way: &[Uuid],
) -> Result<HashSet<(Uuid, i64)>, sqlx::Error> {
    let rows = sqlx::query!(
        "select id, fence from transactions where claimed_by = $1 and id <> all ($2)",
        run,
        under_way,
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.fence)).collect())
}

/// Ends a run: gives back what it still holds, the jobs that it has fetched and not begun, and its
/// lease.
pub async fn end(pool: &BoundedPool, run: Uuid, policy: &Policy) -> Result<usize, sqlx::Error> {
    let held = sqlx::query!("select id, fence from transactions where claimed_by = $1", run)
        .fetch_all(pool)
        .await?;
    let claims: Vec<_> = held.iter().map(|row| (row.id, row.fence)).collect();
    let given_back = reclaim(pool, &claims, ReclaimCause::Released, policy).await?;
    sqlx::query!(
        "update apalis.jobs set status = 'Pending', lock_by = null, lock_at = null
         where status = 'Queued'
            and lock_by in (select id from apalis.workers where starts_with(id, $1))",
        run.to_string(),
    )
    .execute(pool)
    .await?;
    sqlx::query!("delete from workers where id = $1", run).execute(pool).await?;
    Ok(given_back)
}
