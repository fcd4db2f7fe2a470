//! Interventions: cancel, retry, resolve and bulk retry, on the real program.
#![allow(clippy::unwrap_used)]

mod support;

use serde_json::{Value, json};
use support::{Program, Service, contract, database, redacted};

const UNKNOWN_ID: &str = "7c9e6679-7425-40de-944b-e07fc1f90ae7";

/// Onceward with one attempt for each transaction, and its posting service.
async fn start() -> (Program, Service) {
    let service = Service::start().await;
    let mut command = service.command("serve", &database().await);
    command.env("POSTING_MAX_ATTEMPTS", "1");
    (Program::start(command).await, service)
}

fn path(id: &str, action: &str) -> String {
    format!("/api/transactions/{id}/{action}")
}

async fn act(program: &Program, id: &str, action: &str, body: &Value) -> Value {
    contract(program.post_json(&path(id, action), body).await).await
}

/// The recorded interventions: who did what, from which state to which, and why.
async fn record(program: &Program, id: &str) -> Vec<Value> {
    let record = program.read(&path(id, "interventions")).await;
    let mut lines = record["data"].as_array().unwrap().clone();
    for line in &mut lines {
        assert!(line["at"].is_string());
        line.as_object_mut().unwrap().remove("at");
    }
    lines
}

#[tokio::test]
async fn a_pending_transaction_is_cancelled_and_never_posted() {
    let (program, service) = start().await;
    program.post("/api/posting/pause").send().await.unwrap();
    let id = program.submit_one(7).await;
    let cancelled = act(&program, &id, "cancel", &json!({"reason": "a mistake"})).await;
    let differs = ["/body/transactionId", "/body/submittedAt", "/body/completedAt"];
    insta::assert_snapshot!("cancelled", redacted(cancelled, &differs));
    let record = record(&program, &id).await;
    let line = json!({
        "principal": "anonymous", "action": "cancel",
        "fromStatus": "pending", "toStatus": "cancelled", "reason": "a mistake",
    });
    assert_eq!(record, [line]);
    let again = act(&program, &id, "cancel", &json!({})).await;
    insta::assert_snapshot!("cancelled_already", redacted(again, &[]));

    // Without a body, with an empty one, and with one without a reason.
    for content_type in [None, Some("application/json"), Some("text/plain")] {
        let id = program.submit_one(7).await;
        let mut request = program.post(&path(&id, "cancel"));
        if let Some(content_type) = content_type {
            request = request.header("content-type", content_type);
        }
        assert_eq!(request.send().await.unwrap().status(), 200, "{content_type:?}");
    }
    let id = program.submit_one(7).await;
    let cancelled = act(&program, &id, "cancel", &json!({"reason": null, "other": 1})).await;
    assert_eq!(cancelled["body"]["status"], "cancelled");

    program.post("/api/posting/resume").send().await.unwrap();
    let last = program.submit_one(7).await;
    program.wait_for(&last, "completed").await;
    assert_eq!(service.requests().await, (1, 0));
}

#[tokio::test]
async fn a_completed_transaction_permits_no_intervention() {
    let (program, _service) = start().await;
    let id = program.submit_one(7).await;
    let completed = program.wait_for(&id, "completed").await;
    let resolution = json!({"status": "failed", "reason": "it looks wrong"});
    for (action, body) in [("cancel", json!({})), ("retry", json!({})), ("resolve", resolution)] {
        let answer = act(&program, &id, action, &body).await;
        insta::assert_snapshot!(format!("completed_{action}"), redacted(answer, &[]));
    }
    assert_eq!(program.read(&format!("/api/transactions/{id}")).await, completed);
    assert_eq!(record(&program, &id).await, [Value::Null; 0]);
}

#[tokio::test]
async fn a_refused_transaction_is_retried_and_completes() {
    let (program, service) = start().await;
    service.faults(json!({"refusalRate": 1})).await;
    let id = program.submit_one(7).await;
    program.wait_for(&id, "failed").await;
    let cancelled = act(&program, &id, "cancel", &json!({})).await;
    assert_eq!(cancelled["status"], 409);
    service.faults(json!({"refusalRate": 0})).await;
    let retried = act(&program, &id, "retry", &json!({"reason": "they let us in"})).await;
    assert_eq!((&retried["status"], &retried["body"]["attempts"]), (&json!(200), &json!(0)));
    program.wait_for(&id, "completed").await;
    let line = json!({
        "principal": "anonymous", "action": "retry",
        "fromStatus": "failed", "toStatus": "pending", "reason": "they let us in",
    });
    assert_eq!(record(&program, &id).await, [line]);
}

#[tokio::test]
async fn an_operator_resolves_a_transaction_in_doubt() {
    let (program, service) = start().await;
    let unknown = json!({"preWriteFailureRate": 1, "verificationFailureRate": 1});
    service.faults(unknown).await;
    for status in ["completed", "failed"] {
        let id = program.submit_one(7).await;
        program.wait_for(&id, "in_doubt").await;
        assert_eq!(act(&program, &id, "cancel", &json!({})).await["status"], 409);
        let resolution = json!({"status": status, "reason": "the statement says so"});
        let resolved = act(&program, &id, "resolve", &resolution).await;
        let differs = ["/body/transactionId", "/body/submittedAt", "/body/completedAt"];
        insta::assert_snapshot!(format!("resolved_{status}"), redacted(resolved, &differs));
        assert_eq!(act(&program, &id, "resolve", &resolution).await["status"], 409);
        let line = json!({
            "principal": "anonymous", "action": "resolve",
            "fromStatus": "in_doubt", "toStatus": status, "reason": "the statement says so",
        });
        assert_eq!(record(&program, &id).await, [line]);
    }
}

#[tokio::test]
async fn a_foreign_entry_under_the_id_is_resolved_only_by_an_operator() {
    let (program, service) = start().await;
    service.faults(json!({"preWriteFailureRate": 1})).await;
    program.post("/api/posting/pause").send().await.unwrap();
    let id = program.submit_one(7).await;
    service.faults(json!({"preWriteFailureRate": 0})).await;
    service.write(&id, 8).await;
    service.faults(json!({"preWriteFailureRate": 1})).await;
    program.post("/api/posting/resume").send().await.unwrap();
    let in_doubt = program.wait_for(&id, "in_doubt").await;
    assert_eq!(in_doubt["nextAttemptAt"], Value::Null);
    let resolution = json!({"status": "failed", "reason": "8 is another one's"});
    let resolved = act(&program, &id, "resolve", &resolution).await;
    assert_eq!(resolved["body"]["error"], "8 is another one's");
}

#[tokio::test]
async fn bad_input_is_answered_with_a_problem() {
    let (program, _service) = start().await;
    program.post("/api/posting/pause").send().await.unwrap();
    let id = program.submit_one(7).await;
    for (name, action, body) in [
        ("reason_empty", "cancel", json!({"reason": ""})),
        ("reason_long", "cancel", json!({"reason": "ö".repeat(501)})),
        ("reason_with_nul", "retry", json!({"reason": "\0"})),
        ("reason_number", "retry", json!({"reason": 1})),
        ("body_array", "cancel", json!([])),
        ("resolution_empty", "resolve", json!({})),
        ("resolution_wrong", "resolve", json!({"status": "pending", "reason": true})),
    ] {
        let answer = act(&program, &id, action, &body).await;
        insta::assert_snapshot!(name, redacted(answer, &[]));
    }
    let post = |action: &str| program.post(&path(&id, action));
    let text = post("cancel").header("content-type", "text/plain").body("{}");
    assert_eq!(text.send().await.unwrap().status(), 415);
    let malformed = post("retry").header("content-type", "application/json").body("{");
    assert_eq!(malformed.send().await.unwrap().status(), 400);
    assert_eq!(post("resolve").send().await.unwrap().status(), 415);
    let large = act(&program, &id, "cancel", &json!({"reason": "x".repeat(1 << 17)})).await;
    assert_eq!(large["status"], 413);
    for id in [UNKNOWN_ID, "abc"] {
        for action in ["cancel", "retry", "resolve"] {
            let body = json!({"status": "failed", "reason": "?"});
            let answer = act(&program, id, action, &body).await;
            let (status, code) = (&answer["status"], &answer["body"]["code"]);
            assert_eq!((status, code), (&json!(404), &json!("not_found")), "{action} {id}");
        }
        let record = program.get(&path(id, "interventions")).send().await.unwrap();
        insta::assert_snapshot!("interventions_of_none", redacted(contract(record).await, &[]));
    }
    let wrong_method = program.get(&path(&id, "cancel")).send().await.unwrap();
    assert_eq!(
        (wrong_method.status().as_u16(), &wrong_method.headers()["allow"]),
        (405, &"POST".parse().unwrap())
    );
    let longest = act(&program, &id, "cancel", &json!({"reason": "ö".repeat(500)})).await;
    assert_eq!(longest["status"], 200);
}

#[tokio::test]
async fn a_bulk_retry_retries_everything_that_passes_its_filter() {
    let (program, service) = start().await;
    service.faults(json!({"refusalRate": 1})).await;
    let mut ids = Vec::new();
    for amount in 1..=5 {
        ids.push(program.submit_one(amount).await);
    }
    let body = json!({"amount": 6, "currency": "EUR"});
    let other: Value = program.post_json("/api/transactions", &body).await.json().await.unwrap();
    let other = other["transactionId"].as_str().unwrap();
    for id in ids.iter().map(String::as_str).chain([other]) {
        program.wait_for(id, "failed").await;
    }
    service.faults(json!({"refusalRate": 0})).await;
    let filter = json!({"status": "failed", "currency": "USD", "minAttempts": 1, "to": null});
    let body = json!({"filter": filter, "reason": "they let us in"});
    let requested = contract(program.post_json("/api/bulk-retries", &body).await).await;
    let location = requested["location"].as_str().unwrap().to_owned();
    let id = requested["body"]["bulkRetryId"].as_str().unwrap();
    assert_eq!(location, format!("/api/bulk-retries/{id}"));
    let differs = ["/location", "/body/bulkRetryId", "/body/requestedAt"];
    insta::assert_snapshot!("bulk_retry_requested", redacted(requested.clone(), &differs));

    let finished = program.read_until(&location, |retry| retry["status"] == "finished").await;
    assert_eq!((&finished["examined"], &finished["retried"]), (&json!(5), &json!(5)));
    assert!(finished["finishedAt"].is_string());
    for id in &ids {
        program.wait_for(id, "completed").await;
        assert_eq!(record(&program, id).await[0]["reason"], "they let us in");
    }
    assert_eq!(program.read(&format!("/api/transactions/{other}")).await["status"], "failed");
    assert_eq!(record(&program, other).await, [Value::Null; 0]);
}

#[tokio::test]
async fn a_bulk_retry_needs_an_explicit_filter() {
    let (program, _service) = start().await;
    let every_field = json!({
        "status": "pending", "currency": "usd", "reference": "\0", "from": "today", "to": 1,
        "minAttempts": -1,
    });
    for (name, body) in [
        ("bulk_retry_of_nothing", json!({"reason": ""})),
        ("bulk_retry_of_text", json!({"filter": "all"})),
        ("bulk_retry_of_wrong", json!({"filter": every_field})),
        ("bulk_retry_no_object", json!(null)),
    ] {
        let answer = contract(program.post_json("/api/bulk-retries", &body).await).await;
        insta::assert_snapshot!(name, redacted(answer, &[]));
    }
    for id in [UNKNOWN_ID, "abc"] {
        let none = program.get(&format!("/api/bulk-retries/{id}")).send().await.unwrap();
        insta::assert_snapshot!("bulk_retry_none", redacted(contract(none).await, &[]));
    }
    let all = program.post_json("/api/bulk-retries", &json!({"filter": {}})).await;
    assert_eq!(all.status(), 202);
    let location = all.headers()["location"].to_str().unwrap().to_owned();
    let finished = program.read_until(&location, |retry| retry["status"] == "finished").await;
    assert_eq!(finished["examined"], 0);
}
