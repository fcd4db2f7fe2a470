//! Who may do what: principals and their credentials, sessions, tokens, limits and the audit, on PostgreSQL.
//!
//! Roles and permissions themselves are in `domain`; which request needs which permission is in `server`. Nothing
//! here knows HTTP.

mod audit;
mod clients;
mod error;
pub mod limits;
mod principals;
mod recent;
mod tokens;
mod users;

use std::sync::Arc;

pub use audit::{
    AuditBreak, AuditCursor, AuditFilter, AuditHead, BadHead, Entry, Verified, VerifyError,
};

use gateway::database::{BoundedPool, WEB_STATEMENT_TIMEOUT};
use sqlx::PgPool;

use clients::KeyReadings;
use users::People;

pub use clients::{Key, KeyHolder, KeyRefusal, NewKey, StoredKey};
pub use error::AccessError;
pub use principals::StoredPrincipal;
pub use tokens::{
    BadJwksLocation, BadRoleMap, ClaimName, IssuedToken, JwksLocation, KeysError, RoleMap,
    TokenError, TokenHolder, TokenRefusal, TokenRules, TokenSettings, Tokens,
};
pub use users::{
    Attempt, Enrolment, FirstAdmin, LINK_LIFETIME_HOURS, LinkOwner, ListedSession, NewPassword,
    PasswordRule, Refusal, SecretToken, Session, SessionSettings, SignedIn, User, Visit,
};

/// Principals, credentials and the audit of one database. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Access {
    pool: BoundedPool,
    keys: Arc<KeyReadings>,
    noted: audit::Noted,
    people: Arc<People>,
}

impl Access {
    /// Access on a migrated database.
    pub fn new(pool: PgPool) -> Self {
        Self {
            pool: BoundedPool::new(pool, WEB_STATEMENT_TIMEOUT),
            keys: Arc::default(),
            people: Arc::new(People::new(SessionSettings::default())),
            noted: audit::Noted::default(),
        }
    }

    /// With other settings of sessions.
    #[must_use]
    pub fn with_sessions(self, settings: SessionSettings) -> Self {
        Self { people: Arc::new(People::new(settings)), ..self }
    }
}
