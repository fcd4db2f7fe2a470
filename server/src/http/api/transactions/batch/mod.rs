//! `POST /api/transactions/batch`: many submissions in one call, each with an answer of its own.

mod lines;
mod submission;

use axum::{
    Extension, Json,
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use domain::{FieldError, Submission, TraceParent, Transaction};
use gateway::{Gateway, Submitted};
use serde::Serialize;
use serde_json::{Value, json};
use tower_http::request_id::RequestId;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    example,
    idempotency_key::{self, IDEMPOTENCY_KEY},
};
use crate::http::{
    body_limits::MAX_BATCH_BODY_BYTES,
    problem::{
        Document, Problem,
        error_responses::{self, EXAMPLE_REQUEST_ID},
    },
    request::trace_parent,
    state::{KeyRequired, Web},
};
use lines::{Batch, Format};
use submission::submit_all;

/// The route of batches.
pub fn routes() -> OpenApiRouter<Web> {
    OpenApiRouter::new().routes(routes!(submit)).layer(DefaultBodyLimit::max(MAX_BATCH_BODY_BYTES))
}

/// Submissions, each read as a single one is. One that breaks a rule does not take the others along.
#[derive(ToSchema)]
#[schema(max_items = 1000)]
#[expect(dead_code, reason = "for the document: a line that is wrong is answered for itself")]
struct Submissions(Vec<Submission>);

/// What became of one line.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
enum Answer {
    /// It is stored, now or earlier.
    Accepted { index: usize, status: u16, replayed: bool, transaction: Transaction },
    /// It was not stored, for the reason that a single submission would be told.
    Refused { index: usize, status: u16, problem: Document },
}

/// What became of each line, in order.
#[derive(Serialize, ToSchema)]
struct Answers {
    /// The answers.
    data: Vec<Answer>,
}

/// Submit up to 1,000 transactions
///
/// As a JSON array, or line by line (NDJSON); the answer has the same form and an answer for each, in order. A
/// bad line does not take the others along. Of two that name the same, the first is stored. One with status 503
/// is to be sent again. At most 1 MiB. Keys are the lines' own: `idempotencyKey`.
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
            description = "Each has its own answer.",
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
    request_id: Option<Extension<RequestId>>,
    headers: HeaderMap,
    batch: Batch,
) -> Result<Response, Problem> {
    if headers.contains_key(IDEMPOTENCY_KEY) {
        let detail =
            "is for a single transaction; those of a batch have a field idempotencyKey each";
        return Err(Problem::bad_idempotency_key(detail));
    }
    let trace_parent = trace_parent::of(&headers);
    let read = |line: Result<Value, Problem>| {
        let mut submission = Submission::from_json(&line?).map_err(Problem::invalid)?;
        idempotency_key::require(key_required, &submission)?;
        submission.trace_parent = trace_parent;
        Ok(submission)
    };
    let results = submit_all(&gateway, batch.lines.into_iter().map(read).collect()).await;

    let request_id = request_id.as_ref().and_then(|id| id.header_value().to_str().ok());
    let mut failed = results.iter().filter_map(|result| result.as_ref().err());
    if let Some(first) = failed.find(|problem| problem.is_ours()) {
        let lines = 1 + failed.filter(|problem| problem.is_ours()).count();
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

/// A batch of two, the second of which is refused.
fn example_of_batch() -> Value {
    json!([
        {"idempotencyKey": "order-1", "amount": example::amount(), "currency": "USD"},
        {"idempotencyKey": "order-2", "amount": 0, "currency": "USD"},
    ])
}

/// What became of it.
fn example_of_answers() -> Value {
    let accepted =
        |transaction| Answer::Accepted { index: 0, status: 202, replayed: false, transaction };
    json!({ "data": [example::transaction().map(accepted), Some(example_of_refused())] })
}

/// What became of one line.
fn example_of_refused() -> Answer {
    let errors = vec![FieldError::new("/amount", "must be greater than zero")];
    let problem = Problem::invalid(errors).document(Some(EXAMPLE_REQUEST_ID.to_owned()));
    Answer::Refused { index: 1, status: 422, problem }
}
