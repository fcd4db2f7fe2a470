//! `POST /api/transactions/batch`: many submissions in one request, each with a result of its own.

mod lines;
mod submission;

use axum::{
    Extension, Json,
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use domain::{Caller, FieldError, Submission, TraceParent, Transaction};
use gateway::{Gateway, Submitted};
use serde::Serialize;
use serde_json::{Value, json};
use tower_http::request_id::RequestId;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    example,
    idempotency_header::{self, IDEMPOTENCY_KEY},
};
use crate::http::{
    body_limits::MAX_BATCH_BODY_BYTES,
    problem::{
        Document, Problem,
        error_responses::{self, EXAMPLE_REQUEST_ID},
    },
    request::trace_parent,
    state::{KeyRequired, WebState},
};
use lines::{Batch, Format};
use submission::submit_all;

/// The route of batches.
pub fn routes() -> OpenApiRouter<WebState> {
    OpenApiRouter::new().routes(routes!(submit)).layer(DefaultBodyLimit::max(MAX_BATCH_BODY_BYTES))
}

/// Submissions, each read like a single one. One that breaks a rule does not affect the others.
#[derive(ToSchema)]
#[schema(max_items = 1000)]
#[expect(dead_code, reason = "for the API's document: a wrong line has a result of its own")]
struct Submissions(Vec<Submission>);

/// The result of one line.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
enum Answer {
    /// The transaction is stored, now or by an earlier submission.
    Accepted { index: usize, status: u16, replayed: bool, transaction: Transaction },
    /// It was refused or not confirmed; the problem is that of a single submission.
    Refused { index: usize, status: u16, problem: Document },
}

/// The result of each line, in order.
#[derive(Serialize, ToSchema)]
struct Answers {
    /// The results.
    data: Vec<Answer>,
}

/// Submit up to 1,000 transactions
///
/// As a JSON array, or line by line (NDJSON); the response has the same form and a result for each, in order. A bad line
/// does not affect the others. If two lines have the same id, reference or key, the first is stored. Send a line with
/// status 503 again: after `overloaded` it was not stored, after `unavailable` it may have been. If it has no id,
/// reference or key, send it with the `transactionId` of its problem. At most 1 MiB. Each line has a key of its own:
/// `idempotencyKey`.
#[utoipa::path(
    post,
    path = "/api/transactions/batch",
    operation_id = "submitBatch",
    tag = "Transactions",
    request_body(
        content(
            (Submissions = "application/json", example = json!(example_of_batch())),
            (Submission = "application/x-ndjson", example = json!(example::submission())),
            (Submission = "application/jsonl", example = json!(example::submission())),
        ),
    ),
    responses(
        (
            status = 200,
            description = "Each submission has its own result.",
            content(
                (Answers = "application/json", example = json!(example_of_answers())),
                (Answer = "application/x-ndjson", example = json!(example_of_refused())),
            ),
        ),
        error_responses::OfBatch,
    ),
)]
async fn submit(
    State(gateway): State<Gateway>,
    State(key_required): State<KeyRequired>,
    Extension(caller): Extension<Caller>,
    request_id: Option<Extension<RequestId>>,
    uri: Uri,
    headers: HeaderMap,
    batch: Batch,
) -> Result<Response, Problem> {
    idempotency_header::refuse_misnamed(&headers, &uri)?;
    if headers.contains_key(IDEMPOTENCY_KEY) {
        let detail =
            "is for a single transaction; in a batch, each transaction has a field idempotencyKey";
        return Err(Problem::bad_idempotency_key(detail));
    }
    let trace_state = trace_parent::state_of(&headers);
    let trace_parent = trace_parent::of(&headers);
    let read = |line: Result<Value, Problem>| {
        let mut submission = Submission::from_json(&line?).map_err(Problem::invalid)?;
        idempotency_header::require(key_required, &submission)?;
        submission.trace_parent = trace_parent;
        submission.trace_state = trace_state.clone();
        Ok(submission)
    };
    let results =
        submit_all(&gateway, caller.principal(), batch.lines.into_iter().map(read).collect()).await;

    let request_id = request_id.as_ref().and_then(|id| id.header_value().to_str().ok());
    let mut failed = results.iter().filter_map(|result| result.as_ref().err());
    if let Some(first) = failed.find(|problem| problem.is_server_fault()) {
        let lines = 1 + failed.filter(|problem| problem.is_server_fault()).count();
        let trace_id = trace_parent.map(TraceParent::trace_id);
        tracing::error!(
            request_id,
            trace_id,
            lines,
            first_cause = first.cause(),
            "lines of a batch failed"
        );
    }
    let answers = results.into_iter().enumerate().map(|(index, result)| match result {
        Ok(Submitted { transaction, replayed }) => {
            Answer::Accepted { index, status: StatusCode::ACCEPTED.as_u16(), replayed, transaction }
        }
        Err(problem) => {
            let problem = problem.document(request_id.map(str::to_owned));
            Answer::Refused { index, status: problem.status, problem }
        }
    });
    Ok(match batch.format {
        Format::Json => Json(Answers { data: answers.collect() }).into_response(),
        Format::JsonLines => {
            let mut lines = Vec::new();
            for answer in answers {
                serde_json::to_writer(&mut lines, &answer)
                    .map_err(|error| Problem::internal(error.to_string()))?;
                lines.push(b'\n');
            }
            ([(header::CONTENT_TYPE, "application/x-ndjson")], lines).into_response()
        }
    })
}

/// A batch of two submissions; the second one is refused.
fn example_of_batch() -> Value {
    json!([
        {"idempotencyKey": "order-1", "amount": example::amount(), "currency": "USD"},
        {"idempotencyKey": "order-2", "amount": "5.005", "currency": "USD"},
    ])
}

/// The results of that batch.
fn example_of_answers() -> Value {
    let accepted =
        |transaction| Answer::Accepted { index: 0, status: 202, replayed: false, transaction };
    json!({ "data": [example::transaction().map(accepted), Some(example_of_refused())] })
}

/// The result of a refused line.
fn example_of_refused() -> Answer {
    let errors = vec![FieldError::new("/amount", "must have at most 2 decimals in USD")];
    let problem = Problem::invalid(errors).document(Some(EXAMPLE_REQUEST_ID.to_owned()));
    Answer::Refused { index: 1, status: 422, problem }
}
