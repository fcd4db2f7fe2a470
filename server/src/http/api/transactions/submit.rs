//! `/api/transactions`.

use std::str::FromStr;

use axum::{
    Json,
    extract::{Path, State, rejection::PathRejection},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use domain::{Attempt, Page, Principal, Submission, Transaction};
use gateway::{Cursor, Filter, Gateway, MAX_PAGE};
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::http::{
    Web,
    api::transactions::{
        filter::{self, AnyQuery},
        idempotency_key::{self, KeyRequired},
    },
    openapi::examples,
    problem::{Problem, error_responses},
    request::{body::JsonBody, trace_parent},
};

/// Transactions in a page where the client does not say.
const DEFAULT_LIMIT: u32 = 50;
const IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// The routes of transactions.
pub fn routes() -> OpenApiRouter<Web> {
    OpenApiRouter::new()
        .routes(routes!(list, submit))
        .routes(routes!(show))
        .routes(routes!(attempts))
}

/// What a submission may carry beside its body.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(
    dead_code,
    reason = "for the document: a header that is wrong is told in a problem, so each is read by hand"
)]
struct SubmissionHeaders {
    /// Your key for sending it again: 1 to 255 visible ASCII characters, bare or quoted as a string of RFC 8941.
    /// Mandatory where `IDEMPOTENCY_KEY_REQUIRED` is set.
    #[param(
        rename = "Idempotency-Key",
        pattern = r##"^([!#-~][!-~]{0,254}|"([!#-\[\]-~]|\\["\\]){1,255}")$"##,
        example = "order-2026-0042"
    )]
    idempotency_key: Option<String>,
    /// The trace to go on with (W3C Trace Context); one that is invalid counts as absent.
    #[param(example = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")]
    traceparent: Option<String>,
}

/// Submit a transaction
///
/// Once this is answered with 202 it is committed, and is posted exactly once. Sent again under the same
/// `Idempotency-Key`, `id` or `reference`, and with the same content, it is the same transaction, and answered
/// as it was the first time. A key is kept as long as its transaction.
#[utoipa::path(
    post,
    path = "/api/transactions",
    operation_id = "submitTransaction",
    tag = "Transactions",
    params(SubmissionHeaders),
    request_body(content = Submission, example = json!(examples::submission())),
    responses(
        (
            status = 202,
            description = "It is stored, now or earlier.",
            body = Transaction,
            headers(
                ("Location" = String, description = "Where it is."),
                ("Idempotent-Replayed" = String, description = "`true` where it was stored earlier."),
            ),
            links(
                ("show" = (operation_id = "showTransaction", parameters(("id" = "$response.body#/transactionId")))),
                ("attempts" = (operation_id = "listAttempts", parameters(("id" = "$response.body#/transactionId")))),
                ("interventions" = (operation_id = "listInterventions", parameters(("id" = "$response.body#/transactionId")))),
                ("retry" = (operation_id = "retryTransaction", parameters(("id" = "$response.body#/transactionId")))),
                ("resolve" = (operation_id = "resolveTransaction", parameters(("id" = "$response.body#/transactionId")))),
                ("cancel" = (operation_id = "cancelTransaction", parameters(("id" = "$response.body#/transactionId")))),
            ),
            example = json!(examples::pending()),
        ),
        error_responses::OfSubmission,
    ),
)]
async fn submit(
    State(gateway): State<Gateway>,
    State(key_required): State<KeyRequired>,
    headers: HeaderMap,
    body: JsonBody,
) -> Result<Response, Problem> {
    let mut submission = Submission::from_json(&body.0).map_err(Problem::invalid)?;
    idempotency_key::take_from_header(&mut submission, &headers)?;
    key_required.check(&submission)?;
    submission.trace_parent = trace_parent::of(&headers);
    let id = submission.id;
    let submitted = gateway
        .submit(&Principal::anonymous(), submission)
        .await
        .map_err(|error| Problem::from(error).about(id))?;
    let location = format!("/api/transactions/{}", submitted.transaction.transaction_id);
    let mut response =
        (StatusCode::ACCEPTED, [(header::LOCATION, location)], Json(submitted.transaction))
            .into_response();
    if submitted.replayed {
        response.headers_mut().insert(IDEMPOTENT_REPLAYED, HeaderValue::from_static("true"));
    }
    Ok(response)
}

/// Show a transaction
#[utoipa::path(
    get,
    path = "/api/transactions/{id}",
    operation_id = "showTransaction",
    tag = "Transactions",
    params(("id" = Uuid, Path, description = "The transaction's id.")),
    responses(
        (status = 200, description = "As it is now.", body = Transaction, example = json!(examples::completed())),
        error_responses::OfLookup,
    ),
)]
async fn show(
    State(gateway): State<Gateway>,
    id: Result<Path<Uuid>, PathRejection>,
) -> Result<Json<Transaction>, Problem> {
    let id = known(id)?;
    gateway.transaction(id).await?.map(Json).ok_or_else(Problem::no_such_transaction)
}

/// Every attempt of a transaction, first to last.
#[derive(Serialize, ToSchema)]
struct Attempts {
    /// The attempts.
    data: Vec<Attempt>,
}

/// List the attempts of a transaction
///
/// Every POST to the posting service, with what it is known to have done, and every verification after it.
#[utoipa::path(
    get,
    path = "/api/transactions/{id}/attempts",
    operation_id = "listAttempts",
    tag = "Transactions",
    params(("id" = Uuid, Path, description = "The transaction's id.")),
    responses(
        (status = 200, description = "First to last.", body = Attempts, example = json!(examples::attempts())),
        error_responses::OfLookup,
    ),
)]
async fn attempts(
    State(gateway): State<Gateway>,
    id: Result<Path<Uuid>, PathRejection>,
) -> Result<Json<Attempts>, Problem> {
    let id = known(id)?;
    let data = gateway.attempts(id).await?;
    if data.is_empty() && gateway.transaction(id).await?.is_none() {
        return Err(Problem::no_such_transaction());
    }
    Ok(Json(Attempts { data }))
}

/// Which stretch of a list is wanted.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(
    dead_code,
    reason = "for the document: every field that is wrong is told at once, so each is read by hand"
)]
struct Stretch {
    /// Where to go on: the `nextCursor` of the page before.
    #[param(
        pattern = "^[0-9]{1,16}_[0-9a-f]{32}$",
        example = "1769860800250000_7c9e6679742540de944be07fc1f90ae7"
    )]
    cursor: Option<String>,
    /// Transactions in a page.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u32>,
}

/// List transactions
///
/// Newest first, those that pass all filters.
#[utoipa::path(
    get,
    path = "/api/transactions",
    operation_id = "listTransactions",
    tag = "Transactions",
    params(Filter, Stretch),
    responses(
        (
            status = 200,
            description = "A page of the list.",
            body = Page,
            links(("next" = (operation_id = "listTransactions", parameters(("cursor" = "$response.body#/nextCursor"))))),
            example = json!(examples::page()),
        ),
        error_responses::OfList,
    ),
)]
async fn list(State(gateway): State<Gateway>, query: AnyQuery) -> Result<Json<Page>, Problem> {
    let (filter, mut fields) = filter::of_query(query, &["cursor", "limit"])?;
    let cursor = fields.text("/cursor", Cursor::from_str);
    let limit = fields.text("/limit", |text| match text.parse() {
        Ok(limit) if (1..=MAX_PAGE).contains(&limit) => Ok(limit),
        _ => Err(format!("must be a whole number from 1 to {MAX_PAGE}")),
    });
    let (filter, cursor, limit) = fields.end(Some((filter, cursor, limit)))?;
    let limit = limit.unwrap_or(DEFAULT_LIMIT);
    Ok(Json(gateway.transactions(&filter, cursor.as_ref(), limit).await?))
}

/// A text that is no UUID names no transaction.
pub fn known(id: Result<Path<Uuid>, PathRejection>) -> Result<Uuid, Problem> {
    id.map(|Path(id)| id).map_err(|_| Problem::no_such_transaction())
}
