//! The engine: submit, claim, verify, post, finish, query. PostgreSQL and the posting client.
//!
//! [`Gateway`] is what callers hold: it accepts transactions and answers questions about them.
//! [`Worker`] is what gets them posted; [`Executor::process`] is one transaction's turn. What to do
//! next is decided by [`domain::protocol`]; this crate carries it out.

mod accept;
pub mod database;
mod error;
mod job;
mod monitoring;
mod operations;
mod posting;
mod queries;
mod recovery;

use std::{sync::Arc, time::Duration};

use sqlx::PgPool;
use tokio::sync::Notify;

use accept::insert::Accept;
pub use accept::submit::{SubmitError, Submitted};
use database::bounded_pool::BoundedPool;
pub use error::EngineError;
pub use job::Purpose;
pub use monitoring::{
    change_feed::{Change, Changes, Listener},
    health::{Health, Status},
    statistics::{Statistics, TableStatistics},
};
pub use operations::{bulk_retry::BulkRetry, intervention::InterventionError};
pub use posting::{
    admission::{Admission, AdmissionLimits},
    boot_instant::BootInstant,
    execution::{ExecutionResult, Executor},
    http_client::HttpPostingClient,
    service::{LookupAnswer, PostAnswer, PostingRequest, PostingService},
    worker::{Worker, WorkerSettings},
};
pub use queries::{
    filter::Filter,
    list::{Cursor, MAX_PAGE},
};
pub use recovery::{housekeeping, lease::reclaim_expired};

/// How long a question may take: its client is answered within two seconds.
const WEB_STATEMENT_TIMEOUT: Duration = Duration::from_millis(1200);
/// How long a commit of submissions may take. Their clients are told before that that it is not confirmed;
/// until it has passed, nothing else is stored in its place.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(3);

/// Accepts transactions and answers questions about them. Cheap to clone.
#[derive(Clone)]
pub struct Gateway {
    pool: BoundedPool,
    accept: Accept,
    changes: Changes,
}

impl Gateway {
    /// An engine on a migrated database. `wake` is told of every commit that made work, so that a
    /// [`Worker`] in the same process need not wait for its interval.
    pub fn new(pool: PgPool, wake: Arc<Notify>) -> Self {
        let accept = Accept::new(BoundedPool::new(pool.clone(), COMMIT_TIMEOUT), wake);
        let pool = BoundedPool::new(pool, WEB_STATEMENT_TIMEOUT);
        Self { accept, changes: Changes::new(pool.clone()), pool }
    }

    /// Every change of a transaction from now on, for as long as somebody listens.
    pub fn changes(&self) -> &Changes {
        &self.changes
    }
}
