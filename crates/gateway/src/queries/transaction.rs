//! Queries for one transaction. Its attempts are in `attempts.rs`; queries for many are in `list.rs` and `export.rs`.

use domain::{Principal, Reference, Transaction};
use uuid::Uuid;

use super::row::Row;
use crate::{EngineError, Gateway};

impl Gateway {
    /// The transaction with this id, or `None` if there is none.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub async fn transaction(&self, id: Uuid) -> Result<Option<Transaction>, EngineError> {
        let row = sqlx::query_as!(
            Row,
            r#"select id, state, amount, currency, reference, idempotency_key, description, occurred_at,
                source_account, destination_account, metadata, submitted_at, completed_at, error,
                attempts, next_attempt_at
            from transactions where id = $1"#,
            id,
        )
        .fetch_optional(&self.pool)
        .await?;
        row.map(Transaction::try_from).transpose()
    }

    /// The transaction of this principal with the reference that this text names, or `None` if there is none.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub async fn transaction_of_reference(
        &self,
        principal: &Principal,
        text: &str,
    ) -> Result<Option<Transaction>, EngineError> {
        let reference = Reference::of(text);
        match self.transaction_stored_as(principal, text).await? {
            None if reference.sent_otherwise().is_some() => {
                self.transaction_stored_as(principal, reference.as_str()).await
            }
            found => Ok(found),
        }
    }

    /// The transaction of this principal whose stored reference is exactly this text.
    pub(crate) async fn transaction_stored_as(
        &self,
        principal: &Principal,
        reference: &str,
    ) -> Result<Option<Transaction>, EngineError> {
        let row = sqlx::query_as!(
            Row,
            r#"select id, state, amount, currency, reference, idempotency_key, description, occurred_at,
                source_account, destination_account, metadata, submitted_at, completed_at, error,
                attempts, next_attempt_at
            from transactions where principal = $1 and reference = $2"#,
            principal.as_str(),
            reference,
        )
        .fetch_optional(&self.pool)
        .await?;
        row.map(Transaction::try_from).transpose()
    }

    /// Whether PostgreSQL answers.
    ///
    /// # Errors
    /// [`EngineError::Database`] if it does not.
    pub async fn ping(&self) -> Result<(), EngineError> {
        sqlx::query_scalar!(r#"select true as "alive!""#).fetch_one(&self.pool).await?;
        Ok(())
    }
}
