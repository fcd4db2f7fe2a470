//! What the handlers take from a request: its cookies, its browser, and who is signed in.

use std::{convert::Infallible, sync::Arc};

use access::{SecretToken, Session, Visit};
use axum::{
    extract::FromRequestParts,
    http::{Extensions, header, request::Parts},
    response::{IntoResponse, Redirect, Response},
};
use domain::{Actor, Caller, Permission};
use tower_http::request_id::RequestId;

use crate::http::{
    WebState,
    problem::Problem,
    session_cookie::{PeoplesCookies, client_address},
};

/// The browser that sent a request, and its cookies.
pub struct Browser {
    /// The names of its cookies.
    pub cookies: PeoplesCookies,
    /// The id of its session.
    pub session: Option<SecretToken>,
    /// The token of a known device.
    pub device: Option<SecretToken>,
    /// For the list of sessions, and for slowing down guesses.
    pub visit: Visit,
}

impl<S: Sync> FromRequestParts<S> for Browser {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let cookies = PeoplesCookies::of_request(&parts.headers, &parts.extensions);
        let agent = parts.headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok());
        Ok(Self {
            cookies,
            session: cookies.session(&parts.headers),
            device: cookies.device(&parts.headers),
            visit: Visit {
                address: client_address(&parts.extensions),
                user_agent: agent.map(str::to_owned),
                request_id: request_id(&parts.extensions),
            },
        })
    }
}

impl Browser {
    /// The user of its session, as the audit records it.
    pub fn actor(&self, session: &Session) -> Actor {
        session.actor(self.visit.address, self.visit.request_id.clone())
    }
}

fn request_id(extensions: &Extensions) -> Option<String> {
    let id = extensions.get::<RequestId>()?;
    id.header_value().to_str().ok().map(str::to_owned)
}

/// A user who is signed in. Without one, the page to sign in is the answer.
pub struct SignedInUser {
    /// The session.
    pub session: Arc<Session>,
    /// The browser.
    pub browser: Browser,
}

impl SignedInUser {
    /// The user, as the audit records it.
    pub fn actor(&self) -> Actor {
        self.browser.actor(&self.session)
    }
}

impl FromRequestParts<WebState> for SignedInUser {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &WebState) -> Result<Self, Response> {
        let Ok(browser) = Browser::from_request_parts(parts, state).await;
        let session = match &browser.session {
            Some(id) => state.access.session(id).await,
            None => Ok(None),
        };
        match session.map_err(|error| Problem::from(error).into_response())? {
            Some(session) => Ok(Self { session, browser }),
            None => Err(Redirect::to("/sign-in?next=%2Faccount").into_response()),
        }
    }
}

/// Someone who manages users: the middleware has let the request pass, and this checks it again.
pub struct Administrator {
    /// Who it is.
    pub caller: Caller,
}

impl<S: Sync> FromRequestParts<S> for Administrator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        match parts.extensions.get::<Caller>() {
            Some(caller) if caller.may(Permission::Administer) => {
                Ok(Self { caller: caller.clone() })
            }
            _ => Err(Problem::forbidden()),
        }
    }
}
