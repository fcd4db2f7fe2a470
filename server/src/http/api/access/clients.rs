//! `/api/clients`: the accounts of programs.

use access::{Access, StoredPrincipal};
use axum::{
    Extension, Json,
    extract::{Path, State, rejection::PathRejection},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use domain::{Caller, PrincipalKind, Role};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::http::{
    problem::{Problem, error_responses},
    request::{body::JsonBody, fields::Fields},
    state::WebState,
};

/// The routes of clients.
pub fn routes() -> OpenApiRouter<WebState> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(show, change))
}

/// A client, which is the account of a program.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Client {
    /// Its id.
    id: Uuid,
    /// Its name, which is its principal.
    name: String,
    /// Its role.
    role: Role,
    /// Its own rate limit, such as `100/s`, instead of that of the settings.
    rate_limit: Option<String>,
    /// When it was created.
    created_at: DateTime<Utc>,
    /// Since when it may do nothing.
    disabled_at: Option<DateTime<Utc>>,
}

impl From<StoredPrincipal> for Client {
    fn from(stored: StoredPrincipal) -> Self {
        let StoredPrincipal { id, name, role, rate_limit, created_at, disabled_at, .. } = stored;
        Self { id, name, role, rate_limit, created_at, disabled_at }
    }
}

/// The clients.
#[derive(Serialize, ToSchema)]
struct Clients {
    /// By name.
    data: Vec<Client>,
}

/// A client to create.
#[derive(ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(
    dead_code,
    reason = "for the API's document: all wrong fields are reported together, so each is read by hand"
)]
struct NewClient {
    /// Its name, which is its principal and stays for ever: small letters, digits and `. _ @ -`.
    #[schema(pattern = "^[a-z0-9][a-z0-9._@-]{0,63}$", example = "payroll")]
    name: String,
    /// Its role.
    role: Role,
    /// Its own rate limit, such as `100/s` or `6000/m`.
    #[schema(pattern = "^[1-9][0-9]{0,6}/[smh]$", example = "100/s")]
    rate_limit: Option<String>,
}

/// What to change of a client. What is absent stays as it is.
#[derive(ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(
    dead_code,
    reason = "for the API's document: all wrong fields are reported together, so each is read by hand"
)]
struct ClientChange {
    /// Its role.
    role: Option<Role>,
    /// Its own rate limit, such as `100/s`; empty for that of the settings.
    #[schema(pattern = "^([1-9][0-9]{0,6}/[smh])?$", example = "100/s")]
    rate_limit: Option<String>,
    /// Whether it may do nothing.
    disabled: Option<bool>,
}

/// List the clients
#[utoipa::path(
    get,
    path = "/api/clients",
    operation_id = "listClients",
    tag = "Access",
    responses(
        (status = 200, description = "The clients, by name.", body = Clients, example = json!({ "data": [example()] })),
        error_responses::Any,
    ),
)]
async fn list(State(access): State<Access>) -> Result<Json<Clients>, Problem> {
    let clients = access.principals(PrincipalKind::Client).await?;
    Ok(Json(Clients { data: clients.into_iter().map(Client::from).collect() }))
}

/// Create a client
///
/// It has no key yet.
#[utoipa::path(
    post,
    path = "/api/clients",
    operation_id = "createClient",
    tag = "Access",
    request_body(content = NewClient, example = json!({"name": "payroll", "role": "submitter"})),
    responses(
        (
            status = 201,
            description = "The client.",
            body = Client,
            headers(("Location" = String, description = "The path of the client.")),
            example = json!(example()),
        ),
        error_responses::OfCreation,
    ),
)]
async fn create(
    State(access): State<Access>,
    Extension(caller): Extension<Caller>,
    JsonBody(body): JsonBody,
) -> Result<Response, Problem> {
    let mut fields = Fields::of_body(body);
    fields.refuse_unknown("", &["name", "role", "rateLimit"]);
    fields.require("/name");
    fields.require("/role");
    let name = fields.text("/name", |text| Ok::<_, String>(text.to_owned()));
    let role = fields.text("/role", str::parse::<Role>);
    let rate_limit = fields.text("/rateLimit", |text| Ok::<_, String>(text.to_owned()));
    let (name, role) = fields.finish(name.zip(role))?;
    let id = access.create_client(&caller.actor, &name, role, rate_limit.as_deref()).await?;
    let location = format!("/api/clients/{id}");
    let client = find(&access, id).await?;
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Json(client)).into_response())
}

/// Show a client
#[utoipa::path(
    get,
    path = "/api/clients/{id}",
    operation_id = "showClient",
    tag = "Access",
    params(("id" = Uuid, Path, description = "The client's id.")),
    responses(
        (status = 200, description = "The client.", body = Client, example = json!(example())),
        error_responses::OfResource,
    ),
)]
async fn show(
    State(access): State<Access>,
    id: Result<Path<Uuid>, PathRejection>,
) -> Result<Json<Client>, Problem> {
    Ok(Json(find(&access, client_id(id)?).await?))
}

/// Change a client
///
/// Every process obeys within a second. A client that is disabled keeps its transactions and its keys, which are not
/// accepted until it is enabled again.
#[utoipa::path(
    patch,
    path = "/api/clients/{id}",
    operation_id = "changeClient",
    tag = "Access",
    params(("id" = Uuid, Path, description = "The client's id.")),
    request_body(content = ClientChange, example = json!({"disabled": true})),
    responses(
        (status = 200, description = "The client as it is now.", body = Client, example = json!(example())),
        error_responses::OfChange,
    ),
)]
async fn change(
    State(access): State<Access>,
    Extension(caller): Extension<Caller>,
    id: Result<Path<Uuid>, PathRejection>,
    JsonBody(body): JsonBody,
) -> Result<Json<Client>, Problem> {
    let id = client_id(id)?;
    let mut fields = Fields::of_body(body);
    fields.refuse_unknown("", &["role", "rateLimit", "disabled"]);
    let role = fields.text("/role", str::parse::<Role>);
    let disabled = fields.read("/disabled", |value| value.as_bool().ok_or("must be true or false"));
    let rate_limit = fields.text("/rateLimit", |text| Ok::<_, String>(text.to_owned()));
    let (role, rate_limit, disabled) = fields.finish(Some((role, rate_limit, disabled)))?;
    let rate_limit = rate_limit.as_deref().map(|text| (!text.is_empty()).then_some(text));
    access.change_client(&caller.actor, id, role, rate_limit, disabled).await?;
    Ok(Json(find(&access, id).await?))
}

async fn find(access: &Access, id: Uuid) -> Result<Client, Problem> {
    let found = access.client(id).await?;
    found.map(Client::from).ok_or_else(no_such_client)
}

/// The id of a client in a path. No client has an id that is not a UUID.
pub fn client_id(id: Result<Path<Uuid>, PathRejection>) -> Result<Uuid, Problem> {
    id.map(|Path(id)| id).map_err(|_| no_such_client())
}

fn no_such_client() -> Problem {
    Problem::not_found("no client has this id")
}

fn example() -> Value {
    json!({
        "id": "0199e2a4-5f7c-7cc3-9d3c-2f1a55b0a6f1",
        "name": "payroll",
        "role": "submitter",
        "rateLimit": null,
        "createdAt": "2026-01-31T12:00:00Z",
        "disabledAt": null,
    })
}
