//! A user who signs in.

use std::net::IpAddr;

use access::{Access, Attempt, NewPassword, Refusal, SecretToken, SignedIn, Visit};
use domain::{Actor, Role};
use secrecy::ExposeSecret;
use sqlx::PgPool;

use crate::support::database;

pub const PASSWORD: &str = "seven purple walruses";
pub const OTHER: &str = "nine orange narwhals";

/// The database, with the user `alice`.
pub async fn with_alice(role: Role) -> (PgPool, Access) {
    let pool = database().await;
    let access = Access::new(pool.clone());
    access.create_user(&actor(), "alice", role, Some(password(PASSWORD, "alice"))).await.unwrap();
    (pool, access)
}

pub fn password(text: &str, user: &str) -> NewPassword {
    NewPassword::check(&text.into(), user).unwrap()
}

pub fn address(last: u8) -> IpAddr {
    [192, 0, 2, last].into()
}

pub fn attempt(name: &str, password: &str) -> Attempt {
    Attempt {
        name: name.to_owned(),
        password: password.into(),
        code: String::new(),
        device: None,
        session: None,
        visit: Visit {
            address: Some(address(1)),
            user_agent: Some("Firefox\n".to_owned()),
            request_id: None,
        },
    }
}

/// Signs alice in.
pub async fn signed_in(access: &Access) -> SignedIn {
    access.sign_in(&attempt("alice", PASSWORD)).await.unwrap().unwrap()
}

/// What becomes of an attempt.
pub async fn refusal(access: &Access, attempt: &Attempt) -> Option<Refusal> {
    access.sign_in(attempt).await.unwrap().err()
}

/// The same token, as it comes back in a cookie.
pub fn again(token: &SecretToken) -> SecretToken {
    SecretToken::parse(token.text().expose_secret()).unwrap()
}

/// Who administers.
pub fn actor() -> Actor {
    Actor::command_line()
}
