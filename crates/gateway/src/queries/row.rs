//! The columns of the table `transactions` that make a [`Transaction`].

use chrono::{DateTime, Utc};
use domain::{Amount, Currency, IdempotencyKey, Transaction};
use rust_decimal::Decimal;
use serde_json::Value;
use uuid::Uuid;

use crate::EngineError;

/// The columns that make a [`Transaction`].
#[derive(Debug, sqlx::FromRow)]
pub struct Row {
    pub id: Uuid,
    pub state: String,
    pub amount: Decimal,
    pub currency: String,
    pub reference: Option<String>,
    pub idempotency_key: Option<String>,
    pub description: Option<String>,
    pub occurred_at: Option<DateTime<Utc>>,
    pub source_account: Option<String>,
    pub destination_account: Option<String>,
    pub metadata: Option<Value>,
    pub submitted_at: DateTime<Utc>,
    pub completed_at: Option<DateTime<Utc>>,
    pub error: Option<String>,
    pub attempts: i32,
    pub next_attempt_at: Option<DateTime<Utc>>,
}

impl TryFrom<Row> for Transaction {
    type Error = EngineError;

    fn try_from(row: Row) -> Result<Self, EngineError> {
        let unreadable = |column: &'static str| EngineError::Unreadable { id: row.id, column };
        Ok(Self {
            transaction_id: row.id,
            status: row.state.parse().map_err(|_| unreadable("state"))?,
            amount: Amount::from_stored(row.amount),
            currency: Currency::from_stored(&row.currency).map_err(|_| unreadable("currency"))?,
            reference: row.reference,
            idempotency_key: row
                .idempotency_key
                .map(IdempotencyKey::try_from)
                .transpose()
                .map_err(|_| unreadable("idempotency_key"))?,
            description: row.description,
            timestamp: row.occurred_at,
            source_account: row.source_account,
            destination_account: row.destination_account,
            metadata: match row.metadata {
                None => None,
                Some(Value::Object(map)) => Some(map),
                Some(_) => return Err(unreadable("metadata")),
            },
            submitted_at: row.submitted_at,
            completed_at: row.completed_at,
            error: row.error,
            attempts: row.attempts.unsigned_abs(),
            next_attempt_at: row.next_attempt_at,
        })
    }
}
