//! Setting a password with a one-time link.

use access::{AccessError, NewPassword, SecretToken};
use app::pages::people::SetPassword;
use axum::{
    Form,
    extract::{Query, State},
    http::StatusCode,
    response::Response,
};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::{
    page::{back, frame, page},
    signed_in::Browser,
};
use crate::http::{WebState, problem::Problem};

/// What the link says.
#[derive(Deserialize)]
pub struct Link {
    #[serde(default)]
    token: SecretString,
}

/// What the form says.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Typed {
    token: SecretString,
    new_password: SecretString,
}

/// The page.
pub async fn show(
    State(state): State<WebState>,
    Query(link): Query<Link>,
) -> Result<Response, Problem> {
    answer(&state, StatusCode::OK, &link.token, None).await
}

/// Sets the password, and leads to the page to sign in.
pub async fn set(
    State(state): State<WebState>,
    browser: Browser,
    Form(typed): Form<Typed>,
) -> Result<Response, Problem> {
    let Some(token) = SecretToken::parse(typed.token.expose_secret()) else {
        return answer(&state, StatusCode::NOT_FOUND, &typed.token, None).await;
    };
    // Nothing is hashed for a link that is not valid.
    let Some(owner) = state.access.link_owner(&token).await? else {
        return answer(&state, StatusCode::NOT_FOUND, &typed.token, None).await;
    };
    let password = match NewPassword::check(&typed.new_password, &owner.user) {
        Ok(password) => password,
        Err(rule) => {
            let error = Some(format!("The password {rule}."));
            return answer(&state, StatusCode::UNPROCESSABLE_ENTITY, &typed.token, error).await;
        }
    };
    match state.access.use_link(&token, password, &browser.visit).await {
        Ok(()) => Ok(back("/sign-in?done=password-set")),
        Err(AccessError::NotFound(_)) => {
            answer(&state, StatusCode::NOT_FOUND, &typed.token, None).await
        }
        Err(error) => Err(error.into()),
    }
}

async fn answer(
    state: &WebState,
    status: StatusCode,
    token: &SecretString,
    error: Option<String>,
) -> Result<Response, Problem> {
    let owner = match SecretToken::parse(token.expose_secret()) {
        Some(token) => state.access.link_owner(&token).await?,
        None => None,
    };
    let status = if owner.is_none() { StatusCode::NOT_FOUND } else { status };
    let owner = owner.map(|owner| (owner.user, token.expose_secret().to_owned()));
    let mut frame = frame(state);
    frame.error = error;
    Ok(page(status, SetPassword { owner }.document(frame)))
}
