//! `POST /api/transactions`: one submission.

use axum::{
    Extension, Json,
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use domain::{Caller, Submission, Transaction};
use gateway::Gateway;
use utoipa::IntoParams;

use super::{example, idempotency_header};
use crate::http::{
    problem::{Problem, error_responses},
    request::{body::JsonBody, trace_parent},
    state::KeyRequired,
};

const IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// The headers of a submission.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(
    dead_code,
    reason = "for the API's document: a wrong header is answered with a problem, so each is read by hand"
)]
struct SubmissionHeaders {
    /// Your key for repeating the submission: 1 to 255 visible ASCII characters, bare or quoted as a string of RFC 8941.
    /// Required if `IDEMPOTENCY_KEY_REQUIRED` is set.
    #[param(
        rename = "Idempotency-Key",
        pattern = r##"^([!#-~][!-~]{0,254}|"([!#-\[\]-~]|\\["\\]){1,255}")$"##,
        example = "order-2026-0042"
    )]
    idempotency_key: Option<String>,
    /// The trace that the request belongs to (W3C Trace Context); an invalid one counts as absent.
    #[param(example = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")]
    traceparent: Option<String>,
    /// What the vendors of that trace keep in it; passed on with it, up to 32 entries and 512 characters.
    #[param(example = "rojo=00f067aa0ba902b7")]
    tracestate: Option<String>,
}

/// Submit a transaction
///
/// A submission that is answered with 202 is committed, and will be posted exactly once. If it is repeated with the same
/// `Idempotency-Key`, `id` or `reference` and the same content, it is the same transaction, and the response is that of
/// the first submission. A key is kept as long as its transaction.
#[utoipa::path(
    post,
    path = "/api/transactions",
    operation_id = "submitTransaction",
    tag = "Transactions",
    params(SubmissionHeaders),
    request_body(content = Submission, example = json!(example::submission())),
    responses(
        (
            status = 202,
            description = "The transaction is stored, now or by an earlier submission.",
            body = Transaction,
            headers(
                ("Location" = String, description = "The path of the transaction."),
                ("Idempotent-Replayed" = String, description = "`true` if it was stored by an earlier submission."),
            ),
            links(
                ("show" = (operation_id = "showTransaction", parameters(("id" = "$response.body#/transactionId")))),
                ("attempts" = (operation_id = "listAttempts", parameters(("id" = "$response.body#/transactionId")))),
                ("interventions" = (operation_id = "listInterventions", parameters(("id" = "$response.body#/transactionId")))),
                ("retry" = (operation_id = "retryTransaction", parameters(("id" = "$response.body#/transactionId")))),
                ("resolve" = (operation_id = "resolveTransaction", parameters(("id" = "$response.body#/transactionId")))),
                ("cancel" = (operation_id = "cancelTransaction", parameters(("id" = "$response.body#/transactionId")))),
            ),
            example = json!(example::pending()),
        ),
        error_responses::OfSubmission,
    ),
)]
pub async fn submit(
    State(gateway): State<Gateway>,
    State(key_required): State<KeyRequired>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
    headers: HeaderMap,
    body: JsonBody,
) -> Result<Response, Problem> {
    idempotency_header::refuse_misnamed(&headers, &uri)?;
    let mut submission = Submission::from_json(&body.0).map_err(Problem::invalid)?;
    idempotency_header::take_from_header(&mut submission, &headers)?;
    idempotency_header::require(key_required, &submission)?;
    submission.trace_parent = trace_parent::of(&headers);
    submission.trace_state = trace_parent::state_of(&headers);
    let id = submission.id;
    let submitted = gateway
        .submit(caller.principal(), submission)
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
