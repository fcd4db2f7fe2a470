//! The engine: submit, claim, verify, post, finish, query. PostgreSQL and the posting client.
//!
//! [`Gateway`] is what callers hold: it accepts transactions and answers questions about them.
//! [`Worker`] is what gets them posted; [`Poster::process`] is one transaction's turn. What to do
//! next is decided by [`domain::protocol`]; this crate carries it out.

mod accept;
mod advance;
mod boot_instant;
mod bounded_pool;
mod bulk_retry;
mod changes;
mod claim;
mod cleanup;
mod counts;
pub mod database;
mod error;
mod export;
mod filter;
mod gate;
mod group;
mod health;
pub mod housekeeping;
mod http_posting;
mod intervention;
mod job;
mod last_minute;
mod lease;
mod list;
mod pause;
mod posting;
mod process;
mod pulse;
mod query;
mod row;
mod statistics;
mod submit;
mod take_back;
mod timed_body;
mod worker;

use std::{sync::Arc, time::Duration};

use bounded_pool::BoundedPool;
use sqlx::PgPool;
use tokio::sync::Notify;

pub use boot_instant::BootInstant;
pub use bulk_retry::BulkRetry;
pub use changes::{Change, Changes, Listener};
pub use error::EngineError;
pub use filter::Filter;
pub use gate::{Gate, Limits};
pub use health::{Health, Status};
pub use http_posting::HttpPosting;
pub use intervention::InterventionError;
pub use job::Purpose;
pub use lease::recover;
pub use list::{Cursor, MAX_PAGE};
pub use posting::{Answer, Posting, PostingService, Sighting};
pub use process::{Poster, Turn};
pub use statistics::{Statistics, TableStatistics};
pub use submit::{SubmitError, Submitted};
pub use worker::{Worker, WorkerSettings};

/// How long a question may take: its client is answered within two seconds.
const STATEMENT_LIMIT: Duration = Duration::from_millis(1200);
/// How long a commit of submissions may take. Their clients are told before that that it is not confirmed;
/// until it has passed, nothing else is stored in its place.
const COMMIT_LIMIT: Duration = Duration::from_secs(3);

/// Accepts transactions and answers questions about them. Cheap to clone.
#[derive(Clone)]
pub struct Gateway {
    pool: BoundedPool,
    accept: accept::Accept,
    changes: Changes,
}

impl Gateway {
    /// An engine on a migrated database. `wake` is told of every commit that made work, so that a
    /// [`Worker`] in the same process need not wait for its interval.
    pub fn new(pool: PgPool, wake: Arc<Notify>) -> Self {
        let accept = accept::Accept::new(BoundedPool::new(pool.clone(), COMMIT_LIMIT), wake);
        let pool = BoundedPool::new(pool, STATEMENT_LIMIT);
        Self { accept, changes: Changes::new(pool.clone()), pool }
    }

    /// Every change of a transaction from now on, for as long as somebody listens.
    pub fn changes(&self) -> &Changes {
        &self.changes
    }
}
