//! `/api/sessions`: where people are signed in. A session's id is a secret, so its handle names it.

use access::{Access, Entry, ListedSession};
use axum::{
    Extension, Json,
    extract::{Path, Query, State, rejection::PathRejection},
    http::StatusCode,
};
use chrono::{DateTime, Utc};
use domain::{Action, Caller, Permission, PrincipalKind};
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::http::{
    api::transactions::filter::UncheckedQuery,
    problem::{Problem, error_responses},
    request::fields::{Fields, without_nul},
    state::WebState,
};

/// The routes of sessions.
pub fn routes() -> OpenApiRouter<WebState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(end))
}

/// A session of a user in a browser.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Session {
    /// What names it.
    handle: Uuid,
    /// Whether it is the session of this request.
    is_current: bool,
    /// When its user signed in.
    created_at: DateTime<Utc>,
    /// When it was last used, to the minute.
    last_seen_at: DateTime<Utc>,
    /// When it ends at the latest.
    expires_at: DateTime<Utc>,
    /// From which address its user signed in.
    address: Option<String>,
    /// With which browser, as the browser says.
    user_agent: Option<String>,
}

impl Session {
    fn of(listed: ListedSession, caller: &Caller) -> Self {
        let ListedSession { handle, created_at, last_seen_at, expires_at, address, user_agent } =
            listed;
        let is_current = caller.actor.credential == Some(format!("session:{handle}"));
        Self { handle, is_current, created_at, last_seen_at, expires_at, address, user_agent }
    }
}

/// The sessions of a user.
#[derive(Serialize, ToSchema)]
struct Sessions {
    /// The newest first.
    data: Vec<Session>,
}

/// Whose sessions to list.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(
    dead_code,
    reason = "for the API's document: all wrong fields are reported together, so each is read by hand"
)]
struct Whose {
    /// The name of the user. Absent: yourself. Only an administrator may name someone else.
    #[param(example = "ann")]
    user: Option<String>,
}

/// List sessions
///
/// Those of a user that have not ended. Clients and tokens have none.
#[utoipa::path(
    get,
    path = "/api/sessions",
    operation_id = "listSessions",
    tag = "Access",
    params(Whose),
    responses(
        (
            status = 200,
            description = "The sessions, the newest first.",
            body = Sessions,
            example = json!({ "data": [{
                "handle": "0199e2a4-5f7c-7cc3-9d3c-2f1a55b0a6f1",
                "isCurrent": true,
                "createdAt": "2026-01-31T12:00:00Z",
                "lastSeenAt": "2026-01-31T12:30:00Z",
                "expiresAt": "2026-02-01T00:00:00Z",
                "address": "192.0.2.7",
                "userAgent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
            }] }),
        ),
        error_responses::OfList,
    ),
)]
async fn list(
    State(access): State<Access>,
    Extension(caller): Extension<Caller>,
    query: UncheckedQuery,
) -> Result<Json<Sessions>, Problem> {
    let Query(query) = query.map_err(|_| Problem::malformed("the query cannot be read"))?;
    let mut fields = Fields::of_query(query);
    fields.refuse_unknown("", &["user"]);
    let user = fields.text("/user", without_nul);
    let user = fields.finish(Some(user))?;
    let own = own_name(&caller);
    let user = match user.as_deref() {
        Some(user) if Some(user) != own && !caller.may(Permission::Administer) => {
            let why = "only an administrator sees the sessions of others";
            access.note(Entry::refused(&caller.actor, Action::Authorize, "sessions", why));
            return Err(Problem::forbidden());
        }
        user => user.or(own),
    };
    let sessions = match user {
        Some(user) => access.sessions(user).await?,
        None => Vec::new(),
    };
    let data = sessions.into_iter().map(|listed| Session::of(listed, &caller)).collect();
    Ok(Json(Sessions { data }))
}

/// End a session
///
/// One of your own; an administrator ends anyone's. Every process obeys within a second.
#[utoipa::path(
    delete,
    path = "/api/sessions/{handle}",
    operation_id = "endSession",
    tag = "Access",
    params(("handle" = Uuid, Path, description = "The session's handle.")),
    responses(
        (status = 204, description = "The session has ended."),
        error_responses::OfResource,
    ),
)]
async fn end(
    State(access): State<Access>,
    Extension(caller): Extension<Caller>,
    handle: Result<Path<Uuid>, PathRejection>,
) -> Result<StatusCode, Problem> {
    let no_such_session = || Problem::not_found("no session of yours has this handle");
    let Path(handle) = handle.map_err(|_| no_such_session())?;
    let user = match caller.may(Permission::Administer) {
        true => None,
        false => Some(own_name(&caller).ok_or_else(no_such_session)?),
    };
    access.end_session(&caller.actor, user, handle).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The caller's name if it is a user.
fn own_name(caller: &Caller) -> Option<&str> {
    (caller.actor.kind == PrincipalKind::User).then(|| caller.principal().as_str())
}
