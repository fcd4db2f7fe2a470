//! Errors of this crate.

use thiserror::Error;

/// Why something about principals, credentials or the audit could not be done.
#[derive(Debug, Error)]
pub enum AccessError {
    /// PostgreSQL did not answer, or answered with an error.
    #[error("the database does not answer")]
    Database(#[from] sqlx::Error),
    /// There is no such thing.
    #[error("there is no {0}")]
    NotFound(&'static str),
    /// Another principal has this name.
    #[error("another user or client has this name")]
    NameTaken,
    /// No other administrator could sign in.
    #[error("the last administrator who can sign in must stay one")]
    LastAdmin,
    /// A value breaks a rule; the field, and what is wrong with it.
    #[error("{0} {1}")]
    Invalid(&'static str, String),
}

impl AccessError {
    /// Whether a retry may succeed.
    pub fn retryable(&self) -> bool {
        matches!(self, Self::Database(_))
    }
}
