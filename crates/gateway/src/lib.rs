//! The engine: submit, claim, verify, post, finish, query. PostgreSQL and the posting client.
//!
//! [`Gateway`] is what callers hold: it accepts transactions and answers questions about them.
//! [`Worker`] is what gets them posted; [`Poster::process`] is one transaction's turn. What to do
//! next is decided by [`domain::protocol`]; this crate carries it out.

mod accept;
mod advance;
mod changes;
mod claim;
pub mod database;
mod health;
mod http_posting;
mod job;
mod lease;
mod posting;
mod process;
mod query;
mod row;
mod submit;
mod take_back;
mod worker;

use std::sync::Arc;

use sqlx::PgPool;
use tokio::sync::Notify;

pub use changes::{Change, Changes, Listener};
pub use health::{Health, Status};
pub use http_posting::HttpPosting;
pub use lease::recover;
pub use posting::{Answer, Posting, PostingService, Sighting};
pub use process::{EngineError, Poster, Turn};
pub use query::{Cursor, Filter, MAX_PAGE, QueryError};
pub use submit::{SubmitError, Submitted};
pub use worker::{Worker, WorkerSettings};

/// Accepts transactions and answers questions about them. Cheap to clone.
#[derive(Clone)]
pub struct Gateway {
    pool: PgPool,
    accept: accept::Accept,
    changes: Changes,
}

impl Gateway {
    /// An engine on a migrated database. `wake` is told of every commit that made work, so that a
    /// [`Worker`] in the same process need not wait for its interval.
    ///
    /// Must be called within a tokio runtime: it starts the tasks of the group commit.
    pub fn new(pool: PgPool, wake: Arc<Notify>) -> Self {
        Self {
            accept: accept::Accept::start(pool.clone(), wake),
            changes: Changes::new(pool.clone()),
            pool,
        }
    }

    /// Every change of a transaction from now on, for as long as somebody listens.
    pub fn changes(&self) -> &Changes {
        &self.changes
    }

    /// Empties everything: transactions, attempts and jobs. For a simulated posting service only.
    ///
    /// # Errors
    /// [`QueryError`] where PostgreSQL does not answer.
    pub async fn cleanup(&self) -> Result<u64, QueryError> {
        let mut tx = self.pool.begin().await?;
        let count = sqlx::query_scalar!(r#"select count(*) as "count!" from transactions"#)
            .fetch_one(&mut *tx)
            .await?;
        sqlx::query!("truncate transactions, attempts, verifications").execute(&mut *tx).await?;
        sqlx::query!("delete from apalis.jobs where job_type = $1", job::QUEUE)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(count.unsigned_abs())
    }
}
