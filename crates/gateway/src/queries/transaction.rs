//! Queries for one transaction. Its attempts are in `attempts.rs`; queries for many are in `list.rs` and `export.rs`.

use domain::{Caller, Principal, Reference, Scope, Transaction};
use uuid::Uuid;

use super::{filter::Filter, row::Row, unreadable::note};
use crate::{EngineError, Gateway, database::StoredTime};

impl Gateway {
    /// The transaction with this id, or `None` if there is none in this scope.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub async fn transaction(
        &self,
        scope: &Scope,
        id: Uuid,
    ) -> Result<Option<Transaction>, EngineError> {
        let row = sqlx::query_as!(
            Row,
            r#"select id, principal, state, amount::text as "amount!", currency, reference, idempotency_key, description,
                occurred_at as "occurred_at: StoredTime", source_account, destination_account,
                metadata::text as metadata, submitted_at as "submitted_at: StoredTime",
                completed_at as "completed_at: StoredTime", error, attempts,
                next_attempt_at as "next_attempt_at: StoredTime"
            from transactions where id = $1 and ($2::text is null or principal = $2)"#,
            id,
            scope.owner(),
        )
        .fetch_optional(&self.pool)
        .await?;
        self.read(row).await
    }

    /// The transaction with the reference that this text names: the caller's own, or if there is none, the newest in
    /// the caller's scope.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub async fn transaction_of_reference(
        &self,
        caller: &Caller,
        text: &str,
    ) -> Result<Option<Transaction>, EngineError> {
        let own = self.transaction_stored_as(caller.principal(), text).await?;
        let reference = Reference::of(text);
        let own = match own {
            None if reference.sent_otherwise().is_some() => {
                self.transaction_stored_as(caller.principal(), reference.as_str()).await?
            }
            own => own,
        };
        if own.is_some() || caller.scope() != Scope::All {
            return Ok(own);
        }
        let filter = Filter { reference: Some(text.to_owned()), ..Filter::default() };
        let page = self.transactions(&Scope::All, &filter, None, 1).await?;
        match page.unreadable.into_iter().next() {
            Some(unreadable) => Err(unreadable.into()),
            None => Ok(page.data.into_iter().next()),
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
            r#"select id, principal, state, amount::text as "amount!", currency, reference, idempotency_key, description,
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
