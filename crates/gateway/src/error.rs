//! Errors of the engine.

use std::sync::Arc;

use domain::Unreadable;
use thiserror::Error;

use crate::database::{BatcherError, CommitFault};

/// Why a query failed, or an execution was interrupted.
#[derive(Debug, Error)]
pub enum EngineError {
    /// PostgreSQL did not answer, or answered with an error.
    #[error("{}", answer_of(.0))]
    Database(#[source] Arc<sqlx::Error>),
    /// A row holds a value that this version cannot read.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
}

/// What PostgreSQL answered, for clients.
fn answer_of(error: &sqlx::Error) -> &'static str {
    match CommitFault::of(error) {
        fault if fault.is_refusal() => fault.reason(),
        _ => CommitFault::Unreachable.reason(),
    }
}

impl EngineError {
    /// Whether PostgreSQL has answered that it carried nothing out.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Database(error) if CommitFault::of(error).is_refusal())
    }

    /// Whether a retry may succeed.
    pub fn retryable(&self) -> bool {
        matches!(self, Self::Database(_))
    }
}

impl From<sqlx::Error> for EngineError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(Arc::new(error))
    }
}

impl From<BatcherError> for EngineError {
    fn from(error: BatcherError) -> Self {
        Self::Database(match error {
            BatcherError::Database(error) => error,
            error => Arc::new(sqlx::Error::Io(std::io::Error::other(error))),
        })
    }
}
