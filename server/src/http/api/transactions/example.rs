//! The transaction in the examples of the API's document, built from the types of the responses.

use chrono::{DateTime, TimeDelta, Utc};
use domain::{Amount, Currency, State, Transaction};
use serde_json::{Map, Value, json};
use uuid::{Uuid, uuid};

/// Its id.
pub const ID: Uuid = uuid!("7c9e6679-7425-40de-944b-e07fc1f90ae7");

/// A point in time, in milliseconds after the start of the example.
pub fn at(ms: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::days(20_484) + TimeDelta::milliseconds(ms)
}

/// A submission with every field.
pub fn submission() -> Value {
    json!({
        "id": ID,
        "amount": amount(),
        "currency": "USD",
        "reference": "invoice-2026-0042",
        "description": "Payment of invoice 2026-0042",
        "timestamp": at(0),
        "sourceAccount": "ACC-1001",
        "destinationAccount": "ACC-2002",
        "metadata": metadata(),
    })
}

/// Its amount.
pub fn amount() -> Option<Amount> {
    Amount::parse("100.50").ok()
}

fn metadata() -> Map<String, Value> {
    Map::from_iter([("order_id".to_owned(), json!("12345"))])
}

/// The transaction right after its submission.
pub fn pending() -> Value {
    json!(transaction())
}

/// The same, as a transaction.
pub fn transaction() -> Option<Transaction> {
    Some(Transaction {
        transaction_id: ID,
        status: State::Pending,
        amount: amount()?,
        currency: Currency::parse("USD").ok()?,
        reference: Some("invoice-2026-0042".to_owned()),
        idempotency_key: "order-2026-0042".parse().ok(),
        description: Some("Payment of invoice 2026-0042".to_owned()),
        timestamp: Some(at(0)),
        source_account: Some("ACC-1001".to_owned()),
        destination_account: Some("ACC-2002".to_owned()),
        metadata: Some(metadata()),
        submitted_at: at(250),
        completed_at: None,
        error: None,
        attempts: 0,
        next_attempt_at: Some(at(250)),
    })
}

/// The transaction after it was posted.
pub fn completed() -> Value {
    json!(transaction().map(completed_from))
}

/// The same, as a transaction.
pub fn completed_from(transaction: Transaction) -> Transaction {
    Transaction {
        status: State::Completed,
        completed_at: Some(at(4_250)),
        attempts: 1,
        next_attempt_at: None,
        ..transaction
    }
}
