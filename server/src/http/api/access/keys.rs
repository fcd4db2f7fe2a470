//! `/api/clients/{id}/keys`: the keys of a client.

use access::{Access, StoredKey};
use axum::{
    Extension, Json,
    extract::{Path, State, rejection::PathRejection},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use chrono::{DateTime, TimeDelta, Utc};
use domain::Caller;
use secrecy::ExposeSecret;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::clients::client_id;
use crate::http::{
    problem::{Problem, error_responses},
    request::{
        body::{is_json, parse, read},
        fields::Fields,
    },
    state::WebState,
};

/// The routes of keys.
pub fn routes() -> OpenApiRouter<WebState> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(revoke))
}

/// A key of a client, without its secret.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ClientKey {
    /// The public part of the key, between the first two underscores.
    key_id: String,
    /// When it was created.
    created_at: DateTime<Utc>,
    /// When it expires, if it does.
    expires_at: Option<DateTime<Utc>>,
    /// When it was last used, to the minute.
    last_used_at: Option<DateTime<Utc>>,
    /// When it was revoked, if it was.
    revoked_at: Option<DateTime<Utc>>,
}

impl From<StoredKey> for ClientKey {
    fn from(stored: StoredKey) -> Self {
        let StoredKey { id, created_at, expires_at, last_used_at, revoked_at } = stored;
        Self { key_id: id, created_at, expires_at, last_used_at, revoked_at }
    }
}

/// The keys of a client.
#[derive(Serialize, ToSchema)]
struct ClientKeys {
    /// The newest first.
    data: Vec<ClientKey>,
}

/// A key that was created.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct CreatedKey {
    /// The public part of the key.
    key_id: String,
    /// The whole key. It is not shown again.
    key: String,
    /// When it expires, if it does.
    expires_at: Option<DateTime<Utc>>,
}

/// A key to create.
#[derive(ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(
    dead_code,
    reason = "for the API's document: all wrong fields are reported together, so each is read by hand"
)]
struct NewClientKey {
    /// After how many seconds it expires. Absent: never.
    #[schema(minimum = 1, maximum = 315_360_000, example = 7_776_000)]
    expires_in_seconds: Option<u64>,
}

/// List the keys of a client
#[utoipa::path(
    get,
    path = "/api/clients/{id}/keys",
    operation_id = "listClientKeys",
    tag = "Access",
    params(("id" = Uuid, Path, description = "The client's id.")),
    responses(
        (status = 200, description = "The keys, the newest first.", body = ClientKeys, example = json!({ "data": [example()] })),
        error_responses::OfResource,
    ),
)]
async fn list(
    State(access): State<Access>,
    id: Result<Path<Uuid>, PathRejection>,
) -> Result<Json<ClientKeys>, Problem> {
    let keys = access.keys(client_id(id)?).await?;
    Ok(Json(ClientKeys { data: keys.into_iter().map(ClientKey::from).collect() }))
}

/// Create a key of a client
///
/// The response has the key, and only this response. Any number of keys may be valid at once: to rotate, create the next
/// one, give it to the program, and revoke the old one.
#[utoipa::path(
    post,
    path = "/api/clients/{id}/keys",
    operation_id = "createClientKey",
    tag = "Access",
    params(("id" = Uuid, Path, description = "The client's id.")),
    request_body(content = Option<NewClientKey>, example = json!({"expiresInSeconds": 7_776_000})),
    responses(
        (
            status = 201,
            description = "The key.",
            body = CreatedKey,
            example = json!({
                "keyId": "4T9dKq0ZbX2mVn7L",
                "key": "ow_4T9dKq0ZbX2mVn7L_…",
                "expiresAt": "2026-05-01T12:00:00Z",
            }),
        ),
        error_responses::OfChange,
    ),
)]
async fn create(
    State(access): State<Access>,
    Extension(caller): Extension<Caller>,
    id: Result<Path<Uuid>, PathRejection>,
    request: axum::extract::Request,
) -> Result<Response, Problem> {
    let id = client_id(id)?;
    let is_json = is_json(request.headers());
    let bytes = read(request, &()).await?;
    let body = match (bytes.is_empty(), is_json) {
        (true, _) => json!({}),
        (false, true) => parse("the body", &bytes)?,
        (false, false) => return Err(Problem::not_json()),
    };
    let mut fields = Fields::of_body(body);
    fields.refuse_unknown("", &["expiresInSeconds"]);
    let expires_in = fields.read("/expiresInSeconds", |value| {
        let seconds = value.as_u64().filter(|seconds| (1..=315_360_000).contains(seconds));
        let seconds = seconds.and_then(|seconds| i64::try_from(seconds).ok());
        seconds.map(TimeDelta::seconds).ok_or("must be a whole number from 1 to 315360000")
    });
    let expires_in = fields.finish(Some(expires_in))?;
    let key = access.create_key(&caller.actor, id, expires_in).await?;
    let created = CreatedKey {
        key_id: key.id,
        key: key.text.expose_secret().to_owned(),
        expires_at: key.expires_at,
    };
    let no_store = [(header::CACHE_CONTROL, "no-store")];
    Ok((StatusCode::CREATED, no_store, Json(created)).into_response())
}

/// Revoke a key
///
/// Every process obeys within a second.
#[utoipa::path(
    delete,
    path = "/api/clients/{id}/keys/{key_id}",
    operation_id = "revokeClientKey",
    tag = "Access",
    params(
        ("id" = Uuid, Path, description = "The client's id."),
        ("key_id" = String, Path, description = "The key's id.", example = "4T9dKq0ZbX2mVn7L"),
    ),
    responses(
        (status = 204, description = "The key is revoked, now or by an earlier request."),
        error_responses::OfResource,
    ),
)]
async fn revoke(
    State(access): State<Access>,
    Extension(caller): Extension<Caller>,
    ids: Result<Path<(Uuid, String)>, PathRejection>,
) -> Result<StatusCode, Problem> {
    let Ok(Path((client, key_id))) = ids else {
        return Err(Problem::not_found("no key has this id"));
    };
    access.revoke_key(&caller.actor, Some(client), &key_id).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn example() -> Value {
    json!({
        "keyId": "4T9dKq0ZbX2mVn7L",
        "createdAt": "2026-01-31T12:00:00Z",
        "expiresAt": "2026-05-01T12:00:00Z",
        "lastUsedAt": "2026-02-01T09:30:00Z",
        "revokedAt": null,
    })
}
