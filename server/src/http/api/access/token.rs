//! `POST /api/auth/token`: the client credentials grant (RFC 6749, section 4.4), which exchanges a key for a token, and
//! `/.well-known/jwks.json`, with which others can verify these tokens.

use std::collections::BTreeMap;

use access::{Access, Entry, KeyRefusal, Tokens};
use axum::{
    Form, Json,
    extract::{FromRequest, Request, State, rejection::FormRejection},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::Utc;
use domain::{Action, Actor, Caller, Principal, PrincipalKind};
use percent_encoding::percent_decode_str;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::{
    IntoResponses, PartialSchema, ToSchema,
    openapi::{Content, RefOr, Response as Documented},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::http::{
    body_limits::MAX_BODY_BYTES,
    middleware::authentication::with_request,
    problem::{Problem, error_responses},
    state::WebState,
};

/// How a client may authenticate, if it did so wrongly.
const CHALLENGE: HeaderValue = HeaderValue::from_static("Basic realm=\"onceward\"");
/// Tokens are kept by nobody on the way (RFC 6749, 5.1).
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
/// A new key is published for ten minutes before it signs.
const JWKS_MAX_AGE: HeaderValue = HeaderValue::from_static("public, max-age=300");

/// The routes of tokens.
pub fn routes() -> OpenApiRouter<WebState> {
    OpenApiRouter::new().routes(routes!(exchange)).routes(routes!(show_keys))
}

/// A request for a token.
#[derive(ToSchema)]
#[expect(
    dead_code,
    reason = "for the API's document: a parameter that is given twice is refused by hand"
)]
struct TokenRequest {
    /// Always `client_credentials`.
    #[schema(pattern = "^client_credentials$")]
    grant_type: String,
    /// The name of the client, unless it is in the header `Authorization`.
    client_id: Option<String>,
    /// One of its keys, unless it is in the header `Authorization`.
    client_secret: Option<String>,
}

/// A token.
#[derive(Serialize, ToSchema)]
struct Token {
    /// The token, for the header `Authorization: Bearer`.
    access_token: String,
    /// Always `Bearer`.
    token_type: &'static str,
    /// How many seconds it is valid.
    expires_in: u64,
}

/// Why there is no token (RFC 6749, section 5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
struct TokenRefused {
    /// The reason's registered name.
    error: &'static str,
    /// What is wrong, as a text for people.
    error_description: &'static str,
}

impl TokenRefused {
    const fn request(error_description: &'static str) -> Self {
        Self { error: "invalid_request", error_description }
    }

    const fn client(error_description: &'static str) -> Self {
        Self { error: "invalid_client", error_description }
    }

    /// Everything that may be wrong with a key: a guess must not learn what.
    const KEY: Self = Self::client("the client is not known, or the key is not a valid one of it");
}

impl IntoResponse for TokenRefused {
    fn into_response(self) -> Response {
        let status = match self.error {
            "invalid_client" => StatusCode::UNAUTHORIZED,
            _ => StatusCode::BAD_REQUEST,
        };
        let mut response =
            (status, [(header::CACHE_CONTROL, NO_STORE)], Json(self)).into_response();
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, CHALLENGE);
        }
        response
    }
}

/// Why there is no token: by the rules of OAuth, or because Onceward cannot answer.
enum Refusal {
    Token(TokenRefused),
    Problem(Problem),
}

impl From<TokenRefused> for Refusal {
    fn from(refused: TokenRefused) -> Self {
        Self::Token(refused)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::Token(refused) => refused.into_response(),
            Self::Problem(problem) => problem.into_response(),
        }
    }
}

/// The refusals in the API's document: by the rules of OAuth, and those of every operation.
struct Refusals;

impl IntoResponses for Refusals {
    fn responses() -> BTreeMap<String, RefOr<Documented>> {
        let mut all = error_responses::OfForm::responses();
        for (status, example) in
            [("400", TokenRefused::request("grant_type is missing")), ("401", TokenRefused::KEY)]
        {
            if let Some(RefOr::T(response)) = all.get_mut(status) {
                let mut content = Content::new(Some(TokenRefused::schema()));
                content.example = Some(json!(example));
                response.content.insert("application/json".to_owned(), content.into());
            }
        }
        all
    }
}

/// Exchange a key for a token
///
/// The client credentials grant of OAuth 2 (RFC 6749, section 4.4). The client's name and key are in the form, or in the
/// header `Authorization: Basic`. The token stands for the key: if the key is revoked or expires, so does the token, within
/// a second. What it may do is what the client may do at that time.
#[utoipa::path(
    post,
    path = "/api/auth/token",
    operation_id = "exchangeKey",
    tag = "Access",
    request_body(content = TokenRequest, content_type = "application/x-www-form-urlencoded"),
    responses(
        (
            status = 200,
            description = "A token.",
            body = Token,
            headers(("Cache-Control" = String, description = "`no-store`.")),
            example = json!({"access_token": "eyJhbGciOiJFUzI1NiIs…", "token_type": "Bearer", "expires_in": 300}),
        ),
        Refusals,
    ),
)]
async fn exchange(
    State(access): State<Access>,
    State(tokens): State<Tokens>,
    request: Request,
) -> Result<Response, Refusal> {
    let nobody = with_request(Caller::anonymous(), &request).actor;
    let headers = request.headers().clone();
    let form = Form::<Vec<(String, String)>>::from_request(request, &()).await;
    let (client, key) = read(&headers, form.map_err(unreadable)?.0)?;
    let holder = access.key(key.expose_secret()).await.map_err(|refusal| match refusal {
        KeyRefusal::Access(error) => Refusal::Problem(error.into()),
        refusal => refused(&access, &nobody, &refusal.to_string()),
    })?;
    if holder.client != client {
        return Err(refused(&access, &nobody, "it is the key of another client"));
    }
    let issued = tokens
        .issue(&holder.client, &holder.key_id, Utc::now())
        .await
        .map_err(|error| Refusal::Problem(error.into()))?;
    let actor = Actor {
        principal: Principal::named(holder.client.clone()),
        kind: PrincipalKind::Client,
        credential: Some(format!("key:{}", holder.key_id)),
        ..nobody
    };
    let entry = Entry::done(&actor, Action::IssueToken, format!("token:{}", issued.id));
    access.record(entry).await.map_err(|error| Refusal::Problem(error.into()))?;
    let token = Token {
        access_token: issued.token.expose_secret().to_owned(),
        token_type: "Bearer",
        expires_in: issued.expires_in.as_secs(),
    };
    Ok(([(header::CACHE_CONTROL, NO_STORE)], Json(token)).into_response())
}

/// Notes in the audit why a key was refused, and does not tell the caller.
fn refused(access: &Access, nobody: &Actor, why: &str) -> Refusal {
    access.note(Entry::refused(nobody, Action::IssueToken, "request:POST /api/auth/token", why));
    TokenRefused::KEY.into()
}

/// Show the keys that verify tokens
///
/// A JSON Web Key Set (RFC 7517) with the public halves of the keys with which Onceward signs tokens (ES256). A new key
/// appears ten minutes before it signs, so a copy may be kept for five.
#[utoipa::path(
    get,
    path = "/.well-known/jwks.json",
    operation_id = "showTokenKeys",
    tag = "Access",
    responses(
        (
            status = 200,
            description = "The keys.",
            body = Object,
            headers(("Cache-Control" = String, description = "How long a copy may be kept.")),
            example = json!({"keys": [{
                "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256",
                "kid": "onceward-0b0f3b8e-9d3c-4f39-8a53-0f6f5f1f6f5e",
                "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
                "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
            }]}),
        ),
        error_responses::Any,
    ),
)]
async fn show_keys(State(tokens): State<Tokens>) -> Result<Response, Problem> {
    let keys: Value = tokens.jwks(Utc::now()).await?;
    Ok(([(header::CACHE_CONTROL, JWKS_MAX_AGE)], Json(keys)).into_response())
}

/// Why the form cannot be read.
fn unreadable(rejection: FormRejection) -> Refusal {
    match rejection {
        FormRejection::BytesRejection(rejection) if rejection.status() == 413 => {
            Refusal::Problem(Problem::too_large(MAX_BODY_BYTES))
        }
        FormRejection::BytesRejection(_) => {
            Refusal::Problem(Problem::malformed("the body could not be read"))
        }
        _ => TokenRefused::request("the body must be application/x-www-form-urlencoded").into(),
    }
}

/// The client's name and key.
fn read(
    headers: &HeaderMap,
    form: Vec<(String, String)>,
) -> Result<(String, SecretString), TokenRefused> {
    let mut parameters = BTreeMap::new();
    // A parameter without a value counts as absent (RFC 6749, 3.2).
    for (name, value) in form.into_iter().filter(|(_, value)| !value.is_empty()) {
        if parameters.insert(name, value).is_some() {
            return Err(TokenRefused::request("a parameter is given twice"));
        }
    }
    match parameters.get("grant_type").map(String::as_str) {
        Some("client_credentials") => {}
        Some(_) => {
            let error_description = "grant_type must be client_credentials";
            return Err(TokenRefused { error: "unsupported_grant_type", error_description });
        }
        None => return Err(TokenRefused::request("grant_type is missing")),
    }
    if parameters.contains_key("scope") {
        let error_description = "there are no scopes: a token may do what its client may do";
        return Err(TokenRefused { error: "invalid_scope", error_description });
    }
    let in_form = (parameters.remove("client_id"), parameters.remove("client_secret"));
    let mut in_header = headers.get_all(header::AUTHORIZATION).iter();
    match (in_header.next(), in_header.next(), in_form) {
        (None, None, (Some(client), Some(key))) => Ok((client, key.into())),
        (None, None, _) => Err(TokenRefused::client("client_id or client_secret is missing")),
        (Some(header), None, (client_id, None)) => {
            let wrong = "Authorization must be Basic, with the client's name and key";
            let (client, key) = basic(header).ok_or(TokenRefused::client(wrong))?;
            match client_id.is_none_or(|client_id| client_id == client) {
                true => Ok((client, key)),
                false => Err(TokenRefused::request("client_id is not the one of Authorization")),
            }
        }
        _ => Err(TokenRefused::request("the client authenticates in two ways")),
    }
}

/// The name and the key of `Authorization: Basic`, each encoded as in a form before they were joined (RFC 6749, 2.3.1).
fn basic(header: &HeaderValue) -> Option<(String, SecretString)> {
    let (scheme, encoded) = header.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (name, key) = text.split_once(':')?;
    let decode = |text: &str| percent_decode_str(text).decode_utf8().ok().map(String::from);
    Some((decode(name)?, decode(key)?.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(authorization: &[&str], form: &str) -> Result<(String, String), &'static str> {
        let mut headers = HeaderMap::new();
        for value in authorization {
            headers.append(header::AUTHORIZATION, value.parse().unwrap());
        }
        let pair = |text: &str| {
            let (name, value) = text.split_once('=').unwrap();
            (name.to_owned(), value.to_owned())
        };
        let form = form.split('&').filter(|text| !text.is_empty()).map(pair).collect();
        super::read(&headers, form)
            .map(|(client, key)| (client, key.expose_secret().to_owned()))
            .map_err(|refused| refused.error)
    }

    #[test]
    fn a_client_authenticates_in_the_form_or_in_the_header() {
        let grant = "grant_type=client_credentials";
        let expected = Ok(("pay@roll".to_owned(), "ow_1".to_owned()));
        let basic = |text: &str| format!("Basic {}", STANDARD.encode(text));
        let form = format!("{grant}&client_id=pay@roll&client_secret=ow_1");
        assert_eq!(read(&[], &form), expected);
        assert_eq!(read(&[], &format!("{form}&scope=&other=1")), expected);
        assert_eq!(read(&[&basic("pay@roll:ow_1")], grant), expected);
        assert_eq!(read(&[&basic("pay%40roll:ow%5F1").replace("Basic", "bASIC")], grant), expected);
        let both = format!("{grant}&client_id=pay@roll");
        assert_eq!(read(&[&basic("pay@roll:ow_1")], &both), expected);
    }

    #[test]
    fn what_is_wrong_has_the_registered_name_of_its_error() {
        let grant = "grant_type=client_credentials";
        let basic = format!("Basic {}", STANDARD.encode("a:b"));
        let colonless = format!("Basic {}", STANDARD.encode("a"));
        for (headers, form, error) in [
            (&[][..], "", "invalid_request"),
            (&[], "grant_type=", "invalid_request"),
            (&[], "grant_type=password", "unsupported_grant_type"),
            (&[], &format!("{grant}&{grant}"), "invalid_request"),
            (&[], &format!("{grant}&client_id=a&client_id=a"), "invalid_request"),
            (&[], grant, "invalid_client"),
            (&[], &format!("{grant}&client_id=a"), "invalid_client"),
            (&[], &format!("{grant}&client_secret=b"), "invalid_client"),
            (&[&*basic], &format!("{grant}&scope=admin"), "invalid_scope"),
            (&[&*basic], &format!("{grant}&client_secret=b"), "invalid_request"),
            (&[&*basic], &format!("{grant}&client_id=c"), "invalid_request"),
            (&[&*basic, &*basic], grant, "invalid_request"),
            (&["Bearer a"], grant, "invalid_client"),
            (&["Basic ~"], grant, "invalid_client"),
            (&[&*colonless], grant, "invalid_client"),
        ] {
            assert_eq!(read(headers, form), Err(error), "{headers:?} {form}");
        }
    }
}
