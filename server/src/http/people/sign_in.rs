//! Signing in and out.

use access::{Attempt, Refusal};
use app::pages::people::SignIn;
use axum::{
    Form,
    extract::{Query, State},
    http::{StatusCode, header},
    response::Response,
};
use secrecy::SecretString;
use serde::Deserialize;

use super::{
    page::{Done, back, frame, page, refusal},
    signed_in::Browser,
};
use crate::http::{WebState, problem::Problem};

/// What the address of the page says.
#[derive(Deserialize)]
pub struct Address {
    #[serde(default)]
    next: String,
    #[serde(flatten)]
    done: Done,
}

/// What the form says.
#[derive(Deserialize)]
pub struct Typed {
    name: String,
    password: SecretString,
    #[serde(default)]
    code: String,
    #[serde(default)]
    next: String,
}

/// The page.
pub async fn show(State(state): State<WebState>, Query(address): Query<Address>) -> Response {
    if !state.authentication.required {
        return back("/");
    }
    let mut frame = frame(&state);
    frame.done = address.done.text();
    page(StatusCode::OK, SignIn { next: address.next, ..SignIn::default() }.document(frame))
}

/// Signs in, and leads to where the user wanted to go.
pub async fn sign_in(
    State(state): State<WebState>,
    browser: Browser,
    Form(typed): Form<Typed>,
) -> Result<Response, Problem> {
    let Typed { name, password, code, next } = typed;
    let Browser { cookies, session, device, visit } = browser;
    let attempt = Attempt { name, password, code, device, session, visit };
    let refused = match state.access.sign_in(&attempt).await? {
        Ok(begun) => {
            let mut response = back(destination(&next));
            let headers = response.headers_mut();
            headers.append(header::SET_COOKIE, cookies.set_session(&begun.id));
            if let Some(device) = begun.device {
                headers.append(header::SET_COOKIE, cookies.set_device(&device));
            }
            return Ok(response);
        }
        Err(refused) => refused,
    };
    let (status, error) = refusal(refused, "The name, the password or the code is wrong.");
    let mut frame = frame(&state);
    frame.error = Some(error);
    let mut response = page(status, SignIn { name: attempt.name, next }.document(frame));
    if let Refusal::TooEarly { seconds } = refused {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    Ok(response)
}

/// Where to go after signing in: a path of ours and nowhere else.
fn destination(next: &str) -> &str {
    let is_path = next.starts_with('/')
        && !next.starts_with("//")
        && next.chars().all(|c| c.is_ascii_graphic() && c != '\\');
    if is_path && next != "/sign-in" { next } else { "/" }
}

/// Ends the session.
pub async fn sign_out(
    State(state): State<WebState>,
    browser: Browser,
) -> Result<Response, Problem> {
    if let Some(id) = &browser.session
        && let Some(session) = state.access.session(id).await?
    {
        match state
            .access
            .end_session(&browser.actor(&session), Some(&session.user), session.handle)
            .await
        {
            // It has just ended otherwise.
            Ok(()) | Err(access::AccessError::NotFound(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let mut response = back("/sign-in?done=signed-out");
    response.headers_mut().append(header::SET_COOKIE, browser.cookies.remove_session());
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signing_in_leads_to_a_path_of_ours_and_nowhere_else() {
        assert_eq!(destination("/transactions/1?a=b"), "/transactions/1?a=b");
        for next in ["", "//evil.example", "/\\evil.example", "https://evil.example", "/a\r\nb: c"]
        {
            assert_eq!(destination(next), "/", "{next}");
        }
    }
}
