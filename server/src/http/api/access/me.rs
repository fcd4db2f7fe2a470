//! `GET /api/me`: who asks.

use axum::{Extension, Json};
use domain::{Caller, Permission, PrincipalKind, Role};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::http::{
    problem::{Problem, error_responses},
    state::WebState,
};

/// The route of whoever asks.
pub fn routes() -> OpenApiRouter<WebState> {
    OpenApiRouter::new().routes(routes!(show))
}

/// Who asks, and what the caller may do.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Me {
    /// The principal: the name of the client or user, the subject of a token, or `anonymous`.
    principal: String,
    /// What kind of principal it is.
    kind: PrincipalKind,
    /// Its role.
    role: Role,
    /// What the role permits.
    permissions: Vec<&'static str>,
    /// The credential: `key:` and its id, `session:` and its handle, or `token:` and its id. Null where authentication
    /// is off.
    credential: Option<String>,
}

/// Show who you are
#[utoipa::path(
    get,
    path = "/api/me",
    operation_id = "showMe",
    tag = "Access",
    responses(
        (
            status = 200,
            description = "You.",
            body = Me,
            example = json!({
                "principal": "payroll",
                "kind": "client",
                "role": "submitter",
                "permissions": ["read", "submit"],
                "credential": "key:4T9dKq0ZbX2mVn7L",
            }),
        ),
        error_responses::Any,
    ),
)]
async fn show(Extension(caller): Extension<Caller>) -> Result<Json<Me>, Problem> {
    let permissions = Permission::ALL.into_iter().filter(|permission| caller.may(*permission));
    Ok(Json(Me {
        permissions: permissions.map(Permission::as_str).collect(),
        principal: caller.principal().as_str().to_owned(),
        kind: caller.actor.kind,
        role: caller.role,
        credential: caller.actor.credential,
    }))
}
