//! Sweeping up what nobody looks at any more: rows of workers that are long gone, and finished jobs.
//! Transactions, their attempts and what people did are kept.

use std::time::Duration;

use sqlx::PgPool;
use tokio::time::sleep;

/// Between sweeps.
const SWEEP: Duration = Duration::from_secs(60);

/// Sweeps now and then, for ever. Any number of processes may do so.
pub async fn sweep_on(pool: &PgPool) {
    loop {
        if let Err(error) = sweep(pool).await {
            tracing::warn!(%error, "sweeping has to wait");
        }
        sleep(SWEEP).await;
    }
}

/// Removes what has been over for an hour.
///
/// # Errors
/// Where PostgreSQL does not answer.
pub async fn sweep(pool: &PgPool) -> Result<(), sqlx::Error> {
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
    Ok(())
}
