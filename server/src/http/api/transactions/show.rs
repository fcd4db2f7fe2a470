//! `GET /api/transactions/{id}` and `/attempts`: one transaction, and its attempts.

use std::num::NonZeroU32;

use axum::{
    Extension, Json,
    extract::{Path, State, rejection::PathRejection},
};
use domain::{Attempt, Caller, Finding, Outcome, Scope, Transaction, Verification};
use gateway::{Gateway, MAX_ATTEMPTS_PAGE};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{example, filter::UncheckedQuery};
use crate::http::{
    problem::{Problem, error_responses},
    request::{fields::Fields, path::transaction_id},
};

/// Attempts in a page if the client does not set a limit: more than most transactions ever have.
const DEFAULT_LIMIT: u32 = 100;

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
    Extension(caller): Extension<Caller>,
    id: Result<Path<Uuid>, PathRejection>,
) -> Result<Json<Transaction>, Problem> {
    let id = transaction_id(id)?;
    let found = gateway.transaction(&caller.scope(), id).await?;
    found.map(Json).ok_or_else(Problem::no_such_transaction)
}

/// A page of the attempts of a transaction, first to last.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Attempts {
    /// The attempts.
    data: Vec<Attempt>,
    /// The `cursor` of the next page; null if this is the last one.
    next_cursor: Option<String>,
}

/// Which page of the attempts is requested.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(
    dead_code,
    reason = "for the API's document: all wrong fields are reported together, so each is read by hand"
)]
pub struct AttemptsPage {
    /// Where the page starts: the `nextCursor` of the previous page.
    #[param(pattern = "^[1-9][0-9]{0,8}$", example = "100")]
    cursor: Option<String>,
    /// Attempts in a page.
    #[param(minimum = 1, maximum = 200, default = 100)]
    limit: Option<u32>,
}

/// List the attempts of a transaction
///
/// Every POST to the posting service, with its outcome and the verifications after it. Verifications in a row that ended
/// alike are one entry, with their `count`.
#[utoipa::path(
    get,
    path = "/api/transactions/{id}/attempts",
    operation_id = "listAttempts",
    tag = "Transactions",
    params(("id" = Uuid, Path, description = "The transaction's id."), AttemptsPage),
    responses(
        (
            status = 200,
            description = "A page of the attempts, first to last.",
            body = Attempts,
            links(("next" = (
                operation_id = "listAttempts",
                parameters(("id" = "$request.path.id"), ("cursor" = "$response.body#/nextCursor")),
            ))),
            example = json!(example_of_attempts()),
        ),
        error_responses::OfLookup,
        error_responses::OfList,
    ),
)]
pub async fn attempts(
    State(gateway): State<Gateway>,
    Extension(caller): Extension<Caller>,
    id: Result<Path<Uuid>, PathRejection>,
    query: UncheckedQuery,
) -> Result<Json<Attempts>, Problem> {
    let id = transaction_id(id)?;
    let (after, limit) = page(query)?;
    // One more shows whether there is another page.
    let mut data = gateway.attempts(id, after, limit + 1).await?;
    let scope = caller.scope();
    if (data.is_empty() || scope != Scope::All) && gateway.transaction(&scope, id).await?.is_none()
    {
        return Err(Problem::no_such_transaction());
    }
    let more = data.len() > limit as usize;
    data.truncate(limit as usize);
    let next_cursor = data.last().filter(|_| more).map(|last| last.number.to_string());
    Ok(Json(Attempts { data, next_cursor }))
}

/// The attempt after which the page begins, and how many there are in it.
fn page(query: UncheckedQuery) -> Result<(u32, u32), Problem> {
    let query = query.map_err(|_| Problem::malformed("the query cannot be read"))?;
    let mut fields = Fields::of_query(query.0);
    let after = fields.text("/cursor", |text| match text.parse::<NonZeroU32>() {
        Ok(number) if number.get() < 1_000_000_000 => Ok(number.get()),
        _ => Err("must be the nextCursor of another page"),
    });
    let limit = fields.text("/limit", |text| match text.parse() {
        Ok(limit) if (1..=MAX_ATTEMPTS_PAGE).contains(&limit) => Ok(limit),
        _ => Err(format!("must be a whole number from 1 to {MAX_ATTEMPTS_PAGE}")),
    });
    let (after, limit) = fields.finish(Some((after, limit)))?;
    Ok((after.unwrap_or(0), limit.unwrap_or(DEFAULT_LIMIT)))
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
            first_started_at: example::at(3_900),
            count: 1,
            finding: Finding::Found,
            http_status: Some(200),
            error: None,
        }],
        verification_count: 1,
    };
    json!({ "data": [attempt], "nextCursor": null })
}
