//! `POST /api/transactions/batch`: many submissions in one call, each with an answer of its own.

use std::{collections::HashSet, time::Duration};

use axum::{
    Extension, Json,
    extract::{DefaultBodyLimit, FromRequest, Request, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use domain::{FieldError, IdempotencyKey, Principal, Submission, TraceParent, Transaction};
use futures::{StreamExt, stream};
use gateway::{Gateway, SubmitError, Submitted};
use serde::Serialize;
use serde_json::{Value, value::RawValue};
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep, timeout_at},
};
use tower_http::request_id::RequestId;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::http::{
    Web,
    api::transactions::idempotency_key::{IDEMPOTENCY_KEY, KeyRequired},
    openapi::examples,
    problem::{Document, Problem, error_responses},
    request::{body, trace_parent},
};

/// The most transactions in one batch.
const MAX_LINES: usize = 1000;
/// The largest body, in bytes.
const MAX_BODY_BYTES: usize = 1024 * 1024;
/// Lines of one batch that wait for their commit at once: as many as one commit takes.
const LINES_AT_ONCE: usize = 256;
/// Lines of all batches that do. The queue of the group commit is four times as long, so that batches
/// never take it from those who submit one by one.
static PLACES: Semaphore = Semaphore::const_new(1024);
/// A line that could not be handed over within this time is told to come again.
const BEGINS_WITHIN: Duration = Duration::from_secs(1);
/// How long a line stays away from a full queue.
const PAUSE: Duration = Duration::from_millis(10);

const MEDIA_TYPES: &str = "the body must be a JSON array, with content-type application/json, or JSON \
    line by line, with application/x-ndjson or application/jsonl";

/// The route of batches.
pub fn routes() -> OpenApiRouter<Web> {
    OpenApiRouter::new().routes(routes!(submit)).layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
}

/// Submissions, each read as a single one is. One that breaks a rule does not take the others along.
#[derive(ToSchema)]
#[schema(max_items = 1000)]
#[expect(dead_code, reason = "for the document: a line that is wrong is answered for itself")]
struct Submissions(Vec<Submission>);

/// The lines of a batch, those that are no JSON included, and how they were written.
struct Batch {
    lines: Vec<Result<Value, Problem>>,
    format: Format,
}

#[derive(Clone, Copy)]
enum Format {
    /// One array.
    Json,
    /// A line each.
    JsonLines,
}

impl Format {
    fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        match body::media_type(headers).as_str() {
            "application/x-ndjson" | "application/jsonl" => Ok(Self::JsonLines),
            _ if body::is_json(headers) => Ok(Self::Json),
            _ => Err(Problem::unsupported_media_type(MEDIA_TYPES)),
        }
    }
}

impl<S: Send + Sync> FromRequest<S> for Batch {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let format = Format::of(request.headers())?;
        let bytes = body::read_at_most(MAX_BODY_BYTES, request, state).await?;
        let lines: Vec<&[u8]> = match format {
            Format::Json => {
                let Ok(lines) = serde_json::from_slice::<Vec<&RawValue>>(&bytes) else {
                    body::parse("the body", &bytes)?;
                    return Err(Problem::invalid(vec![FieldError::new("", "must be an array")]));
                };
                lines.into_iter().map(|line| line.get().as_bytes()).collect()
            }
            Format::JsonLines => bytes
                .split(|byte| *byte == b'\n')
                .filter(|line| !line.trim_ascii().is_empty())
                .collect(),
        };
        if lines.len() > MAX_LINES {
            let message = format!("must have at most {MAX_LINES} transactions");
            return Err(Problem::invalid(vec![FieldError::new("", message)]));
        }
        let lines = lines.into_iter().map(|line| body::parse("the line", line)).collect();
        Ok(Self { lines, format })
    }
}

/// What became of one line.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub enum Answer {
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
            (Submissions = "application/json", example = json!(examples::batch())),
            (Submission = "application/x-ndjson", example = json!(examples::submission())),
            (Submission = "application/jsonl", example = json!(examples::submission())),
        ),
    ),
    responses(
        (
            status = 200,
            description = "Each has its own answer.",
            content(
                (Answers = "application/json", example = json!(examples::answers())),
                (Answer = "application/x-ndjson", example = json!(examples::refused())),
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
        key_required.check(&submission)?;
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

/// Submits what could be read, and gives a result for each line, in order.
async fn submit_all(
    gateway: &Gateway,
    lines: Vec<Result<Submission, Problem>>,
) -> Vec<Result<Submitted, Problem>> {
    let mut results = Vec::new();
    let (mut firsts, mut repetitions) = (Vec::new(), Vec::new());
    let mut names = HashSet::new();
    for (index, line) in lines.into_iter().enumerate() {
        match line {
            Err(problem) => results.push((index, Err(problem))),
            Ok(submission) => {
                let its = names_of(&submission);
                let is_first = its.iter().all(|name| !names.contains(name));
                names.extend(its);
                if is_first { &mut firsts } else { &mut repetitions }.push((index, submission));
            }
        }
    }
    let begins_before = Instant::now() + BEGINS_WITHIN;
    // What two lines call the same is the first one's, so the first goes first.
    for wave in [firsts, repetitions] {
        let answered = stream::iter(wave)
            .map(async |(index, submission)| {
                (index, submit_line(gateway, submission, begins_before).await)
            })
            .buffer_unordered(LINES_AT_ONCE);
        results.extend(answered.collect::<Vec<_>>().await);
    }
    results.sort_unstable_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}

/// What a line may have in common with another one.
#[derive(PartialEq, Eq, Hash)]
enum Name {
    Id(Uuid),
    Reference(String),
    Key(IdempotencyKey),
}

fn names_of(submission: &Submission) -> Vec<Name> {
    let id = submission.id.map(Name::Id);
    let reference = submission.reference.clone().map(Name::Reference);
    let key = submission.idempotency_key.clone().map(Name::Key);
    [id, reference, key].into_iter().flatten().collect()
}

async fn submit_line(
    gateway: &Gateway,
    submission: Submission,
    begins_before: Instant,
) -> Result<Submitted, Problem> {
    loop {
        let place = timeout_at(begins_before, PLACES.acquire()).await;
        if place.is_err() || Instant::now() >= begins_before {
            return Err(SubmitError::Overloaded.into());
        }
        match gateway.submit(&Principal::anonymous(), submission.clone()).await {
            Err(SubmitError::Overloaded) => sleep(PAUSE).await,
            Err(error) => return Err(Problem::from(error).about(submission.id)),
            Ok(submitted) => return Ok(submitted),
        }
    }
}
