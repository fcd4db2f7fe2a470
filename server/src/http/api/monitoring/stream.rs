//! `GET /api/stream`: changes, as server-sent events.
//!
//! `transactions` has the latest version of each changed transaction, `unreadable` those that cannot be read, `counts` the number in each state, and `posting`
//! the pause and the workers' circuit breakers. The id of an event is a position in the change feed: with it in
//! `Last-Event-ID`, a client continues where it stopped. Every change is sent, late if need be; to a client that is too
//! far behind, `gap` says that changes are left out.

use std::{convert::Infallible, time::Duration};

use axum::{
    Extension,
    extract::State,
    http::HeaderMap,
    response::{
        IntoResponse, Response, Sse,
        sse::{Event, KeepAlive},
    },
};
use domain::{Caller, Counts, PostingStatus, Transaction, Unreadable};
use futures::{StreamExt, stream};
use gateway::{Change, Gateway, Position};
use serde::Serialize;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ObjectBuilder, Ref, RefOr, Schema, Type, extensions::Extensions},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::http::{
    StreamSlots,
    middleware::standing::Standing,
    problem::{Problem, error_responses},
    state::WebState,
};

/// When a client that has too many streams may try again: one of them must end first.
const RETRY_AFTER_TOO_MANY: Duration = Duration::from_secs(10);

/// The route of the stream.
pub fn routes() -> OpenApiRouter<WebState> {
    OpenApiRouter::new().routes(routes!(open))
}

/// One event of the stream: its lines as members.
#[derive(ToSchema)]
#[expect(dead_code, reason = "for the API's document: axum writes events itself")]
struct StreamEvent {
    /// The kind of `data`.
    #[schema(pattern = "^(transactions|unreadable|counts|posting|gap)$")]
    event: String,
    /// A position in the change feed. Its form may change.
    #[schema(pattern = "^[0-9]+(-[0-9]+)*$")]
    id: String,
    #[schema(inline)]
    data: EventLine,
}

/// The line `data` of an event: a string that has JSON in it.
struct EventLine;

impl PartialSchema for EventLine {
    fn schema() -> RefOr<Schema> {
        let content = Ref::from_schema_name(EventData::name());
        ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some("One line of JSON."))
            .content_media_type("application/json")
            // A keyword of JSON Schema, for which utoipa has no method.
            .extensions(Some(Extensions::from_iter([("contentSchema", json!(content))])))
            .into()
    }
}

impl ToSchema for EventLine {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((EventData::name().into_owned(), EventData::schema()));
        EventData::schemas(schemas);
    }
}

/// The data of an event, decoded.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "for the API's document: axum writes events itself")]
enum EventData {
    /// The transactions that changed.
    Transactions(Vec<Transaction>),
    /// The transactions that changed and cannot be read.
    Unreadable(Vec<Unreadable>),
    /// How many are in each state.
    Counts(Counts),
    /// The status of posting.
    Posting(PostingStatus),
    /// The positions between which changes were left out.
    Gap(Gap),
}

/// The data of `gap`.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Gap {
    from: String,
    to: String,
    read_again: &'static str,
}

/// Follow changes
///
/// Server-sent events. `transactions` has a list of changed transactions, each in its latest version; `unreadable` has
/// those that changed and cannot be read, each with the reason; `counts` has the number in each state; `posting` has the status of posting. The id of an event is a position in the change feed: with
/// it in `Last-Event-ID`, a client continues where it stopped. The last version of every transaction arrives, late if need
/// be. A client that is more than 10,000 changes behind receives `gap` instead of the rest: it reads the transactions
/// again, and receives all later changes. The stream ends within a second when the caller's key is revoked, its session or
/// its token ends, or its account is disabled or gets another role.
#[utoipa::path(
    get,
    path = "/api/stream",
    operation_id = "followChanges",
    tag = "Transactions",
    params(("Last-Event-ID" = Option<String>, Header, description = "The id of the last event that was received.", example = "48213")),
    responses(
        (
            status = 200,
            description = "The stream, which lasts until either side ends it, or the credential is no longer valid.",
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
    State(slots): State<StreamSlots>,
    Extension(caller): Extension<Caller>,
    standing: Standing,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let slot = slots
        .take(caller.principal())
        .ok_or_else(|| Problem::rate_limited("too many streams are open", RETRY_AFTER_TOO_MANY))?;
    let listener = gateway.changes().listen(caller.scope(), position(&headers)).await?;
    let changes = stream::unfold((listener, stop, slot), async |(mut listener, stop, slot)| {
        tokio::select! {
            change = listener.next() => change.map(|change| (change, (listener, stop, slot))),
            () = stop.cancelled() => None,
        }
    });
    let events =
        changes.take_until(standing.ended()).flat_map(|change| stream::iter(events(&change)));
    let stream = Sse::new(events.map(Ok::<_, Infallible>)).keep_alive(KeepAlive::default());
    // A proxy such as nginx would hold events back until it has a buffer full of them.
    Ok(([("x-accel-buffering", "no")], stream).into_response())
}

/// The position that a client resumes from. With an id that is not ours it resumes from the beginning: it must not
/// believe that it has missed nothing.
fn position(headers: &HeaderMap) -> Option<Position> {
    let id = headers.get("last-event-id").filter(|id| !id.is_empty())?;
    Some(id.to_str().ok().and_then(|id| id.parse().ok()).unwrap_or_else(Position::beginning))
}

/// The events of a change. The first change for a client without a position may have no transactions. Only the last of
/// those that tell of transactions has the new position: a client that loses the connection between two of them receives
/// both again.
fn events(change: &Change) -> Vec<Event> {
    let (from, at) = (change.from.to_string(), change.position.to_string());
    let (has_transactions, has_unreadable) =
        (!change.transactions.is_empty(), !change.unreadable.is_empty());
    let id_before = |more_follow: bool| if more_follow { &from } else { &at };
    let gap = change.is_gap.then(|| {
        let gap = Gap { from: from.clone(), to: at.clone(), read_again: "/api/transactions" };
        event("gap", id_before(has_transactions || has_unreadable), &gap)
    });
    let transactions = has_transactions
        .then(|| event("transactions", id_before(has_unreadable), &change.transactions));
    let unreadable = has_unreadable.then(|| event("unreadable", &at, &change.unreadable));
    let counts = change.counts.map(|counts| event("counts", &at, &counts));
    let posting = change.posting.as_ref().map(|posting| event("posting", &at, posting));
    gap.into_iter()
        .chain(transactions)
        .chain(unreadable)
        .chain(counts)
        .chain(posting)
        .flatten()
        .collect()
}

fn event(name: &str, id: &str, data: &impl Serialize) -> Option<Event> {
    match Event::default().event(name).id(id).json_data(data) {
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
    json!({"event": "counts", "id": "48213", "data": counts.to_string()})
}
