//! Who may do what: principals and their credentials, sessions, tokens, limits and the audit, on PostgreSQL.
//!
//! Roles and permissions themselves are in `domain`; which request needs which permission is in `server`. Nothing
//! here knows HTTP.

mod clients;
mod error;
pub mod limits;
mod principals;
mod recent;

use std::sync::Arc;

use gateway::database::{BoundedPool, WEB_STATEMENT_TIMEOUT};
use sqlx::PgPool;

use clients::KeyReadings;
pub use clients::{Key, KeyHolder, KeyRefusal, NewKey, StoredKey};
pub use error::AccessError;
pub use principals::StoredPrincipal;

/// Principals, credentials and the audit of one database. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Access {
    pool: BoundedPool,
    keys: Arc<KeyReadings>,
}

impl Access {
    /// Access on a migrated database.
    pub fn new(pool: PgPool) -> Self {
        Self { pool: BoundedPool::new(pool, WEB_STATEMENT_TIMEOUT), keys: Arc::default() }
    }
}
