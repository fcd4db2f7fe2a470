//! Why the engine could not do what it was asked for.

use thiserror::Error;
use uuid::Uuid;

/// Why a question was not answered, or a turn was cut short.
#[derive(Debug, Error)]
pub enum EngineError {
    /// PostgreSQL did not answer, or with an error.
    #[error("the database does not answer")]
    Database(#[from] sqlx::Error),
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
