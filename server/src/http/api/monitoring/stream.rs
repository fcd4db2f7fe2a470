//! `GET /api/stream`: changes, as server-sent events.
//!
//! `transactions` has the latest version of each changed transaction, `counts` the number in each state, and `posting`
//! the pause and the workers' circuit breakers. The id of an event is a position in the change feed: with it in
//! `Last-Event-ID`, a client continues where it stopped. At most the latest 200 missed changes are sent.

use std::convert::Infallible;

use axum::{
    extract::State,
    http::HeaderMap,
    response::{
        IntoResponse, Response, Sse,
        sse::{Event, KeepAlive},
    },
};
use domain::{Counts, PostingStatus, Transaction};
use futures::{StreamExt, stream};
use gateway::{Change, Gateway};
use serde::Serialize;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::http::{
    problem::{Problem, error_responses},
    state::WebState,
};

/// The route of the stream.
pub fn routes() -> OpenApiRouter<WebState> {
    OpenApiRouter::new().routes(routes!(open))
}

/// One event of the stream: its lines as members, and its data decoded.
#[derive(ToSchema)]
#[expect(dead_code, reason = "for the API's document: axum writes events itself")]
struct StreamEvent {
    /// The kind of `data`.
    #[schema(pattern = "^(transactions|counts|posting)$")]
    event: String,
    /// A position in the change feed.
    #[schema(pattern = "^[0-9]+$")]
    id: String,
    data: EventData,
}

/// The data of an event, which is one line of JSON.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "for the API's document: axum writes events itself")]
enum EventData {
    /// The transactions that changed.
    Transactions(Vec<Transaction>),
    /// How many are in each state.
    Counts(Counts),
    /// The status of posting.
    Posting(PostingStatus),
}

/// Follow changes
///
/// Server-sent events. `transactions` has a list of changed transactions, each in its latest version; `counts` has the
/// number in each state; `posting` has the status of posting. The id of an event is a position in the change feed: with
/// it in `Last-Event-ID`, a client continues where it stopped. At most the latest 200 missed changes are sent.
#[utoipa::path(
    get,
    path = "/api/stream",
    operation_id = "followChanges",
    tag = "Transactions",
    params(("Last-Event-ID" = Option<String>, Header, description = "The id of the last event that was received.", example = "48213")),
    responses(
        (
            status = 200,
            description = "The stream, which lasts until either side ends it.",
            body = StreamEvent,
            content_type = "text/event-stream",
            example = json!(example_of_counts()),
        ),
        error_responses::Any,
    ),
)]
async fn open(
    State(gateway): State<Gateway>,
    State(stop): State<CancellationToken>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let last_event_id = headers.get("last-event-id").and_then(|value| value.to_str().ok());
    let since = last_event_id.and_then(|text| text.parse().ok());
    // Listening comes first, so that a change in between is sent twice rather than never.
    let listener = gateway.changes().listen().await;
    let first = gateway.changes().since(since).await?;
    let rest = stream::unfold((listener, stop), async |(mut listener, stop)| {
        tokio::select! {
            change = listener.next() => change.map(|change| (change, (listener, stop))),
            () = stop.cancelled() => None,
        }
    });
    let events =
        stream::once(async { first }).chain(rest).flat_map(|change| stream::iter(events(&change)));
    Ok(Sse::new(events.map(Ok::<_, Infallible>)).keep_alive(KeepAlive::default()).into_response())
}

/// The events of a change. The first change for a client without a position may have no transactions.
fn events(change: &Change) -> Vec<Event> {
    let transactions = (!change.transactions.is_empty())
        .then(|| event("transactions", change.position, &change.transactions));
    let counts = change.counts.map(|counts| event("counts", change.position, &counts));
    let posting = change.posting.as_ref().map(|posting| event("posting", change.position, posting));
    transactions.into_iter().chain(counts).chain(posting).flatten().collect()
}

fn event(name: &str, position: i64, data: &impl Serialize) -> Option<Event> {
    match Event::default().event(name).id(position.to_string()).json_data(data) {
        Ok(event) => Some(event),
        Err(error) => {
            tracing::error!(%error, name, "an event could not be serialized");
            None
        }
    }
}

/// An event with the number of transactions in each state.
fn example_of_counts() -> Value {
    let counts = json!({
        "pending": 3, "processing": 1, "completed": 996, "failed": 0, "inDoubt": 0, "rejected": 0, "cancelled": 0,
    });
    json!({"event": "counts", "id": "48213", "data": counts})
}
