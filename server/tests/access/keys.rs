//! Keys of clients: forged ones, rotation, revocation.

use serde_json::{Value, json};

use crate::{Guarded, support::Program};

/// A key with another character at a place.
fn changed(key: &str, at: usize) -> String {
    let other = if key.as_bytes()[at] == b'x' { "y" } else { "x" };
    let mut changed = key.to_owned();
    changed.replace_range(at..=at, other);
    changed
}

async fn refused(program: &Program, authorization: &[&str]) -> Value {
    let mut request = program.get("/api/me");
    for value in authorization {
        request = request.header("authorization", *value);
    }
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 401, "{authorization:?}");
    let challenge = answer.headers()["www-authenticate"].to_str().unwrap().to_owned();
    assert!(challenge.starts_with("Bearer"), "{challenge}");
    let problem: Value = answer.json().await.unwrap();
    assert_eq!(problem["code"], "unauthenticated");
    problem
}

#[tokio::test]
async fn a_forged_revoked_or_expired_key_and_one_of_a_disabled_client_are_refused() {
    let guarded = Guarded::start().await;
    let program = &guarded.program;
    let key = guarded.client("payroll", "submitter").await;
    let me = program.read_as(&key, "/api/me").await;
    assert_eq!((&me["principal"], &me["role"]), (&json!("payroll"), &json!("submitter")));

    let bearer = |key: &str| format!("Bearer {key}");
    let (id, secret) = (5, 30);
    for forged in [changed(&key, id), changed(&key, secret), changed(&key, key.len() - 1)] {
        let problem = refused(program, &[&bearer(&forged)]).await;
        assert!(!problem.to_string().contains(&forged[20..]), "the answer repeats the key");
    }
    for header in
        ["", "Bearer", "Bearer ", "Basic cGF5cm9sbDp4", "ow_", &key, &format!("Token {key}")]
    {
        refused(program, &[header]).await;
    }
    refused(program, &[&bearer(&key), &bearer(&key)]).await;
    let query = program.get(&format!("/api/me?access_token={key}")).send().await.unwrap();
    assert_eq!(query.status(), 401, "a key in the address is not accepted");

    let brief =
        guarded.onceward(&["client", "key", "create", "payroll", "--expires-in", "1s"]).await;
    let is_expired = async || program.status_as(&brief, "/api/me").await == 401;
    program.until("the key expires", is_expired).await;

    guarded.onceward(&["client", "disable", "payroll"]).await;
    let is_refused = async || program.status_as(&key, "/api/me").await == 401;
    program.until("the client is disabled", is_refused).await;
}

#[tokio::test]
async fn a_key_that_is_revoked_is_refused_by_every_process_and_the_next_one_finds_the_same_transactions()
 {
    let guarded = Guarded::start().await;
    let another = guarded.another().await;
    let old = guarded.client("payroll", "submitter").await;
    let id = guarded.program.submit_as(&old, "salary-1").await;

    let next = guarded.onceward(&["client", "key", "create", "payroll"]).await;
    for key in [&old, &next] {
        assert_eq!(another.submit_as(key, "salary-1").await, id, "a replay");
    }
    let old_id = old.split('_').nth(1).unwrap();
    guarded.onceward(&["client", "key", "revoke", old_id]).await;
    for program in [&guarded.program, &another] {
        let is_refused = async || program.status_as(&old, "/api/me").await == 401;
        program.until("the key is revoked", is_refused).await;
        assert_eq!(program.status_as(&next, "/api/me").await, 200);
        assert_eq!(program.submit_as(&next, "salary-1").await, id);
    }
    let listed = guarded.onceward(&["client", "key", "list", "payroll"]).await;
    let lines: Vec<_> = listed.lines().collect();
    assert_eq!(lines.len(), 2);
    assert!(
        lines.iter().any(|line| line.starts_with(old_id) && line.ends_with("revoked")),
        "{listed}"
    );
}

#[tokio::test]
async fn an_administrator_creates_changes_and_disables_clients_and_keys_over_the_api() {
    let guarded = Guarded::start().await;
    let (program, admin) = (&guarded.program, guarded.client("root", "admin").await);
    let send = async |method: &str, path: &str, body: Value| {
        let url = format!("{}{path}", program.url);
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let request = client.request(method.parse().unwrap(), url).bearer_auth(&admin);
        let request = request.header("content-type", "application/json").body(body.to_string());
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        (status, answer.json::<Value>().await.unwrap_or_default())
    };
    let new = json!({"name": "shop", "role": "submitter"});
    let (status, client) = send("POST", "/api/clients", new.clone()).await;
    assert_eq!((status, &client["name"]), (201, &json!("shop")));
    let (status, problem) = send("POST", "/api/clients", new).await;
    assert_eq!((status, &problem["errors"][0]["pointer"]), (409, &json!("/name")));
    for (body, pointer) in [
        (json!({"role": "viewer"}), "/name"),
        (json!({"name": "Shop", "role": "viewer"}), "/name"),
        (json!({"name": "anonymous", "role": "viewer"}), "/name"),
        (json!({"name": "x", "role": "root"}), "/role"),
        (json!({"name": "x", "role": "viewer", "rolle": 1}), "/rolle"),
    ] {
        let (status, problem) = send("POST", "/api/clients", body.clone()).await;
        assert_eq!((status, &problem["errors"][0]["pointer"]), (422, &json!(pointer)), "{body}");
    }
    let path = format!("/api/clients/{}", client["id"].as_str().unwrap());
    let (status, created) =
        send("POST", &format!("{path}/keys"), json!({"expiresInSeconds": 600})).await;
    assert_eq!(status, 201);
    let key = created["key"].as_str().unwrap();
    assert_eq!(program.read_as(key, "/api/me").await["principal"], "shop");

    let (status, changed) = send("PATCH", &path, json!({"role": "viewer"})).await;
    assert_eq!((status, &changed["role"]), (200, &json!("viewer")));
    // This process has made the change, so it obeys at once.
    assert_eq!(program.read_as(key, "/api/me").await["role"], "viewer");

    let key_path = format!("{path}/keys/{}", created["keyId"].as_str().unwrap());
    let another = guarded.onceward(&["client", "create", "other", "--role", "viewer"]).await;
    let wrong = key_path.replace(client["id"].as_str().unwrap(), &another);
    assert_eq!(send("DELETE", &wrong, json!({})).await.0, 404, "the key of another client");
    assert_eq!(send("DELETE", &key_path, json!({})).await.0, 204);
    assert_eq!(program.status_as(key, "/api/me").await, 401);
    let keys = program.read_as(&admin, &format!("{path}/keys")).await;
    assert!(keys["data"][0]["revokedAt"].is_string());
    assert!(!keys.to_string().contains(key), "the list shows the key");
}
