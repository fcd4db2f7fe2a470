//! Who may do what: principals and their credentials, sessions, tokens, limits and the audit, on PostgreSQL.
//!
//! Roles and permissions themselves are in `domain`; which request needs which permission is in `server`. Nothing
//! here knows HTTP.

mod audit;
mod error;
mod principals;

pub use audit::{
    AuditBreak, AuditCursor, AuditFilter, AuditHead, BadHead, Entry, Verified, VerifyError,
};
pub use error::AccessError;
pub use principals::{NewPrincipal, StoredPrincipal};

use gateway::database::{BoundedPool, WEB_STATEMENT_TIMEOUT};
use sqlx::PgPool;

/// Principals, credentials and the audit of one database. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Access {
    pool: BoundedPool,
    noted: audit::Noted,
}

impl Access {
    /// Access on a migrated database.
    pub fn new(pool: PgPool) -> Self {
        Self { pool: BoundedPool::new(pool, WEB_STATEMENT_TIMEOUT), noted: audit::Noted::default() }
    }
}
