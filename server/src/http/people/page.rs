//! A page as a response, and what its forms say.

use access::{AccessError, Refusal, Session};
use app::pages::people::{Frame, SignedInAs};
use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{Html, IntoResponse, Redirect, Response},
};
use domain::{Caller, Permission, PrincipalKind};
use serde::Deserialize;

use crate::http::{WebState, content_security_policy::OF_PLAIN_PAGE, problem::Problem};

/// What a form has done, in the address of the page that it leads back to.
#[derive(Debug, Deserialize)]
pub struct Done {
    done: Option<String>,
}

/// The texts of [`Done`]; others are not shown, because anybody can make up an address.
const TEXTS: [(&str, &str); 15] = [
    ("password-set", "The password is set. Sign in with it."),
    ("signed-out", "You are signed out."),
    ("password", "The password is changed. All your other sessions have ended."),
    ("app-removed", "The authenticator app is removed."),
    ("session-ended", "The session has ended."),
    ("sessions-ended", "The sessions have ended."),
    ("role", "The role is changed. The user has to sign in again."),
    ("disabled", "The user is disabled, and its sessions have ended."),
    ("enabled", "The user is enabled."),
    ("client", "The client is created. Now create a key for it."),
    ("client-role", "The role of the client is changed."),
    ("client-disabled", "The client is disabled."),
    ("client-enabled", "The client is enabled."),
    ("revoked", "The key is revoked."),
    ("totp-begun", "Add Onceward to your app, then confirm it by a code."),
];

impl Done {
    /// The text to show.
    pub fn text(&self) -> Option<&'static str> {
        let done = self.done.as_deref()?;
        TEXTS.into_iter().find(|(name, _)| *name == done).map(|(_, text)| text)
    }
}

/// What surrounds a page that nobody needs to be signed in for.
pub fn frame(state: &WebState) -> Frame {
    let options = &state.options;
    Frame {
        styles: format!("/{}/{}.css", options.site_pkg_dir, options.output_name),
        simulator: state.setting.simulator.clone(),
        ..Frame::default()
    }
}

/// What surrounds a page of a user who is signed in.
pub fn frame_of(state: &WebState, session: &Session) -> Frame {
    let signed_in = SignedInAs {
        name: session.user.clone(),
        role: session.role.as_str(),
        administers: session.role.may(Permission::Administer),
    };
    Frame { signed_in: Some(signed_in), ..frame(state) }
}

/// What surrounds a page of a caller, who may be anonymous.
pub fn frame_for(state: &WebState, caller: &Caller) -> Frame {
    let signed_in = (caller.actor.kind == PrincipalKind::User).then(|| SignedInAs {
        name: caller.principal().as_str().to_owned(),
        role: caller.role.as_str(),
        administers: caller.may(Permission::Administer),
    });
    Frame { signed_in, ..frame(state) }
}

/// A document as a response that no one keeps.
pub fn page(status: StatusCode, document: String) -> Response {
    let headers = [
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (header::CONTENT_SECURITY_POLICY, OF_PLAIN_PAGE),
    ];
    (status, headers, Html(document)).into_response()
}

/// Leads back to a page.
pub fn back(path: &str) -> Response {
    Redirect::to(path).into_response()
}

/// What a refusal says, and its status.
pub fn refusal(refusal: Refusal, wrong: &str) -> (StatusCode, String) {
    match refusal {
        Refusal::Wrong => (StatusCode::UNPROCESSABLE_ENTITY, wrong.to_owned()),
        Refusal::TooEarly { seconds } => {
            let (number, unit) = match seconds {
                1 => (1, "second"),
                2..=120 => (seconds, "seconds"),
                _ => (seconds.div_ceil(60), "minutes"),
            };
            let text = format!("Too many attempts have failed. Try again in {number} {unit}.");
            (StatusCode::TOO_MANY_REQUESTS, text)
        }
    }
}

/// The status of what the user can correct.
pub fn status_of(error: &AccessError) -> StatusCode {
    match error {
        AccessError::NotFound(_) => StatusCode::NOT_FOUND,
        AccessError::NameTaken | AccessError::LastAdmin => StatusCode::CONFLICT,
        _ => StatusCode::UNPROCESSABLE_ENTITY,
    }
}

/// What the user can correct of an error; the others are not for a page.
pub fn correctable(error: AccessError) -> Result<String, Problem> {
    match error {
        AccessError::Database(_) => Err(error.into()),
        AccessError::Invalid(field, rule) => Ok(format!("The {field} {rule}.")),
        error => {
            let text = error.to_string();
            let mut letters = text.chars();
            let first = letters.next().map(|first| first.to_uppercase().to_string());
            Ok(format!("{}{}.", first.unwrap_or_default(), letters.as_str()))
        }
    }
}
