//! The clients and their keys, for administrators.

use access::AccessError;
use app::pages::people::{ClientRow, Clients, KeyRow};
use axum::{
    Form,
    extract::{Path, Query, State},
    http::StatusCode,
    response::Response,
};
use chrono::TimeDelta;
use domain::{Caller, PrincipalKind, Role};
use secrecy::ExposeSecret;
use serde::Deserialize;
use uuid::Uuid;

use super::{
    page::{Done, back, correctable, frame_for, page, status_of},
    signed_in::Administrator,
};
use crate::http::{WebState, problem::Problem};

/// What the form of a new client says.
#[derive(Deserialize)]
pub struct NewClient {
    name: String,
    role: Role,
}

/// What the form of a role says.
#[derive(Deserialize)]
pub struct NewRole {
    role: Role,
}

/// What the form of a new key says.
#[derive(Deserialize)]
pub struct NewKey {
    /// For how many days; empty: for ever.
    days: String,
}

/// What the other button of a client says.
#[derive(Deserialize)]
pub struct Changed {
    change: Change,
}

/// What to do with a client.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Change {
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

/// Creates a client.
pub async fn create(
    State(state): State<WebState>,
    Administrator { caller }: Administrator,
    Form(typed): Form<NewClient>,
) -> Result<Response, Problem> {
    let name = typed.name.trim().to_lowercase();
    match state.access.create_client(&caller.actor, &name, typed.role, None).await {
        Ok(_) => Ok(back("/clients?done=client")),
        Err(error) => refused(&state, &caller, error).await,
    }
}

/// Changes a client's role.
pub async fn set_role(
    State(state): State<WebState>,
    Administrator { caller }: Administrator,
    Path(name): Path<String>,
    Form(typed): Form<NewRole>,
) -> Result<Response, Problem> {
    let changed = async {
        let id = named(&state, &name).await?;
        state.access.change_client(&caller.actor, id, Some(typed.role), None, None).await
    };
    match changed.await {
        Ok(()) => Ok(back("/clients?done=client-role")),
        Err(error) => refused(&state, &caller, error).await,
    }
}

/// Disables or enables a client.
pub async fn change(
    State(state): State<WebState>,
    Administrator { caller }: Administrator,
    Path(name): Path<String>,
    Form(typed): Form<Changed>,
) -> Result<Response, Problem> {
    let disabled = typed.change == Change::Disable;
    let changed = async {
        let id = named(&state, &name).await?;
        state.access.change_client(&caller.actor, id, None, None, Some(disabled)).await
    };
    match changed.await {
        Ok(()) if disabled => Ok(back("/clients?done=client-disabled")),
        Ok(()) => Ok(back("/clients?done=client-enabled")),
        Err(error) => refused(&state, &caller, error).await,
    }
}

/// Creates a key, and shows it.
pub async fn create_key(
    State(state): State<WebState>,
    Administrator { caller }: Administrator,
    Path(name): Path<String>,
    Form(typed): Form<NewKey>,
) -> Result<Response, Problem> {
    let days = match typed.days.as_str() {
        "" => None,
        days => match days.parse().ok().and_then(TimeDelta::try_days) {
            Some(days) => Some(days),
            None => {
                let error = AccessError::Invalid("number of days", "is none".to_owned());
                return refused(&state, &caller, error).await;
            }
        },
    };
    let created = async {
        let id = named(&state, &name).await?;
        state.access.create_key(&caller.actor, id, days).await
    };
    match created.await {
        Ok(key) => {
            let shown = Some((name, key.text.expose_secret().to_owned()));
            answer(&state, &caller, StatusCode::OK, None, None, shown).await
        }
        Err(error) => refused(&state, &caller, error).await,
    }
}

/// Revokes a key.
pub async fn revoke_key(
    State(state): State<WebState>,
    Administrator { caller }: Administrator,
    Path((name, key)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let revoked = async {
        let id = named(&state, &name).await?;
        state.access.revoke_key(&caller.actor, Some(id), &key).await
    };
    match revoked.await {
        Ok(()) => Ok(back("/clients?done=revoked")),
        Err(error) => refused(&state, &caller, error).await,
    }
}

async fn named(state: &WebState, name: &str) -> Result<Uuid, AccessError> {
    let client = state.access.principal(PrincipalKind::Client, name).await?;
    Ok(client.ok_or(AccessError::NotFound("client with this name"))?.id)
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
    new_key: Option<(String, String)>,
) -> Result<Response, Problem> {
    let mut clients = Vec::new();
    for client in state.access.principals(PrincipalKind::Client).await? {
        let keys = state.access.keys(client.id).await?;
        let keys = keys.into_iter().map(|key| KeyRow {
            id: key.id,
            created_at: key.created_at,
            expires_at: key.expires_at,
            last_used_at: key.last_used_at,
            is_revoked: key.revoked_at.is_some(),
        });
        clients.push(ClientRow {
            name: client.name,
            role: client.role,
            is_disabled: client.disabled_at.is_some(),
            keys: keys.collect(),
        });
    }
    let mut frame = frame_for(state, caller);
    frame.done = done;
    frame.error = error;
    Ok(page(status, Clients { clients, new_key }.document(frame)))
}
