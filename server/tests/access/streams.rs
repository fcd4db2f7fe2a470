//! Streams and exports end with the credential that opened them.

use std::time::Duration;

use reqwest::{RequestBuilder, Response};
use serde_json::Value;
use sqlx::{Connection, PgConnection};
use tokio::time::timeout;

use crate::{
    Guarded,
    browser::{Browser, PASSWORD},
};

/// Opens a stream, and waits for its first event.
async fn opened(request: RequestBuilder) -> Response {
    let mut stream = request.send().await.unwrap();
    assert_eq!(stream.status(), 200);
    assert!(stream.chunk().await.unwrap().is_some());
    stream
}

/// Reads a stream to its end, which a minute must not pass without.
async fn ends(mut stream: Response) {
    let end = async { while stream.chunk().await.unwrap().is_some() {} };
    timeout(Duration::from_secs(60), end).await.expect("the stream goes on");
}

impl Guarded {
    fn stream(&self, credential: &str) -> RequestBuilder {
        self.program.get("/api/stream").bearer_auth(credential)
    }
}

#[tokio::test]
async fn a_stream_ends_when_its_key_is_revoked_and_those_of_others_go_on() {
    let guarded = Guarded::start().await;
    let revoked = guarded.client("payroll", "submitter").await;
    let kept = guarded.onceward(&["client", "key", "create", "payroll"]).await;
    let stream = opened(guarded.stream(&revoked)).await;
    let mut other = opened(guarded.stream(&kept)).await;
    let key_id = revoked.split('_').nth(1).unwrap();
    guarded.onceward(&["client", "key", "revoke", key_id]).await;
    ends(stream).await;
    let id = guarded.program.submit_as(&kept, "salary-1").await;
    let shown = async {
        let mut text = String::new();
        while !text.contains(&id) {
            let chunk = other.chunk().await.unwrap().expect("the other stream has ended");
            text.push_str(&String::from_utf8_lossy(&chunk));
        }
    };
    timeout(Duration::from_secs(60), shown).await.expect("the change is not shown");
}

#[tokio::test]
async fn a_stream_ends_when_its_client_is_disabled_or_gets_another_role() {
    let guarded = Guarded::start().await;
    for (name, change) in [
        ("disabled", &["client", "disable", "disabled"][..]),
        ("promoted", &["client", "set-role", "promoted", "--role", "operator"]),
    ] {
        let key = guarded.client(name, "viewer").await;
        let stream = opened(guarded.stream(&key)).await;
        guarded.onceward(change).await;
        ends(stream).await;
    }
}

#[tokio::test]
async fn a_stream_ends_when_its_token_expires() {
    let (database, service) =
        (crate::support::database().await, crate::support::Service::start().await);
    let mut command = Guarded::command(&service, &database);
    command.env("TOKEN_TTL_SECONDS", "5");
    let program = crate::watched::Watched::start(command).await;
    program.ready().await;
    let guarded = Guarded { program, database, service };
    let key = guarded.client("payroll", "viewer").await;
    let request = guarded.program.post("/api/auth/token").basic_auth("payroll", Some(&key));
    let request = request.header("content-type", "application/x-www-form-urlencoded");
    let answer = request.body("grant_type=client_credentials").send().await.unwrap();
    let token: Value = answer.json().await.unwrap();
    ends(opened(guarded.stream(token["access_token"].as_str().unwrap())).await).await;
}

#[tokio::test]
async fn a_stream_ends_when_its_user_signs_out() {
    let guarded = Guarded::start().await;
    guarded.user("ann", "viewer").await;
    let mut browser = Browser::new(&guarded);
    browser.sign_in("ann", PASSWORD).await;
    let stream = opened(browser.request(reqwest::Method::GET, "/api/stream")).await;
    browser.post("/sign-out", &[]).await;
    ends(stream).await;
}

/// More than the buffers between the two processes hold.
const ROWS: i32 = 60_000;

#[tokio::test]
async fn an_export_breaks_off_when_its_key_is_revoked() {
    let guarded = Guarded::start().await;
    let key = guarded.client("auditor", "viewer").await;
    let mut table = PgConnection::connect(&guarded.database).await.unwrap();
    sqlx::query(
        "insert into audit (principal, kind, action, object, reason)
         select 'ann', 'user', 'cancel', 'transaction:' || n, repeat('x', 500)
         from generate_series(1, $1) n",
    )
    .bind(ROWS)
    .execute(&mut table)
    .await
    .unwrap();
    let export = guarded.program.get("/api/audit/export?format=ndjson").bearer_auth(&key);
    let mut export = export.send().await.unwrap();
    assert_eq!(export.status(), 200);
    let key_id = key.split('_').nth(1).unwrap();
    guarded.onceward(&["client", "key", "revoke", key_id]).await;
    let is_refused = async || guarded.program.status_as(&key, "/api/me").await == 401;
    guarded.program.until("the key is revoked", is_refused).await;
    let rest = async {
        loop {
            match export.chunk().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("the export looks complete"),
                Err(_) => break,
            }
        }
    };
    timeout(Duration::from_secs(60), rest).await.expect("the export goes on");
}
