//! The engine: submit, claim, verify, post, finish, query. PostgreSQL and the posting client.
//!
//! Callers hold a [`Gateway`]: it accepts transactions and answers queries about them. A [`Worker`] posts
//! them; [`Executor::execute`] is one execution of a transaction. [`domain::protocol`] decides what to do
//! next; this crate carries it out.

mod accept;
pub mod database;
mod error;
mod job;
mod monitoring;
mod operations;
mod posting;
mod queries;
mod recovery;
mod restart;

use std::sync::Arc;

use sqlx::PgPool;
use tokio::sync::Notify;

use accept::Accept;
pub use accept::{SubmitError, Submitted};
use database::{BoundedPool, COMMIT_TIMEOUT, WEB_STATEMENT_TIMEOUT};
pub use error::EngineError;
pub use job::Purpose;
pub use monitoring::{Change, Changes, Health, Listener, Statistics, Status, TableStatistics};
pub use operations::{BulkRetry, InterventionError};
pub use posting::{
    Admission, AdmissionLimits, BootInstant, ExecutionResult, Executor, HttpPostingClient,
    LookupAnswer, PostAnswer, PostingRequest, PostingService, Worker, WorkerSettings,
};
pub use queries::{Cursor, Filter, MAX_PAGE};
pub use recovery::{housekeeping, reclaim_expired};

/// Accepts transactions and answers queries about them. Cheap to clone.
#[derive(Clone)]
pub struct Gateway {
    pool: BoundedPool,
    accept: Accept,
    changes: Changes,
}

impl Gateway {
    /// An engine on a migrated database. `wake` is notified of every commit that creates jobs, so that a
    /// [`Worker`] in the same process does not wait for its poll interval.
    pub fn new(pool: PgPool, wake: Arc<Notify>) -> Self {
        let accept = Accept::new(BoundedPool::new(pool.clone(), COMMIT_TIMEOUT), wake);
        let pool = BoundedPool::new(pool, WEB_STATEMENT_TIMEOUT);
        Self { accept, changes: Changes::new(pool.clone()), pool }
    }

    /// The feed of all changes to transactions. It is read only while it has listeners.
    pub fn changes(&self) -> &Changes {
        &self.changes
    }
}
