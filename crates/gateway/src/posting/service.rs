//! What the engine wants of a posting service. Two things implement it: [`crate::HttpPosting`], and
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
pub struct Posting {
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
pub struct Answer {
    /// How it ended.
    pub ending: Ending,
    /// What went wrong on the way, where there was no answer.
    pub transport_error: Option<String>,
    /// The beginning of the answer's body.
    pub excerpt: Option<String>,
}

/// What one verification showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
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
    /// What has not left by `leaves_before` never leaves: [`domain::Ending::NotWritten`].
    fn post<'a>(
        &'a self,
        posting: &'a Posting,
        leaves_before: BootInstant,
    ) -> BoxFuture<'a, Answer>;

    /// Asks once whether the posting service has the id.
    fn verify<'a>(&'a self, posting: &'a Posting) -> BoxFuture<'a, Sighting>;
}
