//! Errors of the engine.

use std::sync::Arc;

use thiserror::Error;
use uuid::Uuid;

use crate::database::BatcherError;

/// Why a query failed, or an execution was interrupted.
#[derive(Debug, Error)]
pub enum EngineError {
    /// PostgreSQL did not answer, or answered with an error.
    #[error("the database does not answer")]
    Database(#[source] Arc<sqlx::Error>),
    /// A row holds a value that this version cannot read.
    #[error("transaction {id} has an unreadable {column}")]
    Unreadable {
        /// The transaction.
        id: Uuid,
        /// The column of its row.
        column: &'static str,
    },
}

impl EngineError {
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
