//! Deleting everything, with a simulated posting service only.

use std::time::Duration;

use domain::Actor;
use sqlx::PgPool;
use tokio::time::sleep;

use crate::{EngineError, Gateway, job::queue_names};

/// PostgreSQL's error code for a lock that was not granted in time.
const LOCK_NOT_AVAILABLE: &str = "55P03";
/// The delay between two tries: while one waits for its locks, all other statements queue behind it.
const RETRY_DELAY: Duration = Duration::from_millis(200);

impl Gateway {
    /// Deletes everything but the audit, and resumes posting. Returns how many transactions there were.
    ///
    /// # Errors
    /// [`EngineError`] if PostgreSQL does not answer.
    pub async fn cleanup(&self, actor: &Actor) -> Result<u64, EngineError> {
        // A task of its own: a client that disconnects must not leave the database transaction open.
        let emptied = tokio::spawn(empty(self.pool.unbounded().clone(), actor.clone())).await;
        Ok(emptied.map_err(|error| sqlx::Error::Io(std::io::Error::other(error)))??)
    }
}

/// Other statements lock the same tables in the order in which they name them, and a deadlock could end
/// either side. So this one gives up its locks early and tries again.
async fn empty(pool: PgPool, actor: Actor) -> Result<u64, sqlx::Error> {
    loop {
        match try_to_empty(&pool, &actor).await {
            Err(sqlx::Error::Database(error))
                if error.code().as_deref() == Some(LOCK_NOT_AVAILABLE) =>
            {
                sleep(RETRY_DELAY).await;
            }
            result => return result,
        }
    }
}

async fn try_to_empty(pool: &PgPool, actor: &Actor) -> Result<u64, sqlx::Error> {
    #[expect(clippy::disallowed_methods, reason = "runs in a task that is never dropped")]
    let mut tx = pool.begin().await?;
    // No timeout, however much there is to delete.
    sqlx::query!("set local statement_timeout = 0").execute(&mut *tx).await?;
    // Well below `deadlock_timeout`, which is a second.
    sqlx::query!("set local lock_timeout = '300ms'").execute(&mut *tx).await?;
    let count = sqlx::query_scalar!(r#"select count(*) as "count!" from transactions"#)
        .fetch_one(&mut *tx)
        .await?;
    sqlx::query!(
        "truncate transactions, attempts, verifications, bulk_retries, posting_pause,
            unreadable_transactions"
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!("delete from apalis.jobs where job_type = any ($1)", &queue_names())
        .execute(&mut *tx)
        .await?;
    sqlx::query!(
        "insert into audit (principal, kind, credential, address, request_id, action, object, before)
         values ($1, $2, $3, $4::text::inet, $5, 'cleanup', 'transactions',
            json_build_object('transactions', $6::bigint))",
        actor.principal.as_str(),
        actor.kind.as_str(),
        actor.credential,
        actor.address_text(),
        actor.request_id,
        count,
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(count.unsigned_abs())
}
