//! Access tokens of an OAuth 2 authorization server, by the client credentials grant (RFC 6749, section 4.4).
//!
//! A token is kept for all requests until it expires or is refused. One request for a new one is in flight at a time;
//! once 80 % of its lifetime have passed, a token is renewed in the background while it is still used.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{
    Client, StatusCode,
    header::{self, HeaderValue},
};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::OwnedMutexGuard;

use super::{
    answer::{explain, read},
    secret_text,
    watched::Watched,
};
use crate::posting::{boot_instant::BootInstant, service::CredentialError};

/// The lifetime of a token whose answer names none.
const DEFAULT_LIFETIME: Duration = Duration::from_secs(300);
/// The longest lifetime that is relied on.
const MAX_LIFETIME: Duration = Duration::from_secs(24 * 3600);
/// Between two attempts to renew a token that is still valid.
const RENEWAL_RETRY_DELAY: Duration = Duration::from_secs(1);
/// What an authorization server may give as the reason of a refusal (RFC 6749, section 5.2; RFC 8707). Other text is
/// not repeated: it may contain what was sent.
const ERROR_CODES: [&str; 7] = [
    "invalid_request",
    "invalid_client",
    "invalid_grant",
    "unauthorized_client",
    "unsupported_grant_type",
    "invalid_scope",
    "invalid_target",
];

/// The source of access tokens. Cheap to clone.
#[derive(Clone)]
pub struct TokenSource(Arc<Inner>);

struct Inner {
    client: Watched<Client>,
    token_url: String,
    client_id: String,
    client_secret: Watched<SecretString>,
    /// The body of each request.
    form: String,
    token: Mutex<Option<Arc<Token>>>,
    /// Locked while a token is requested. Holds how the latest request failed, until one succeeds.
    request: Arc<tokio::sync::Mutex<Option<Failure>>>,
}

struct Failure {
    error: CredentialError,
    ended_at: BootInstant,
}

/// An access token.
pub struct Token {
    /// The value of `Authorization`.
    pub authorization: HeaderValue,
    renew_at: BootInstant,
    expires_at: BootInstant,
    accepted: AtomicBool,
}

impl Token {
    /// A token that was requested at `requested_at`, which is never later than it was issued.
    fn new(authorization: HeaderValue, requested_at: BootInstant, lifetime: Duration) -> Self {
        let lifetime = lifetime.min(MAX_LIFETIME);
        Self {
            authorization,
            renew_at: requested_at + lifetime / 5 * 4,
            expires_at: requested_at + lifetime,
            accepted: AtomicBool::new(false),
        }
    }

    /// Notes that the posting service has accepted it.
    pub fn note_accepted(&self) {
        self.accepted.store(true, Ordering::Relaxed);
    }

    fn is_valid(&self, now: BootInstant) -> bool {
        now < self.expires_at
    }
}

/// What is asked for, and how.
pub struct TokenRequest {
    /// The URL of the token endpoint.
    pub token_url: String,
    /// The client's id.
    pub client_id: String,
    /// The client's secret.
    pub client_secret: Watched<SecretString>,
    /// The scopes, separated by spaces.
    pub scope: Option<String>,
    /// For whom the token is to be, which some servers want.
    pub audience: Option<String>,
}

#[derive(Deserialize)]
struct TokenAnswer {
    access_token: SecretString,
    token_type: String,
    expires_in: Option<Value>,
}

#[derive(Deserialize)]
struct ErrorAnswer {
    error: String,
}

impl TokenSource {
    /// A source that sends its requests with this client. None is sent yet.
    pub fn new(client: Watched<Client>, request: TokenRequest) -> Self {
        let TokenRequest { token_url, client_id, client_secret, scope, audience } = request;
        let mut form = "grant_type=client_credentials".to_owned();
        for (name, value) in [("scope", scope), ("audience", audience)] {
            if let Some(value) = value {
                form.push_str(&format!("&{name}={}", encoded(&value)));
            }
        }
        let (token, request) = Default::default();
        Self(Arc::new(Inner { client, token_url, client_id, client_secret, form, token, request }))
    }

    /// A valid token: the one that is known, or a new one.
    ///
    /// # Errors
    /// None can be had. Callers that wait for the same request get the same error.
    pub async fn token(&self) -> Result<Arc<Token>, CredentialError> {
        let asked_at = BootInstant::now();
        if let Some(token) = self.known().filter(|token| token.is_valid(asked_at)) {
            if asked_at >= token.renew_at {
                self.renew_in_the_background();
            }
            return Ok(token);
        }
        let mut latest_failure = self.0.request.clone().lock_owned().await;
        // Another caller may have asked meanwhile.
        if let Some(token) = self.known().filter(|token| token.is_valid(BootInstant::now())) {
            return Ok(token);
        }
        match &*latest_failure {
            Some(failure) if failure.ended_at >= asked_at => Err(failure.error.clone()),
            _ => self.request(&mut latest_failure).await,
        }
    }

    /// Discards a token that the posting service has refused with a status. Whether the next request has a better
    /// chance: the token was replaced already, or it was accepted before and is no longer valid (401). One that is
    /// valid and does not suffice (403) is discarded too, but another will hardly do better.
    pub fn discard(&self, token: &Arc<Token>, status: u16) -> bool {
        let mut known = self.0.token();
        let is_known = known.as_ref().is_some_and(|known| Arc::ptr_eq(known, token));
        if is_known {
            *known = None;
        }
        !is_known || (status == 401 && token.accepted.load(Ordering::Relaxed))
    }

    fn known(&self) -> Option<Arc<Token>> {
        self.0.token().clone()
    }

    fn renew_in_the_background(&self) {
        let Ok(mut latest_failure) = self.0.request.clone().try_lock_owned() else {
            return; // A request is in flight.
        };
        let now = BootInstant::now();
        if latest_failure.as_ref().is_some_and(|it| now < it.ended_at + RENEWAL_RETRY_DELAY) {
            return;
        }
        let source = self.clone();
        tokio::spawn(async move {
            let is_first = latest_failure.is_none();
            if let Err(error) = source.request(&mut latest_failure).await
                && is_first
            {
                tracing::warn!(%error, "the access token cannot be renewed; it is used until it expires");
            }
        });
    }

    /// Requests a token and keeps it. The guard is the right to do so.
    async fn request(
        &self,
        latest_failure: &mut OwnedMutexGuard<Option<Failure>>,
    ) -> Result<Arc<Token>, CredentialError> {
        match self.0.request().await {
            Ok(token) => {
                let token = Arc::new(token);
                *self.0.token() = Some(token.clone());
                **latest_failure = None;
                Ok(token)
            }
            Err(error) => {
                let ended_at = BootInstant::now();
                **latest_failure = Some(Failure { error: error.clone(), ended_at });
                Err(error)
            }
        }
    }
}

impl Inner {
    fn token(&self) -> MutexGuard<'_, Option<Arc<Token>>> {
        self.token.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn request(&self) -> Result<Token, CredentialError> {
        let (client, secret) = (self.client.current().await, self.client_secret.current().await);
        let requested_at = BootInstant::now();
        let response = client
            .post(&self.token_url)
            // Both are encoded before they are joined (RFC 6749, section 2.3.1).
            .basic_auth(encoded(&self.client_id), Some(encoded(secret.expose_secret())))
            .header(header::ACCEPT, "application/json")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(self.form.clone())
            .send()
            .await
            .map_err(|error| CredentialError::NoToken(explain(&error)))?;
        let status = response.status();
        let body = read(response).await.map_err(CredentialError::NoToken)?;
        if !status.is_success() {
            return Err(refusal(status, &body));
        }
        // Its own error might repeat a part of the token.
        let answer: TokenAnswer = serde_json::from_slice(&body).map_err(|_| {
            CredentialError::UnusableToken("it is not JSON with access_token and token_type")
        })?;
        if !answer.token_type.eq_ignore_ascii_case("bearer") {
            return Err(CredentialError::UnusableToken("the token is not a bearer token"));
        }
        let authorization = secret_text::bearer("access_token", &answer.access_token)
            .map_err(|_| CredentialError::UnusableToken("no header may hold the token"))?;
        let lifetime = answer.expires_in.as_ref().map_or(Some(DEFAULT_LIFETIME), seconds);
        let lifetime =
            lifetime.ok_or(CredentialError::UnusableToken("expires_in is not a number"))?;
        Ok(Token::new(authorization, requested_at, lifetime))
    }
}

fn refusal(status: StatusCode, body: &[u8]) -> CredentialError {
    if !matches!(status.as_u16(), 400 | 401 | 403) {
        return CredentialError::NoToken(format!("it answered {status}"));
    }
    let code = serde_json::from_slice::<ErrorAnswer>(body)
        .ok()
        .and_then(|answer| ERROR_CODES.into_iter().find(|code| *code == answer.error));
    CredentialError::TokenRefused(match code {
        Some(code) => format!("{status}, {code}"),
        None => status.to_string(),
    })
}

/// A number of seconds. Some servers send it as a string.
fn seconds(value: &Value) -> Option<Duration> {
    let seconds = match value {
        Value::String(text) => text.parse().ok()?,
        value => value.as_f64()?,
    };
    Duration::try_from_secs_f64(seconds.min(MAX_LIFETIME.as_secs_f64())).ok()
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_token_is_renewed_after_four_fifths_of_its_lifetime_and_valid_to_its_end() {
        let at = BootInstant::now();
        let header = HeaderValue::from_static("Bearer x");
        let token = Token::new(header, at, Duration::from_secs(100));
        assert!(token.renew_at == at + Duration::from_secs(80));
        assert!(token.is_valid(at + Duration::from_secs(99)));
        assert!(!token.is_valid(at + Duration::from_secs(100)));
    }

    #[test]
    fn a_lifetime_is_a_number_or_a_string_that_holds_one() {
        for value in [json!(3600), json!("3600"), json!(3600.0)] {
            assert_eq!(seconds(&value), Some(Duration::from_secs(3600)), "{value}");
        }
        assert_eq!(seconds(&json!(1e300)), Some(MAX_LIFETIME));
        for value in [json!(-1), json!("soon"), json!(null), json!([])] {
            assert_eq!(seconds(&value), None, "{value}");
        }
    }

    #[test]
    fn a_refusal_repeats_only_the_codes_of_the_standard() {
        let status = StatusCode::UNAUTHORIZED;
        let error = refusal(status, br#"{"error":"invalid_client","error_description":"s3cret"}"#);
        assert_eq!(
            error,
            CredentialError::TokenRefused("401 Unauthorized, invalid_client".to_owned())
        );
        let error = refusal(status, br#"{"error":"s3cret"}"#);
        assert_eq!(error, CredentialError::TokenRefused("401 Unauthorized".to_owned()));
        let error = refusal(StatusCode::BAD_GATEWAY, b"");
        assert_eq!(error, CredentialError::NoToken("it answered 502 Bad Gateway".to_owned()));
    }
}
