//! Queries for one transaction. Its attempts are in `attempts.rs`; queries for many are in `list.rs` and `export.rs`.

use domain::{Principal, Reference, Transaction};
use uuid::Uuid;

use super::{row::Row, unreadable::note};
use crate::{EngineError, Gateway, database::StoredTime};

impl Gateway {
    /// The transaction with this id, or `None` if there is none.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub async fn transaction(&self, id: Uuid) -> Result<Option<Transaction>, EngineError> {
        let row = sqlx::query_as!(
            Row,
            r#"select id, state, amount::text as "amount!", currency, reference, idempotency_key, description,
                occurred_at as "occurred_at: StoredTime", source_account, destination_account,
                metadata::text as metadata, submitted_at as "submitted_at: StoredTime",
                completed_at as "completed_at: StoredTime", error, attempts,
                next_attempt_at as "next_attempt_at: StoredTime"
            from transactions where id = $1"#,
            id,
        )
        .fetch_optional(&self.pool)
        .await?;
        self.read(row).await
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
            r#"select id, state, amount::text as "amount!", currency, reference, idempotency_key, description,
                occurred_at as "occurred_at: StoredTime", source_account, destination_account,
                metadata::text as metadata, submitted_at as "submitted_at: StoredTime",
                completed_at as "completed_at: StoredTime", error, attempts,
                next_attempt_at as "next_attempt_at: StoredTime"
            from transactions where principal = $1 and reference = $2"#,
            principal.as_str(),
            reference,
        )
        .fetch_optional(&self.pool)
        .await?;
        self.read(row).await
    }

    async fn read(&self, row: Option<Row>) -> Result<Option<Transaction>, EngineError> {
        match row.map(Row::read).transpose() {
            Ok(transaction) => Ok(transaction),
            Err(unreadable) => {
                note(&self.pool, std::slice::from_ref(&unreadable)).await;
                Err(unreadable.into())
            }
        }
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
