//! `GET /api/transactions/{id}` and `/attempts`: one transaction, and its attempts.

use axum::{
    Json,
    extract::{Path, State, rejection::PathRejection},
};
use domain::{Attempt, Finding, Outcome, Transaction, Verification};
use gateway::Gateway;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use uuid::Uuid;

use super::example;
use crate::http::{
    problem::{Problem, error_responses},
    request::path::transaction_id,
};

/// Show a transaction
///
/// As it is now, not as it was when it was submitted.
#[utoipa::path(
    get,
    path = "/api/transactions/{id}",
    operation_id = "showTransaction",
    tag = "Transactions",
    params(("id" = Uuid, Path, description = "The transaction's id.")),
    responses(
        (status = 200, description = "The transaction.", body = Transaction, example = json!(example::completed())),
        error_responses::OfLookup,
    ),
)]
pub async fn show(
    State(gateway): State<Gateway>,
    id: Result<Path<Uuid>, PathRejection>,
) -> Result<Json<Transaction>, Problem> {
    let id = transaction_id(id)?;
    gateway.transaction(id).await?.map(Json).ok_or_else(Problem::no_such_transaction)
}

/// Every attempt of a transaction, first to last.
#[derive(Serialize, ToSchema)]
pub struct Attempts {
    /// The attempts.
    data: Vec<Attempt>,
}

/// List the attempts of a transaction
///
/// Every POST to the posting service, with its outcome and the verifications after it.
#[utoipa::path(
    get,
    path = "/api/transactions/{id}/attempts",
    operation_id = "listAttempts",
    tag = "Transactions",
    params(("id" = Uuid, Path, description = "The transaction's id.")),
    responses(
        (status = 200, description = "The attempts, first to last.", body = Attempts, example = json!(example_of_attempts())),
        error_responses::OfLookup,
    ),
)]
pub async fn attempts(
    State(gateway): State<Gateway>,
    id: Result<Path<Uuid>, PathRejection>,
) -> Result<Json<Attempts>, Problem> {
    let id = transaction_id(id)?;
    let data = gateway.attempts(id).await?;
    if data.is_empty() && gateway.transaction(id).await?.is_none() {
        return Err(Problem::no_such_transaction());
    }
    Ok(Json(Attempts { data }))
}

/// An attempt that was answered with an error after it had taken effect, and the verification that found it.
fn example_of_attempts() -> Value {
    let attempt = Attempt {
        number: 1,
        started_at: example::at(260),
        ended_at: Some(example::at(2_300)),
        outcome: Some(Outcome::Unknown),
        http_status: Some(500),
        transport_error: None,
        answer_excerpt: Some(r#"{"error":"internal error"}"#.to_owned()),
        verifications: vec![Verification {
            started_at: example::at(3_900),
            ended_at: example::at(4_200),
            finding: Finding::Found,
            http_status: Some(200),
            error: None,
        }],
    };
    json!({ "data": [attempt] })
}
