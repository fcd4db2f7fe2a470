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
mod wake_ups;

use sqlx::PgPool;

use accept::Accept;
pub use accept::{SubmitError, Submitted};
pub use database::CommitFault;
use database::{BoundedPool, COMMIT_TIMEOUT, WEB_STATEMENT_TIMEOUT};
pub use error::EngineError;
pub use job::Purpose;
use monitoring::Commits;
pub use monitoring::{
    BadPosition, Change, Changes, ChangesPage, Health, Listener, OlderThan, Position, Statistics,
    Status, TableStatistics, Unfinished,
};
pub use operations::{BulkRetry, InterventionError};
pub use posting::{
    Admission, AdmissionLimits, AuthorizationSettings, BootInstant, ConnectorError,
    CredentialError, CredentialSettings, ExecutionResult, Executor, FileError, ForwardProxy,
    HttpPostingClient, LookupAnswer, OAuthSettings, PostAnswer, PostingRequest, PostingService,
    RequiredFields, SettingFile, TlsFiles, Worker, WorkerSettings,
};
pub use queries::{BadCursor, Cursor, Filter, MAX_ATTEMPTS_PAGE, MAX_PAGE};
pub use recovery::{housekeeping, reclaim_expired};
pub use wake_ups::WakeUps;

/// Accepts transactions and answers queries about them. Cheap to clone.
#[derive(Clone)]
pub struct Gateway {
    pool: BoundedPool,
    accept: Accept,
    commits: Commits,
    changes: Changes,
    wake_ups: WakeUps,
}

impl Gateway {
    /// An engine on a migrated database. After every commit that creates jobs it wakes the dispatchers, so
    /// that no [`Worker`] has to look for them.
    pub fn new(pool: PgPool, wake_ups: WakeUps) -> Self {
        let commits = Commits::default();
        let commit_pool = BoundedPool::new(pool.clone(), COMMIT_TIMEOUT);
        let accept = Accept::new(commit_pool, wake_ups.clone(), commits.clone());
        let pool = BoundedPool::new(pool, WEB_STATEMENT_TIMEOUT);
        Self { accept, commits, changes: Changes::new(pool.clone()), pool, wake_ups }
    }

    /// The feed of all changes to transactions. It is read only while it has listeners.
    pub fn changes(&self) -> &Changes {
        &self.changes
    }
}
