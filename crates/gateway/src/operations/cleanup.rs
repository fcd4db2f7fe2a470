//! Emptying everything, for a simulated posting service only.

use std::time::Duration;

use sqlx::PgPool;
use tokio::time::sleep;

use crate::{EngineError, Gateway};

/// What PostgreSQL answers where a lock is not to be had in time.
const LOCK_NOT_AVAILABLE: &str = "55P03";
/// Between two tries: while one waits for its locks, everybody else waits behind it.
const PAUSE: Duration = Duration::from_millis(200);

impl Gateway {
    /// Empties everything, and lets posting go on.
    ///
    /// # Errors
    /// [`EngineError`] where PostgreSQL does not answer.
    pub async fn cleanup(&self) -> Result<u64, EngineError> {
        // A task of its own: a client that goes away must not leave the transaction half begun.
        let emptied = tokio::spawn(empty(self.pool.unbounded().clone())).await;
        Ok(emptied.map_err(|error| sqlx::Error::Io(std::io::Error::other(error)))??)
    }
}

/// Others lock the same tables in whatever order their statements name them, and a deadlock would end either
/// side. So this one gives way, and tries again.
async fn empty(pool: PgPool) -> Result<u64, sqlx::Error> {
    loop {
        match try_to_empty(&pool).await {
            Err(sqlx::Error::Database(error))
                if error.code().as_deref() == Some(LOCK_NOT_AVAILABLE) =>
            {
                sleep(PAUSE).await;
            }
            result => return result,
        }
    }
}

async fn try_to_empty(pool: &PgPool) -> Result<u64, sqlx::Error> {
    #[expect(clippy::disallowed_methods, reason = "runs in a task that nobody drops")]
    let mut tx = pool.begin().await?;
    // However much there is.
    sqlx::query!("set local statement_timeout = 0").execute(&mut *tx).await?;
    // Well below `deadlock_timeout`, which is a second.
    sqlx::query!("set local lock_timeout = '300ms'").execute(&mut *tx).await?;
    let count = sqlx::query_scalar!(r#"select count(*) as "count!" from transactions"#)
        .fetch_one(&mut *tx)
        .await?;
    sqlx::query!(
        "truncate transactions, attempts, verifications, interventions, bulk_retries, posting_pause"
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!("delete from apalis.jobs").execute(&mut *tx).await?;
    tx.commit().await?;
    Ok(count.unsigned_abs())
}
