//! What the engine wants of a posting service. Two things implement it: [`crate::HttpPostingClient`], and
//! the scripted service of the tests.

use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::{Amount, Currency, Ending, Finding, TraceParent};
use futures::future::BoxFuture;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::BootInstant;

/// What is sent to the posting service, and what an entry there is compared with.
#[derive(Debug, Clone, PartialEq)]
pub struct PostingRequest {
    /// The transaction's id.
    pub id: Uuid,
    /// How much.
    pub amount: Amount,
    /// Of what.
    pub currency: Currency,
    /// For people.
    pub description: Option<String>,
    /// When it happened; when it was submitted, where the client did not say.
    pub timestamp: DateTime<Utc>,
    /// Whatever the client wants kept with it.
    pub metadata: Option<Map<String, Value>>,
    /// The trace of whoever submitted it; its own, where there was none.
    pub trace_parent: TraceParent,
}

/// How one POST ended, with the evidence for the timeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostAnswer {
    /// How it ended.
    pub ending: Ending,
    /// What went wrong on the way, where there was no answer.
    pub transport_error: Option<String>,
    /// The beginning of the answer's body.
    pub excerpt: Option<String>,
}

/// What one verification showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LookupAnswer {
    /// What it showed.
    pub finding: Finding,
    /// The status of the answer, where there was one.
    pub http_status: Option<u16>,
    /// What went wrong, or how the entry differs.
    pub error: Option<String>,
    /// How long it asked us to stay away.
    pub retry_after: Option<Duration>,
}

/// The system of record downstream.
pub trait PostingService: Send + Sync + 'static {
    /// Sends one POST and waits for its end, at most for the time of one request. Never sends twice.
    /// What has not left by `send_deadline` never leaves: [`domain::Ending::NotWritten`].
    fn post<'a>(
        &'a self,
        posting: &'a PostingRequest,
        send_deadline: BootInstant,
    ) -> BoxFuture<'a, PostAnswer>;

    /// Asks once whether the posting service has the id.
    fn verify<'a>(&'a self, posting: &'a PostingRequest) -> BoxFuture<'a, LookupAnswer>;
}
