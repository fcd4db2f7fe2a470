//! The audit on a real PostgreSQL.
#![allow(clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

mod append_only;
mod chain;
mod earlier_records;
mod list;
mod noted;
mod tampering;

use access::{Access, Entry};
use domain::{Action, Actor, Principal, PrincipalKind};
use serde_json::json;

/// A user at an address, with a session.
fn ann() -> Actor {
    Actor {
        principal: Principal::named("ann".to_owned()),
        kind: PrincipalKind::User,
        credential: Some("session:7".to_owned()),
        address: Some("192.0.2.7".parse().unwrap()),
        request_id: Some("request-1".to_owned()),
    }
}

/// Three entries, each a commit of its own, which together have every column.
async fn record_three(access: &Access) {
    let entry = Entry::done(&ann(), Action::SetRole, "client:shop");
    let entry = entry.before(json!({"role": "viewer"})).after(json!({"role": "operator"}));
    access.record(entry.reason(Some("it retries, too — 再".to_owned()))).await.unwrap();
    let refused =
        Entry::refused(&Actor::anonymous(), Action::Authenticate, "client:shop", "expired");
    access.record(refused).await.unwrap();
    access.record(Entry::done(&ann(), Action::SignOut, "session:7")).await.unwrap();
}
