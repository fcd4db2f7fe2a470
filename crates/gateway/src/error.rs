//! Why the engine could not do what it was asked for.

use std::sync::Arc;

use thiserror::Error;
use uuid::Uuid;

use crate::database::batcher::BatcherError;

/// Why a question was not answered, or a turn was cut short.
#[derive(Debug, Error)]
pub enum EngineError {
    /// PostgreSQL did not answer, or with an error.
    #[error("the database does not answer")]
    Database(#[source] Arc<sqlx::Error>),
    /// A row holds what this version cannot read.
    #[error("transaction {id} has an unreadable {column}")]
    Unreadable {
        /// The transaction.
        id: Uuid,
        /// The column of its row.
        column: &'static str,
    },
}

impl EngineError {
    /// Whether the same may go well later.
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
