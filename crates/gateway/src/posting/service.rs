//! What the engine requires of a posting service. Two types implement it: [`crate::HttpPostingClient`] and
//! the scripted service of the tests.

use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::{
    Amount, Currency, Ending, Finding, TraceParent, TraceState, breaker::Signal,
    refuses_credentials,
};
use futures::future::BoxFuture;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::boot_instant::BootInstant;

/// What is sent to the posting service, and what its entry is compared with.
#[derive(Debug, Clone, PartialEq)]
pub struct PostingRequest {
    /// The transaction's id.
    pub id: Uuid,
    /// The amount.
    pub amount: Amount,
    /// The currency of the amount.
    pub currency: Currency,
    /// A text for people.
    pub description: Option<String>,
    /// When it happened, or when it was submitted if the client gave no time.
    pub timestamp: DateTime<Utc>,
    /// Any data that the client attached.
    pub metadata: Option<Map<String, Value>>,
    /// The trace of the client that submitted it, or its own if the client sent none.
    pub trace_parent: TraceParent,
    /// What the vendors of that trace keep in it.
    pub trace_state: Option<TraceState>,
}

/// The result of one POST, with the evidence for the timeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostAnswer {
    /// How it ended.
    pub ending: Ending,
    /// The transport error, if there was no answer.
    pub transport_error: Option<String>,
    /// The beginning of the answer's body.
    pub excerpt: Option<String>,
    /// The credentials were refused, and the next request has others: their refusal says nothing about it.
    pub credentials_renewed: bool,
}

impl PostAnswer {
    /// No answer came, because of this.
    pub fn without_answer(ending: Ending, error: String) -> Self {
        Self { ending, transport_error: Some(error), excerpt: None, credentials_renewed: false }
    }
}

/// The result of one verification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LookupAnswer {
    /// The finding.
    pub finding: Finding,
    /// The status of the answer, if there was one.
    pub http_status: Option<u16>,
    /// The error, or how the entry differs.
    pub error: Option<String>,
    /// How long the posting service asked us to wait.
    pub retry_after: Option<Duration>,
    /// As in [`PostAnswer::credentials_renewed`].
    pub credentials_renewed: bool,
}

impl LookupAnswer {
    /// A verification to which no answer came, because of this.
    pub fn failed(error: String) -> Self {
        Self {
            finding: Finding::Failed,
            http_status: None,
            error: Some(error),
            retry_after: None,
            credentials_renewed: false,
        }
    }

    /// Whether the posting service refused our credentials, and there are no others.
    pub fn refuses_credentials(&self) -> bool {
        !self.credentials_renewed && self.http_status.is_some_and(refuses_credentials)
    }
}

/// Why a request has no credential. Nothing was sent to the posting service.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// The token endpoint does not answer, or is in trouble.
    #[error("no access token: {0}")]
    NoToken(String),
    /// The token endpoint refuses the client's id, its secret or its scope.
    #[error("no access token: the token endpoint refuses our credentials ({0})")]
    TokenRefused(String),
    /// The token endpoint's answer is a success that cannot be used.
    #[error("no access token: {0}")]
    UnusableToken(&'static str),
    /// It took longer than a request to the posting service may take.
    #[error("no credential in time")]
    TimedOut,
}

impl CredentialError {
    /// What it says about the posting service.
    pub fn signal(&self) -> Signal {
        match self {
            Self::TokenRefused(_) => Signal::CredentialsRefused,
            Self::NoToken(_) | Self::UnusableToken(_) | Self::TimedOut => Signal::NoCredential,
        }
    }
}

/// The system of record downstream.
pub trait PostingService: Send + Sync + 'static {
    /// Obtains what every request needs, before a transaction is claimed for one. A service that needs nothing is
    /// always ready.
    fn prepare(&self) -> BoxFuture<'_, Result<(), CredentialError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// Sends one POST and waits for its end, at most for the timeout of one request. Never sends twice.
    /// A request that was not sent by `send_deadline` is never sent: [`domain::Ending::NotWritten`].
    fn post<'a>(
        &'a self,
        request: &'a PostingRequest,
        send_deadline: BootInstant,
    ) -> BoxFuture<'a, PostAnswer>;

    /// Asks the posting service once whether it has the id.
    fn verify<'a>(&'a self, request: &'a PostingRequest) -> BoxFuture<'a, LookupAnswer>;
}
