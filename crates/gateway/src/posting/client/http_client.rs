//! The posting service over HTTP.

use std::{error::Error, time::Duration};

use chrono::{DateTime, Utc};
use domain::{Amount, AnswerBody, Ending, Finding};
use futures::{FutureExt, future::BoxFuture};
use reqwest::{Body, Client, RequestBuilder, Response, StatusCode, header};
use serde::Serialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{
    connector::{self, ConnectorError, ForwardProxy},
    deadline_body::{DeadlineBody, SendState},
    entry::{self, RequiredFields},
};
use crate::posting::{
    boot_instant::BootInstant,
    service::{LookupAnswer, PostAnswer, PostingRequest, PostingService},
};

/// The largest body that is read.
const MAX_ANSWER_BYTES: usize = 64 * 1024;
/// The length of the excerpt that is stored.
const EXCERPT_CHARS: usize = 500;

/// Posts to `{base}/transactions` and looks up `{base}/transactions/{id}`.
pub struct HttpPostingClient {
    client: Client,
    base: String,
    required: RequiredFields,
}

#[derive(Serialize)]
struct Entry<'a> {
    id: Uuid,
    amount: Amount,
    currency: &'a str,
    description: &'a str,
    timestamp: chrono::DateTime<chrono::Utc>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a Map<String, Value>>,
}

impl HttpPostingClient {
    /// A client for the posting service at `base`, with a timeout for each request. It connects directly, whatever
    /// the environment says about proxies. A verification requires no field of an entry but the id.
    ///
    /// # Errors
    /// If `base` is https and there are no certificates to trust.
    pub fn new(base: &str, timeout: Duration) -> Result<Self, ConnectorError> {
        Self::through(None, base, timeout)
    }

    /// The same through a proxy, if there is one.
    ///
    /// # Errors
    /// If `base` or the proxy is https and there are no certificates to trust, or the proxy's address is wrong.
    pub fn through(
        proxy: Option<ForwardProxy>,
        base: &str,
        timeout: Duration,
    ) -> Result<Self, ConnectorError> {
        let client = connector::client(proxy, base, timeout)?;
        let (base, required) = (base.trim_end_matches('/').to_owned(), RequiredFields::default());
        Ok(Self { client, base, required })
    }

    /// The same, whose verifications find an entry only if it has these fields.
    #[must_use]
    pub fn requiring(self, required: RequiredFields) -> Self {
        Self { required, ..self }
    }
}

impl PostingService for HttpPostingClient {
    fn post<'a>(
        &'a self,
        posting_request: &'a PostingRequest,
        send_deadline: BootInstant,
    ) -> BoxFuture<'a, PostAnswer> {
        async move {
            let body = Entry {
                id: posting_request.id,
                amount: posting_request.amount,
                currency: posting_request.currency.code(),
                description: posting_request.description.as_deref().unwrap_or_default(),
                timestamp: posting_request.timestamp,
                metadata: posting_request.metadata.as_ref(),
            };
            let body = match serde_json::to_vec(&body) {
                Ok(body) => DeadlineBody::new(body, send_deadline),
                Err(error) => return not_written(error.to_string()),
            };
            let send_state = body.send_state();
            let request = self
                .client
                .post(format!("{}/transactions", self.base))
                .header(header::CONTENT_TYPE, "application/json")
                .header("idempotency-key", posting_request.id.to_string())
                .body(Body::wrap(body));
            match traced(request, posting_request).send().await {
                Err(error) => broken(&error, &send_state),
                Ok(response) => answered(response, posting_request).await,
            }
        }
        .boxed()
    }

    fn verify<'a>(&'a self, posting_request: &'a PostingRequest) -> BoxFuture<'a, LookupAnswer> {
        async move {
            let request = self
                .client
                .get(format!("{}/transactions/{}", self.base, posting_request.id))
                // An absence that a cache on the way remembers proves nothing.
                .header(header::CACHE_CONTROL, "no-cache");
            let response = match traced(request, posting_request).send().await {
                Ok(response) => response,
                Err(error) => {
                    let (finding, error) = (Finding::Failed, Some(explain(&error)));
                    return LookupAnswer { finding, http_status: None, error, retry_after: None };
                }
            };
            let (status, retry_after) = (response.status(), retry_after(&response));
            let read = read_lookup(status, response, posting_request, self.required).await;
            let (finding, error) = read.unwrap_or_else(|error| (Finding::Failed, Some(error)));
            LookupAnswer { finding, http_status: Some(status.as_u16()), error, retry_after }
        }
        .boxed()
    }
}

/// Continues the submission's trace. Each request is a span of its own.
fn traced(request: RequestBuilder, posting_request: &PostingRequest) -> RequestBuilder {
    let span = posting_request.trace_parent.from_span(rand::random());
    let request = request.header("traceparent", span.to_string());
    match &posting_request.trace_state {
        Some(state) => request.header("tracestate", state.as_str()),
        None => request,
    }
}

fn not_written(error: String) -> PostAnswer {
    PostAnswer { ending: Ending::NotWritten, transport_error: Some(error), excerpt: None }
}

fn broken(error: &reqwest::Error, send_state: &SendState) -> PostAnswer {
    // If this succeeds, the request can no longer be sent, whatever the connection still does.
    let ending = if send_state.prevent_send() {
        return not_written(explain(error));
    } else if error.is_timeout() {
        Ending::TimedOut
    } else {
        Ending::Broken
    };
    PostAnswer { ending, transport_error: Some(explain(error)), excerpt: None }
}

async fn answered(response: Response, posting_request: &PostingRequest) -> PostAnswer {
    let status = response.status().as_u16();
    let retry_after = retry_after(&response);
    let (body, error) = match read(response).await {
        Ok(body) => (body, None),
        Err(error) => (Vec::new(), Some(error)),
    };
    let said = match error {
        None => entry::read_post(&body, posting_request),
        Some(_) => AnswerBody::Unclear,
    };
    PostAnswer {
        ending: Ending::Answered { status, body: said, retry_after },
        transport_error: error,
        excerpt: excerpt(&body),
    }
}

/// `Retry-After`: a number of seconds, or a date (RFC 9110, section 10.2.3).
fn retry_after(response: &Response) -> Option<Duration> {
    let text = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?;
    match text.parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => (DateTime::parse_from_rfc2822(text).ok()?.to_utc() - Utc::now()).to_std().ok(),
    }
}

/// Reads at most [`MAX_ANSWER_BYTES`].
async fn read(mut response: Response) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| explain(&error))? {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_ANSWER_BYTES {
            return Err(format!("the answer is longer than {MAX_ANSWER_BYTES} bytes"));
        }
    }
    Ok(body)
}

fn excerpt(body: &[u8]) -> Option<String> {
    // PostgreSQL's text cannot hold U+0000.
    let text = String::from_utf8_lossy(body).replace('\0', "\u{fffd}");
    let text: String = text.trim().chars().take(EXCERPT_CHARS).collect();
    (!text.is_empty()).then_some(text)
}

/// Reads the answer of the posting service about an id: the finding, and how an entry differs. An unreadable answer
/// proves nothing: it is an error, never an absence.
async fn read_lookup(
    status: StatusCode,
    response: Response,
    posting_request: &PostingRequest,
    required: RequiredFields,
) -> Result<(Finding, Option<String>), String> {
    if status == StatusCode::NOT_FOUND {
        return Ok((Finding::Absent, None));
    }
    if status != StatusCode::OK {
        return Err(format!("answered {status}"));
    }
    let body = read(response).await?;
    let (finding, difference) = entry::read_lookup(&body, posting_request, required)?;
    Ok((finding, difference.map(str::to_owned)))
}

/// The error with its causes, without the URL, which may hold credentials.
fn explain(error: &reqwest::Error) -> String {
    let mut text = match error {
        _ if error.is_connect() => "no connection".to_owned(),
        _ if error.is_timeout() => "no answer in time".to_owned(),
        _ => "the connection broke".to_owned(),
    };
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text.chars().take(EXCERPT_CHARS).collect()
}
