//! The columns of the table `transactions` that make a [`Transaction`].
//!
//! What was accepted once is read, whatever the rules are now. Each column has a type that every value of its column can
//! be decoded into, so that a damaged row fails alone, and not the statement that reads it among others.

use domain::{Amount, Currency, IdempotencyKey, Transaction, Unreadable};
use uuid::Uuid;

use crate::database::StoredTime;

/// The columns that make a [`Transaction`].
#[derive(Debug, sqlx::FromRow)]
pub struct Row {
    pub id: Uuid,
    pub principal: String,
    pub state: String,
    /// PostgreSQL's text of it.
    pub amount: String,
    pub currency: String,
    pub reference: Option<String>,
    pub idempotency_key: Option<String>,
    pub description: Option<String>,
    pub occurred_at: Option<StoredTime>,
    pub source_account: Option<String>,
    pub destination_account: Option<String>,
    /// The text of the JSON.
    pub metadata: Option<String>,
    pub submitted_at: StoredTime,
    pub completed_at: Option<StoredTime>,
    pub error: Option<String>,
    pub attempts: i32,
    pub next_attempt_at: Option<StoredTime>,
}

impl Row {
    /// The transaction.
    ///
    /// # Errors
    /// [`Unreadable`] if a value is damaged, or unknown to this version.
    pub fn read(self) -> Result<Transaction, Unreadable> {
        let column = |name| Unreadable::column(self.id, name);
        let time = |time: Option<StoredTime>, name| match time {
            None => Ok(None),
            Some(time) => time.read().map(Some).ok_or_else(|| column(name)),
        };
        Ok(Transaction {
            transaction_id: self.id,
            status: self.state.parse().map_err(|_| column("state"))?,
            amount: Amount::from_stored(&self.amount).ok_or_else(|| column("amount"))?,
            currency: Currency::from_stored(&self.currency).map_err(|_| column("currency"))?,
            reference: self.reference,
            idempotency_key: self.idempotency_key.map(IdempotencyKey::from_stored),
            description: self.description,
            timestamp: time(self.occurred_at, "occurred_at")?,
            source_account: self.source_account,
            destination_account: self.destination_account,
            metadata: self
                .metadata
                .map(|text| serde_json::from_str(&text).map_err(|_| column("metadata")))
                .transpose()?,
            submitted_at: self.submitted_at.read().ok_or_else(|| column("submitted_at"))?,
            completed_at: time(self.completed_at, "completed_at")?,
            error: self.error,
            attempts: self.attempts.unsigned_abs(),
            next_attempt_at: time(self.next_attempt_at, "next_attempt_at")?,
        })
    }
}
