//! `/api/users`: the accounts of people.

use access::{Access, SecretToken, User as StoredUser};
use axum::{
    Extension, Json,
    extract::{Path, State, rejection::PathRejection},
    http::{HeaderName, StatusCode, header},
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use domain::{Caller, Role};
use secrecy::ExposeSecret;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::{
    commands::user::link,
    http::{
        problem::{Problem, error_responses},
        request::{body::JsonBody, fields::Fields},
        state::WebState,
    },
};

/// The routes of users.
pub fn routes() -> OpenApiRouter<WebState> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(show, change))
        .routes(routes!(reset_password))
}

/// A user, which is the account of a person.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct User {
    /// Its id.
    id: Uuid,
    /// Its name, which is its principal.
    name: String,
    /// Its role.
    role: Role,
    /// Whether it has a password; otherwise it needs a one-time link.
    has_password: bool,
    /// Whether it has an authenticator app.
    has_totp: bool,
    /// How many sessions it has.
    #[schema(minimum = 0)]
    sessions: i64,
    /// When it was created.
    created_at: DateTime<Utc>,
    /// Since when it may do nothing.
    disabled_at: Option<DateTime<Utc>>,
}

impl From<StoredUser> for User {
    fn from(stored: StoredUser) -> Self {
        let StoredUser {
            id,
            name,
            role,
            has_password,
            has_totp,
            sessions,
            created_at,
            disabled_at,
        } = stored;
        Self { id, name, role, has_password, has_totp, sessions, created_at, disabled_at }
    }
}

/// The users.
#[derive(Serialize, ToSchema)]
struct Users {
    /// By name.
    data: Vec<User>,
}

/// A user that was created, and the link with which the person sets a password.
#[derive(Serialize, ToSchema)]
struct CreatedUser {
    #[serde(flatten)]
    user: User,
    #[serde(flatten)]
    link: OneTimeLink,
}

/// A link with which a person sets a password.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct OneTimeLink {
    /// The page on which the person sets a password, below the address of Onceward. It is valid for 24 hours, and once;
    /// it is not shown again.
    #[schema(pattern = "^/set-password\\?token=[A-Za-z0-9_-]{43}$")]
    set_password_path: String,
}

impl From<SecretToken> for OneTimeLink {
    fn from(token: SecretToken) -> Self {
        Self { set_password_path: link("", &token).expose_secret().to_owned() }
    }
}

/// A user to create.
#[derive(ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(
    dead_code,
    reason = "for the API's document: all wrong fields are reported together, so each is read by hand"
)]
struct NewUser {
    /// Its name, which is its principal and stays for ever: small letters, digits and `. _ @ -`.
    #[schema(pattern = "^[a-z0-9][a-z0-9._@-]{0,63}$", example = "ann")]
    name: String,
    /// Its role.
    role: Role,
}

/// What to change of a user. What is absent stays as it is.
#[derive(ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(
    dead_code,
    reason = "for the API's document: all wrong fields are reported together, so each is read by hand"
)]
struct UserChange {
    /// Its role.
    role: Option<Role>,
    /// Whether it may do nothing.
    disabled: Option<bool>,
}

/// An answer with a secret must not be stored on the way.
const NO_STORE: [(HeaderName, &str); 1] = [(header::CACHE_CONTROL, "no-store")];

/// List the users
#[utoipa::path(
    get,
    path = "/api/users",
    operation_id = "listUsers",
    tag = "Access",
    responses(
        (status = 200, description = "The users, by name.", body = Users, example = json!({ "data": [example()] })),
        error_responses::Any,
    ),
)]
async fn list(State(access): State<Access>) -> Result<Json<Users>, Problem> {
    let users = access.users().await?;
    Ok(Json(Users { data: users.into_iter().map(User::from).collect() }))
}

/// Create a user
///
/// It has no password yet. The response has a one-time link with which the person sets one, and only this response.
#[utoipa::path(
    post,
    path = "/api/users",
    operation_id = "createUser",
    tag = "Access",
    request_body(content = NewUser, example = json!({"name": "ann", "role": "operator"})),
    responses(
        (
            status = 201,
            description = "The user, and the link.",
            body = CreatedUser,
            headers(("Location" = String, description = "The path of the user.")),
            example = json!(example_of_created()),
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
    fields.refuse_unknown("", &["name", "role"]);
    fields.require("/name");
    fields.require("/role");
    let name = fields.text("/name", |text| Ok::<_, String>(text.to_owned()));
    let role = fields.text("/role", str::parse::<Role>);
    let (name, role) = fields.finish(name.zip(role))?;
    let id = access.create_user(&caller.actor, &name, role, None).await?;
    let link = access.create_link(&caller.actor, &name).await?.into();
    let location = [(header::LOCATION, format!("/api/users/{id}"))];
    let created = CreatedUser { user: find(&access, id).await?.into(), link };
    Ok((StatusCode::CREATED, location, NO_STORE, Json(created)).into_response())
}

/// Show a user
#[utoipa::path(
    get,
    path = "/api/users/{id}",
    operation_id = "showUser",
    tag = "Access",
    params(("id" = Uuid, Path, description = "The user's id.")),
    responses(
        (status = 200, description = "The user.", body = User, example = json!(example())),
        error_responses::OfResource,
    ),
)]
async fn show(
    State(access): State<Access>,
    id: Result<Path<Uuid>, PathRejection>,
) -> Result<Json<User>, Problem> {
    Ok(Json(find(&access, user_id(id)?).await?.into()))
}

/// Change a user
///
/// Another role and disabling end the user's sessions, in every process within a second. The last administrator who can
/// sign in stays one.
#[utoipa::path(
    patch,
    path = "/api/users/{id}",
    operation_id = "changeUser",
    tag = "Access",
    params(("id" = Uuid, Path, description = "The user's id.")),
    request_body(content = UserChange, example = json!({"role": "viewer"})),
    responses(
        (status = 200, description = "The user as it is now.", body = User, example = json!(example())),
        error_responses::OfUserChange,
    ),
)]
async fn change(
    State(access): State<Access>,
    Extension(caller): Extension<Caller>,
    id: Result<Path<Uuid>, PathRejection>,
    JsonBody(body): JsonBody,
) -> Result<Json<User>, Problem> {
    let id = user_id(id)?;
    let mut fields = Fields::of_body(body);
    fields.refuse_unknown("", &["role", "disabled"]);
    let role = fields.text("/role", str::parse::<Role>);
    let disabled = fields.read("/disabled", |value| value.as_bool().ok_or("must be true or false"));
    let (role, disabled) = fields.finish(Some((role, disabled)))?;
    let user = find(&access, id).await?;
    access.change_user(&caller.actor, &user.name, role, disabled).await?;
    Ok(Json(find(&access, id).await?.into()))
}

/// Reset the password of a user
///
/// The response has a one-time link with which the person sets a new password, and only this response. Earlier links are no
/// longer valid. The password so far is, until the link is used.
#[utoipa::path(
    post,
    path = "/api/users/{id}/reset-password",
    operation_id = "resetPassword",
    tag = "Access",
    params(("id" = Uuid, Path, description = "The user's id.")),
    responses(
        (status = 200, description = "The link.", body = OneTimeLink, example = json!({ "setPasswordPath": EXAMPLE_PATH })),
        error_responses::OfResourceInState,
    ),
)]
async fn reset_password(
    State(access): State<Access>,
    Extension(caller): Extension<Caller>,
    id: Result<Path<Uuid>, PathRejection>,
) -> Result<Response, Problem> {
    let user = find(&access, user_id(id)?).await?;
    if user.disabled_at.is_some() {
        return Err(Problem::conflict("", "is disabled", "the user is disabled: enable it first"));
    }
    let link = OneTimeLink::from(access.create_link(&caller.actor, &user.name).await?);
    Ok((NO_STORE, Json(link)).into_response())
}

async fn find(access: &Access, id: Uuid) -> Result<StoredUser, Problem> {
    access.user(id).await?.ok_or_else(no_such_user)
}

/// The id of a user in a path. No user has an id that is not a UUID.
fn user_id(id: Result<Path<Uuid>, PathRejection>) -> Result<Uuid, Problem> {
    id.map(|Path(id)| id).map_err(|_| no_such_user())
}

fn no_such_user() -> Problem {
    Problem::not_found("no user has this id")
}

const EXAMPLE_PATH: &str = "/set-password?token=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

fn example() -> Value {
    json!({
        "id": "0199e2a4-5f7c-7cc3-9d3c-2f1a55b0a6f1",
        "name": "ann",
        "role": "operator",
        "hasPassword": false,
        "hasTotp": false,
        "sessions": 0,
        "createdAt": "2026-01-31T12:00:00Z",
        "disabledAt": null,
    })
}

fn example_of_created() -> Value {
    let mut created = example();
    created["setPasswordPath"] = json!(EXAMPLE_PATH);
    created
}
