//! Examples, made of the very types that the answers are made of.

use chrono::{DateTime, TimeDelta, Utc};
use domain::{
    Amount, Attempt, Circuit, Currency, FieldError, Finding, Intervened, Outcome, Page, State,
    Transaction, Verification,
};
use gateway::{BulkRetry, Filter, Health, Status};
use serde_json::{Map, Value, json};
use uuid::{Uuid, uuid};

use crate::http::{
    api::{
        monitoring::health::Report,
        transactions::batch::Answer,
        webhooks::{
            receive::Received,
            sender_view::{SenderStatus, SenderView},
        },
    },
    problem::Problem,
};

/// The id of the request that an example answers.
pub const REQUEST_ID: &str = "0199e2a4-5f7c-7cc3-9d3c-2f1a55b0a6f1";

const ID: Uuid = uuid!("7c9e6679-7425-40de-944b-e07fc1f90ae7");

/// So many milliseconds after the example began.
fn at(ms: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::days(20_484) + TimeDelta::milliseconds(ms)
}

/// A submission with all that it may have.
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

fn amount() -> Option<Amount> {
    Amount::parse("100.50").ok()
}

fn metadata() -> Map<String, Value> {
    Map::from_iter([("order_id".to_owned(), json!("12345"))])
}

/// A transaction as its submission is answered.
pub fn pending() -> Value {
    json!(transaction())
}

fn transaction() -> Option<Transaction> {
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

/// A transaction that the posting service has.
pub fn completed() -> Value {
    json!(transaction().map(completed_from))
}

fn completed_from(transaction: Transaction) -> Transaction {
    Transaction {
        status: State::Completed,
        completed_at: Some(at(4_250)),
        attempts: 1,
        next_attempt_at: None,
        ..transaction
    }
}

/// A transaction that was withdrawn.
pub fn cancelled() -> Value {
    json!(transaction().map(|transaction| Transaction {
        status: State::Cancelled,
        completed_at: Some(at(900)),
        next_attempt_at: None,
        ..transaction
    }))
}

/// A transaction that a person said to be completed.
pub fn resolved() -> Value {
    json!(
        transaction()
            .map(|transaction| Transaction { attempts: 20, ..completed_from(transaction) })
    )
}

/// The same as the first lines of a CSV.
pub fn csv() -> &'static str {
    "transactionId,status,amount,currency,reference,idempotencyKey,description,timestamp,sourceAccount,destinationAccount,\
     metadata,submittedAt,completedAt,error,attempts,nextAttemptAt\r\n\
     7c9e6679-7425-40de-944b-e07fc1f90ae7,completed,100.50,USD,invoice-2026-0042,order-2026-0042,\
     Payment of invoice 2026-0042,2026-01-31T00:00:00Z,ACC-1001,ACC-2002,\"{\"\"order_id\"\":\"\"12345\"\"}\",\
     2026-01-31T00:00:00.250Z,2026-01-31T00:00:04.250Z,,1,\r\n"
}

/// A webhook with what it must have.
pub fn webhook() -> Value {
    json!({
        "transaction_id": "txn_abc123",
        "source_account": "acc_1",
        "destination_account": "acc_2",
        "amount": amount(),
        "currency": "USD",
    })
}

/// A webhook that is stored.
pub fn received() -> Value {
    json!(Received { transaction_id: "txn_abc123", status: SenderStatus::Processing })
}

/// What became of it.
pub fn sender_view() -> Value {
    json!(transaction().map(|transaction| SenderView {
        transaction_id: "txn_abc123".to_owned(),
        source_account: Some("acc_1".to_owned()),
        destination_account: Some("acc_2".to_owned()),
        amount: transaction.amount,
        currency: transaction.currency,
        status: SenderStatus::Processed,
        created_at: at(250),
        processed_at: Some(at(4_250)),
    }))
}

/// A batch of two, the second of which is refused.
pub fn batch() -> Value {
    json!([
        {"idempotencyKey": "order-1", "amount": amount(), "currency": "USD"},
        {"idempotencyKey": "order-2", "amount": 0, "currency": "USD"},
    ])
}

/// What became of it.
pub fn answers() -> Value {
    let accepted =
        |transaction| Answer::Accepted { index: 0, status: 202, replayed: false, transaction };
    json!({ "data": [transaction().map(accepted), Some(refused())] })
}

/// What became of one line.
pub fn refused() -> Answer {
    let errors = vec![FieldError::new("/amount", "must be greater than zero")];
    let problem = Problem::invalid(errors).document(Some(REQUEST_ID.to_owned()));
    Answer::Refused { index: 1, status: 422, problem }
}

/// A page with one transaction.
pub fn page() -> Value {
    let data = transaction().map(completed_from).into_iter().collect();
    let next_cursor = format!("{}_{}", at(250).timestamp_micros(), ID.simple());
    json!(Page { data, next_cursor: Some(next_cursor) })
}

/// An attempt that was answered with an error after it had written, and the verification that found it.
pub fn attempts() -> Value {
    let attempt = Attempt {
        number: 1,
        started_at: at(260),
        ended_at: Some(at(2_300)),
        outcome: Some(Outcome::Unknown),
        http_status: Some(500),
        transport_error: None,
        answer_excerpt: Some(r#"{"error":"internal error"}"#.to_owned()),
        verifications: vec![Verification {
            started_at: at(3_900),
            ended_at: at(4_200),
            finding: Finding::Found,
            http_status: Some(200),
            error: None,
        }],
    };
    json!({ "data": [attempt] })
}

/// The record of one cancellation.
pub fn interventions() -> Value {
    let intervened = Intervened {
        at: at(900),
        principal: "anonymous".to_owned(),
        action: "cancel".to_owned(),
        from_status: Some("pending".to_owned()),
        to_status: Some("cancelled".to_owned()),
        reason: Some("submitted twice by mistake".to_owned()),
    };
    json!({ "data": [intervened] })
}

/// All is well.
pub fn health() -> Value {
    health_report(Health {
        status: Status::Healthy,
        reasons: Vec::new(),
        queue_depth: Some(3),
        in_flight: Some(1),
        retry_count: Some(1),
        in_doubt: Some(0),
        error_rate: Some(0.05),
        oldest_pending_seconds: Some(0.2),
        paused: Some(false),
        workers: Some(1),
        circuit: Some(Circuit::Closed),
    })
}

/// The database does not answer.
pub fn unhealthy() -> Value {
    health_report(Health::unreachable())
}

fn health_report(health: Health) -> Value {
    json!(Report { health, uptime: 86_400, version: env!("CARGO_PKG_VERSION") })
}

/// A bulk retry right after it was asked for.
pub fn running() -> Value {
    json!(bulk_retry())
}

/// A bulk retry that is through.
pub fn finished() -> Value {
    json!(BulkRetry {
        status: "finished",
        examined: 120,
        retried: 118,
        finished_at: Some(at(9_000)),
        ..bulk_retry()
    })
}

fn bulk_retry() -> BulkRetry {
    BulkRetry {
        bulk_retry_id: uuid!("0199e2a4-5f7c-7cc3-9d3c-2f1a55b0a6f1"),
        status: "running",
        filter: Filter {
            status: Some(State::Failed),
            currency: Currency::parse("USD").ok(),
            ..Filter::default()
        },
        examined: 0,
        retried: 0,
        requested_at: at(0),
        finished_at: None,
    }
}
