//! The users, for administrators.

use access::{AccessError, SecretToken};
use app::pages::people::{UserRow, Users};
use axum::{
    Form,
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode, header},
    response::Response,
};
use domain::{Caller, Role};
use secrecy::ExposeSecret;
use serde::Deserialize;

use super::{
    page::{Done, back, correctable, frame_for, page, status_of},
    signed_in::Administrator,
};
use crate::{
    commands::user::link,
    http::{WebState, problem::Problem},
};

/// What the form of a new user says.
#[derive(Deserialize)]
pub struct NewUser {
    name: String,
    role: Role,
}

/// What the form of a role says.
#[derive(Deserialize)]
pub struct NewRole {
    role: Role,
}

/// What the other buttons of a user say.
#[derive(Deserialize)]
pub struct Changed {
    change: Change,
}

/// What to do with a user.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Change {
    Link,
    RemoveTotp,
    EndSessions,
    Disable,
    Enable,
}

/// The page.
pub async fn show(
    State(state): State<WebState>,
    Administrator { caller }: Administrator,
    Query(done): Query<Done>,
) -> Result<Response, Problem> {
    answer(&state, &caller, StatusCode::OK, done.text(), None, None).await
}

/// Creates a user, and shows a link with which the user sets a password.
pub async fn create(
    State(state): State<WebState>,
    Administrator { caller }: Administrator,
    headers: HeaderMap,
    Form(typed): Form<NewUser>,
) -> Result<Response, Problem> {
    let name = typed.name.trim().to_lowercase();
    match state.access.create_user(&caller.actor, &name, typed.role, None).await {
        Ok(_) => show_link(&state, &caller, &headers, name).await,
        Err(error) => refused(&state, &caller, error).await,
    }
}

/// Changes a user's role.
pub async fn set_role(
    State(state): State<WebState>,
    Administrator { caller }: Administrator,
    Path(name): Path<String>,
    Form(typed): Form<NewRole>,
) -> Result<Response, Problem> {
    match state.access.change_user(&caller.actor, &name, Some(typed.role), None).await {
        Ok(_) => Ok(back("/users?done=role")),
        Err(error) => refused(&state, &caller, error).await,
    }
}

/// Does something else with a user.
pub async fn change(
    State(state): State<WebState>,
    Administrator { caller }: Administrator,
    Path(name): Path<String>,
    headers: HeaderMap,
    Form(typed): Form<Changed>,
) -> Result<Response, Problem> {
    let (access, actor) = (&state.access, &caller.actor);
    let (changed, done) = match typed.change {
        Change::Link => return show_link(&state, &caller, &headers, name).await,
        Change::RemoveTotp => (access.remove_totp(actor, &name).await, "app-removed"),
        Change::EndSessions => (access.end_sessions_of(actor, &name).await, "sessions-ended"),
        Change::Disable => (access.change_user(actor, &name, None, Some(true)).await, "disabled"),
        Change::Enable => (access.change_user(actor, &name, None, Some(false)).await, "enabled"),
    };
    match changed {
        Ok(()) => Ok(back(&format!("/users?done={done}"))),
        Err(error) => refused(&state, &caller, error).await,
    }
}

async fn show_link(
    state: &WebState,
    caller: &Caller,
    headers: &HeaderMap,
    name: String,
) -> Result<Response, Problem> {
    let token = match state.access.create_link(&caller.actor, &name).await {
        Ok(token) => token,
        Err(error) => return refused(state, caller, error).await,
    };
    let shown = Some((name, address_of(state, headers, &token)));
    answer(state, caller, StatusCode::OK, None, None, shown).await
}

/// The address of a link as the browser that asks for it reaches Onceward: that is its own origin.
fn address_of(state: &WebState, headers: &HeaderMap, token: &SecretToken) -> String {
    let origin = headers.get(header::ORIGIN).and_then(|origin| origin.to_str().ok());
    let base = format!("{}{}", origin.unwrap_or_default(), state.path_prefix);
    link(&base, token).expose_secret().to_owned()
}

async fn refused(
    state: &WebState,
    caller: &Caller,
    error: AccessError,
) -> Result<Response, Problem> {
    let status = status_of(&error);
    let error = correctable(error)?;
    answer(state, caller, status, None, Some(error), None).await
}

async fn answer(
    state: &WebState,
    caller: &Caller,
    status: StatusCode,
    done: Option<&'static str>,
    error: Option<String>,
    new_link: Option<(String, String)>,
) -> Result<Response, Problem> {
    let users = state.access.users().await?;
    let users = users.into_iter().map(|user| UserRow {
        name: user.name,
        role: user.role,
        has_password: user.has_password,
        has_totp: user.has_totp,
        sessions: user.sessions,
        created_at: user.created_at,
        is_disabled: user.disabled_at.is_some(),
    });
    let mut frame = frame_for(state, caller);
    frame.done = done;
    frame.error = error;
    Ok(page(status, Users { users: users.collect(), new_link }.document(frame)))
}
