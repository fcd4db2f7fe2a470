//! The lease of a worker's run, by the database's clock. Every worker renews its own and takes back
//! the claims of those whose lease has expired.

use std::{collections::HashSet, time::Duration};

use sqlx::PgPool;
use uuid::Uuid;

use crate::{
    database::interval,
    take_back::{Cause, take_back},
};

/// How long a run that does not renew its lease still counts as alive.
pub const LEASE: Duration = Duration::from_secs(5);
/// How often a run renews its lease and looks for dead ones.
pub const RENEWAL: Duration = Duration::from_secs(1);
/// Claims that are taken back in one statement.
const BATCH: i64 = 500;

/// Begins or renews the lease of a run.
pub async fn renew(pool: &PgPool, run: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into workers (id, expires_at) values ($1, clock_timestamp() + $2)
         on conflict (id) do update set expires_at = excluded.expires_at",
        run,
        interval(LEASE)?,
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Takes back what dead runs had claimed, and forgets runs that have been dead for an hour. Gives
/// how many claims were taken back.
pub async fn recover(pool: &PgPool) -> Result<usize, sqlx::Error> {
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
        recovered += take_back(pool, &claims, Cause::WorkerLost).await?;
        if (claims.len() as i64) < BATCH {
            break;
        }
    }
    sqlx::query!("delete from workers where expires_at < now() - interval '1 hour'")
        .execute(pool)
        .await?;
    Ok(recovered)
}

/// The claims of a run other than those of the turns that are under way. One that is there on two
/// looks in a row belongs to nobody: the claim's answer was lost, and what gave it up came too early.
pub async fn forgotten(
    pool: &PgPool,
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

/// Ends a run: gives back what it still holds, and its lease.
pub async fn end(pool: &PgPool, run: Uuid) -> Result<usize, sqlx::Error> {
    let held = sqlx::query!("select id, fence from transactions where claimed_by = $1", run)
        .fetch_all(pool)
        .await?;
    let claims: Vec<_> = held.iter().map(|row| (row.id, row.fence)).collect();
    let given_back = take_back(pool, &claims, Cause::GivenBack).await?;
    sqlx::query!("delete from workers where id = $1", run).execute(pool).await?;
    Ok(given_back)
}
