//! The pages for people and their accounts, and the answers to their forms: sign in, set a password, your account, users,
//! clients and their keys; and the audit.
//!
//! What they look like is in `app/src/pages/people` and `app/src/pages/audit`. A form that succeeds leads back to its page,
//! by a redirect; what is shown once, such as recovery codes, is in the answer itself.

mod account;
mod audit;
mod clients;
mod page;
mod set_password;
mod sign_in;
mod signed_in;
mod users;

use axum::{Router, routing::get, routing::post};

use super::WebState;

/// The routes.
pub fn routes() -> Router<WebState> {
    Router::new()
        .route("/audit", get(audit::show))
        .route("/sign-in", get(sign_in::show).post(sign_in::sign_in))
        .route("/sign-out", post(sign_in::sign_out))
        .route("/set-password", get(set_password::show).post(set_password::set))
        .route("/account", get(account::show))
        .route("/account/password", post(account::change_password))
        .route("/account/totp", post(account::begin_totp))
        .route("/account/totp/confirm", post(account::confirm_totp))
        .route("/account/totp/change", post(account::change_totp))
        .route("/account/end-sessions", post(account::end_other_sessions))
        .route("/account/sessions/{handle}/end", post(account::end_session))
        .route("/users", get(users::show).post(users::create))
        .route("/users/{name}/role", post(users::set_role))
        .route("/users/{name}/change", post(users::change))
        .route("/clients", get(clients::show).post(clients::create))
        .route("/clients/{name}/role", post(clients::set_role))
        .route("/clients/{name}/change", post(clients::change))
        .route("/clients/{name}/keys", post(clients::create_key))
        .route("/clients/{name}/keys/{key_id}/revoke", post(clients::revoke_key))
}
