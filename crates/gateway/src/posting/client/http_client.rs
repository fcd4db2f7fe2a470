//! The posting service over HTTP.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use domain::{Amount, AnswerBody, Ending, Finding, refuses_credentials};
use futures::{FutureExt, TryFutureExt, future::BoxFuture};
use reqwest::{Body, Client, RequestBuilder, Response, StatusCode, Url, header};
use serde::Serialize;
use serde_json::{Map, Value};
use tokio::time::timeout;
use uuid::Uuid;

use super::{
    answer::{excerpt, explain, read, retry_after},
    connector::{self, ConnectorError, ForwardProxy, TlsFiles},
    credentials::{CredentialSettings, Credentials, RequestCredentials},
    deadline_body::{DeadlineBody, SendState},
    entry::{self, RequiredFields},
    watched::Watched,
};
use crate::posting::{
    boot_instant::BootInstant,
    service::{CredentialError, LookupAnswer, PostAnswer, PostingRequest, PostingService},
};

/// Posts to `{base}/transactions` and looks up `{base}/transactions/{id}`.
pub struct HttpPostingClient {
    client: Watched<Client>,
    base: String,
    timeout: Duration,
    required: RequiredFields,
    credentials: Credentials,
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
        Self::through(None, base, TlsFiles::default(), CredentialSettings::default(), timeout)
    }

    /// The same through a proxy, if there is one, with these certificates and these credentials.
    ///
    /// # Errors
    /// If `base` or the proxy is https and there are no certificates to trust, a file cannot be used, or the proxy's
    /// address is wrong.
    pub fn through(
        proxy: Option<ForwardProxy>,
        base: &str,
        tls: TlsFiles,
        credentials: CredentialSettings,
        timeout: Duration,
    ) -> Result<Self, ConnectorError> {
        Ok(Self {
            credentials: Credentials::new(credentials, &tls, timeout)?,
            client: connector::client(proxy, base, tls, timeout)?,
            base: base.trim_end_matches('/').to_owned(),
            timeout,
            required: RequiredFields::default(),
        })
    }

    /// The same, whose verifications find an entry only if it has these fields.
    #[must_use]
    pub fn requiring(self, required: RequiredFields) -> Self {
        Self { required, ..self }
    }

    /// What a request needs before it can be made. A file that is slow to read is not waited for longer than an answer.
    async fn ready(&self) -> Result<(Arc<Client>, RequestCredentials), CredentialError> {
        let ready = async {
            let credentials = self.credentials.for_request().await?;
            Ok((self.client.current().await, credentials))
        };
        timeout(self.timeout, ready).await.unwrap_or(Err(CredentialError::TimedOut))
    }

    /// Learns from the status of an answer whether the credentials of its request are good. If they were refused, others
    /// are looked for; returns whether there are some.
    async fn learn(&self, status: u16, credentials: &RequestCredentials) -> bool {
        if refuses_credentials(status) {
            let renewed = timeout(self.timeout, self.credentials.renew(credentials, status));
            return renewed.await.unwrap_or_default();
        }
        // A server error may come from a gateway that has not looked at them.
        if status < 500 {
            credentials.note_accepted();
        }
        false
    }
}

impl PostingService for HttpPostingClient {
    fn prepare(&self) -> BoxFuture<'_, Result<(), CredentialError>> {
        self.ready().map_ok(drop).boxed()
    }

    fn post<'a>(
        &'a self,
        posting_request: &'a PostingRequest,
        send_deadline: BootInstant,
    ) -> BoxFuture<'a, PostAnswer> {
        async move {
            let (client, credentials) = match self.ready().await {
                Ok(ready) => ready,
                Err(error) => return not_written(error.to_string()),
            };
            let body = Entry {
                id: posting_request.id,
                amount: posting_request.amount,
                currency: posting_request.currency.code(),
                description: posting_request.description.as_deref().unwrap_or_default(),
                timestamp: posting_request.timestamp,
                metadata: posting_request.metadata.as_ref(),
            };
            let body = match serde_json::to_vec(&body) {
                Ok(body) => Bytes::from(body),
                Err(error) => return not_written(error.to_string()),
            };
            let request = client
                .post(format!("{}/transactions", self.base))
                .header(header::CONTENT_TYPE, "application/json")
                .header("idempotency-key", posting_request.id.to_string());
            let request = credentials.on(traced(request, posting_request), &body);
            let body = DeadlineBody::new(body, send_deadline);
            let send_state = body.send_state();
            match request.body(Body::wrap(body)).send().await {
                Err(error) => broken(&error, &send_state),
                Ok(response) => {
                    let status = response.status().as_u16();
                    let answer = answered(response, posting_request).await;
                    let credentials_renewed = self.learn(status, &credentials).await;
                    PostAnswer { credentials_renewed, ..answer }
                }
            }
        }
        .boxed()
    }

    fn verify<'a>(&'a self, posting_request: &'a PostingRequest) -> BoxFuture<'a, LookupAnswer> {
        async move {
            let (client, credentials) = match self.ready().await {
                Ok(ready) => ready,
                Err(error) => return LookupAnswer::failed(error.to_string()),
            };
            let url = format!("{}/transactions/{}", self.base, posting_request.id);
            let path = Url::parse(&url).map(|url| url.path().to_owned()).unwrap_or_default();
            let request = client
                .get(url)
                // An absence that a cache on the way remembers proves nothing.
                .header(header::CACHE_CONTROL, "no-cache");
            let request = credentials.on(traced(request, posting_request), path.as_bytes());
            let response = match request.send().await {
                Ok(response) => response,
                Err(error) => return LookupAnswer::failed(explain(&error)),
            };
            let (status, retry_after) = (response.status(), retry_after(&response));
            let read = read_lookup(status, response, posting_request, self.required).await;
            let (finding, error) = read.unwrap_or_else(|error| (Finding::Failed, Some(error)));
            let credentials_renewed = self.learn(status.as_u16(), &credentials).await;
            let http_status = Some(status.as_u16());
            LookupAnswer { finding, http_status, error, retry_after, credentials_renewed }
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
    PostAnswer::without_answer(Ending::NotWritten, error)
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
    PostAnswer::without_answer(ending, explain(error))
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
        credentials_renewed: false,
    }
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
