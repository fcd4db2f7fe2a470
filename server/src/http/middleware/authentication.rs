//! Who sends a request, and whether the caller may. Handlers and pages find the [`Caller`] in the request's extensions.
//!
//! The table of permissions decides (`http::permissions`); a route without a row is refused.

use std::sync::Arc;

use access::{
    Access, AccessError, Entry, Key, KeyRefusal, SecretToken, Session, TokenError, Tokens,
    limits::Rate,
};
use axum::{
    extract::{MatchedPath, Request, State},
    http::{Extensions, HeaderMap, HeaderValue, header},
    middleware::Next,
    response::{IntoResponse, Redirect, Response},
};
use chrono::Utc;
use domain::{Action, Actor, Caller, Principal, PrincipalKind, Role};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::{ExposeSecret, SecretString};
use tower_http::request_id::RequestId;

use crate::http::{
    client_address::ClientAddress,
    path_prefix::PathPrefix,
    permissions::{self, Need},
    problem::Problem,
    request::accept::accepts_html,
    session_cookie::PeoplesCookies,
};

/// Whether callers must say who they are, and how they are recognised. Cheap to clone.
#[derive(Clone)]
pub struct Authentication {
    /// Whether every request needs a credential; otherwise every caller is anonymous, and may do everything.
    pub required: bool,
    /// The path under which a proxy serves this process.
    pub path_prefix: PathPrefix,
    /// The keys.
    pub access: Access,
    /// The tokens.
    pub tokens: Tokens,
}

/// What a request shows for its caller.
pub enum Credential {
    /// A key or a token, in the header `Authorization`.
    Bearer(SecretString),
    /// The session of someone who has signed in, in a cookie.
    Session(SecretToken),
}

/// Why a request has no caller.
pub enum Unauthenticated {
    /// It has no credential.
    Missing,
    /// Its credential is not valid; why, for the audit.
    Refused(String),
    /// Its user must set up an authenticator app first.
    NeedsTotp,
    /// The credential could not be checked.
    Unavailable(Problem),
}

impl Credential {
    /// The credential of a request. The header comes before the cookie, and is never taken from the address.
    ///
    /// # Errors
    /// If the request has none, or one that cannot be valid.
    pub fn of(headers: &HeaderMap, extensions: &Extensions) -> Result<Self, Unauthenticated> {
        let mut credentials = headers.get_all(header::AUTHORIZATION).iter();
        match (credentials.next(), credentials.next()) {
            (None, _) => {
                let cookies = PeoplesCookies::of_request(headers, extensions);
                cookies.session(headers).map(Self::Session).ok_or(Unauthenticated::Missing)
            }
            (Some(_), Some(_)) => {
                Err(Unauthenticated::Refused("two Authorization headers".to_owned()))
            }
            (Some(one), None) => {
                let token = bearer_token(one).ok_or_else(|| {
                    Unauthenticated::Refused("the scheme is not Bearer".to_owned())
                })?;
                Ok(Self::Bearer(token.into()))
            }
        }
    }
}

/// Lets a request pass if its caller may send it.
pub async fn authenticate(
    State(authentication): State<Authentication>,
    mut request: Request,
    next: Next,
) -> Response {
    let need = match request.extensions().get::<MatchedPath>() {
        Some(path) => match permissions::need(request.method(), path.as_str()) {
            Some(need) => Some(need),
            // It only leads to the page below it.
            None if path.as_str() == authentication.path_prefix.as_str() => Some(Need::Open),
            None => return without_row(path.as_str()),
        },
        // The page's files, and the page that says that there is nothing at this path.
        None => None,
    };
    let credential = match (authentication.required, need) {
        (false, _) => None,
        // A probe must not wait for the database, whatever credential it has.
        (true, Some(Need::Open)) => return next.run(request).await,
        (true, _) => Some(Credential::of(request.headers(), request.extensions())),
    };
    let caller = match credential {
        None => Ok((Caller::anonymous(), None)),
        Some(Ok(credential)) => authentication.caller(&credential).await,
        Some(Err(why)) => Err(why),
    };
    let caller = caller.map(|(caller, own_rate)| (with_request(caller, &request), own_rate));
    let need = need.unwrap_or(Need::Open);
    let permitted = match (need, &caller) {
        (Need::Open | Need::OwnCheck, _) => true,
        (Need::Database, _) => false,
        (Need::Caller, Ok(_)) => true,
        (Need::Permission(permission), Ok((caller, _))) => caller.may(permission),
        (Need::Caller | Need::Permission(_), Err(_)) => {
            let why = caller.err().unwrap_or(Unauthenticated::Missing);
            if let Unauthenticated::Refused(why) = &why {
                let nobody = with_request(Caller::anonymous(), &request).actor;
                authentication.note(&nobody, Action::Authenticate, &request, why);
            }
            return authentication.challenge(&request, why);
        }
    };
    if !permitted {
        if let Ok((caller, _)) = &caller {
            let why = format!("the role {} does not permit it", caller.role);
            authentication.note(&caller.actor, Action::Authorize, &request, &why);
        }
        return Problem::forbidden().into_response();
    }
    if let Ok((caller, own_rate)) = caller {
        request.extensions_mut().insert(caller);
        if let Some(rate) = own_rate {
            request.extensions_mut().insert(rate);
        }
    }
    next.run(request).await
}

impl Authentication {
    /// The caller that a credential stands for, and the client's own rate limit if it has one.
    async fn caller(
        &self,
        credential: &Credential,
    ) -> Result<(Caller, Option<Rate>), Unauthenticated> {
        match credential {
            Credential::Bearer(token) => self.bearer(token.expose_secret()).await,
            Credential::Session(id) => {
                of_session(self.access.session(id).await).map(|caller| (caller, None))
            }
        }
    }

    /// Whether a credential still stands for a caller of this role. It does while it cannot be checked, because then the
    /// database does not answer, so that there is nothing to see either. Asking does not count as the use of a session.
    pub async fn still_stands(&self, credential: &Credential, role: Role) -> bool {
        let caller = match credential {
            Credential::Bearer(token) => {
                self.bearer(token.expose_secret()).await.map(|(caller, _)| caller)
            }
            Credential::Session(id) => of_session(self.access.unused_session(id).await),
        };
        match caller {
            Ok(caller) => caller.role == role,
            Err(Unauthenticated::Unavailable(_)) => true,
            Err(_) => false,
        }
    }

    async fn bearer(&self, token: &str) -> Result<(Caller, Option<Rate>), Unauthenticated> {
        // Whatever else a request bears is a token, or nothing.
        if !Key::is_meant_by(token) {
            return self.token(token).await;
        }
        let holder = self.access.key(token).await.map_err(|refusal| match refusal {
            KeyRefusal::Access(error) => Unauthenticated::Unavailable(error.into()),
            refusal => Unauthenticated::Refused(refusal.to_string()),
        })?;
        let own_rate = holder.rate_limit.and_then(|text| text.parse().ok());
        let credential = format!("key:{}", holder.key_id);
        Ok((caller(holder.client, PrincipalKind::Client, credential, holder.role), own_rate))
    }

    async fn token(&self, token: &str) -> Result<(Caller, Option<Rate>), Unauthenticated> {
        let holder =
            self.tokens.authenticate(token, Utc::now()).await.map_err(|error| match error {
                TokenError::Refused(refusal) => Unauthenticated::Refused(refusal.to_string()),
                error => Unauthenticated::Unavailable(error.into()),
            })?;
        let own_rate = holder.rate_limit.and_then(|text| text.parse().ok());
        let name = holder.principal.as_str().to_owned();
        Ok((caller(name, holder.kind, holder.credential, holder.role), own_rate))
    }

    /// Notes in the audit that a request was refused, and why.
    fn note(&self, actor: &Actor, action: Action, request: &Request, why: &str) {
        let object = format!("request:{} {}", request.method(), request.uri().path());
        self.access.note(Entry::refused(actor, action, object, why));
    }

    /// The answer to a request without a valid credential: to a browser that asks for a page, the page to sign in.
    fn challenge(&self, request: &Request, why: Unauthenticated) -> Response {
        match why {
            Unauthenticated::Unavailable(problem) => problem.into_response(),
            _ if request.method().is_safe()
                && accepts_html(request)
                && !request.uri().path().starts_with("/api/") =>
            {
                if let Unauthenticated::NeedsTotp = why {
                    return Redirect::to("/account").into_response();
                }
                let next = request.uri().path_and_query().map_or("/", |it| it.as_str());
                let next = utf8_percent_encode(next, NON_ALPHANUMERIC);
                Redirect::to(&format!("/sign-in?next={next}")).into_response()
            }
            Unauthenticated::Missing => Problem::unauthenticated(None).into_response(),
            Unauthenticated::NeedsTotp => {
                let why = "the user must set up an authenticator app".to_owned();
                Problem::unauthenticated(Some(why)).into_response()
            }
            Unauthenticated::Refused(why) => Problem::unauthenticated(Some(why)).into_response(),
        }
    }
}

/// The user of a session. Without an authenticator app that its role needs, a user is no caller yet.
fn of_session(
    session: Result<Option<Arc<Session>>, AccessError>,
) -> Result<Caller, Unauthenticated> {
    let session = session.map_err(|error| Unauthenticated::Unavailable(error.into()))?;
    let ended = || Unauthenticated::Refused("the session has ended".to_owned());
    let session = session.ok_or_else(ended)?;
    session.caller(None, None).ok_or(Unauthenticated::NeedsTotp)
}

fn caller(name: String, kind: PrincipalKind, credential: String, role: Role) -> Caller {
    let actor = Actor {
        principal: Principal::named(name),
        kind,
        credential: Some(credential),
        address: None,
        request_id: None,
    };
    Caller { actor, role }
}

/// The caller, with what the audit records of the request.
pub fn with_request(mut caller: Caller, request: &Request) -> Caller {
    let id = request.extensions().get::<RequestId>();
    let id = id.and_then(|id| id.header_value().to_str().ok());
    caller.actor.request_id = id.map(str::to_owned);
    let address = request.extensions().get::<ClientAddress>();
    caller.actor.address = address.map(|ClientAddress(address)| *address);
    caller
}

/// The token of an `Authorization: Bearer` header. The scheme's case does not matter (RFC 9110, 11.1).
fn bearer_token(header: &HeaderValue) -> Option<&str> {
    let (scheme, token) = header.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim_matches(' '))
}

/// The table has the path for other methods, or not at all.
fn without_row(path: &str) -> Response {
    let methods = permissions::methods(path);
    if methods.is_empty() {
        tracing::error!(path, "a route has no row in the table of permissions, so it is refused");
        return Problem::not_found("no resource exists at this path").into_response();
    }
    let mut response = Problem::method_not_allowed().into_response();
    if let Ok(allow) = HeaderValue::from_str(&methods) {
        response.headers_mut().insert(header::ALLOW, allow);
    }
    response
}
