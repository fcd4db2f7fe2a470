//! A submitter sees its own transactions, and no trace of others.

use std::pin::pin;

use futures::StreamExt;
use serde_json::{Value, json};
use sse_stream::SseStream;

use crate::Guarded;

#[tokio::test]
async fn a_submitter_finds_no_trace_of_the_transactions_of_others() {
    let guarded = Guarded::start().await;
    let program = &guarded.program;
    let (a, b) = (guarded.client("a", "submitter").await, guarded.client("b", "submitter").await);
    let viewer = guarded.client("viewer", "viewer").await;
    let position = program.read_as(&a, "/api/transactions/changes").await["nextSince"].clone();
    let of_a = program.submit_as(&a, "same-reference").await;
    let of_b = program.submit_as(&b, "same-reference").await;
    assert_ne!(of_a, of_b, "references are unique for each principal");

    let ids = |value: &Value| -> Vec<String> {
        let data = value["data"].as_array().unwrap().iter();
        data.map(|it| it["transactionId"].as_str().unwrap().to_owned()).collect()
    };
    for (key, own, other) in [(&a, &of_a, &of_b), (&b, &of_b, &of_a)] {
        for filter in ["", "?reference=same-reference", "?currency=USD", "?minAttempts=0"] {
            let list = program.read_as(key, &format!("/api/transactions{filter}")).await;
            assert_eq!(ids(&list), [own.as_str()], "{filter}");
        }
        for rest in ["", "/attempts", "/interventions"] {
            assert_eq!(
                program.status_as(key, &format!("/api/transactions/{own}{rest}")).await,
                200
            );
            assert_eq!(
                program.status_as(key, &format!("/api/transactions/{other}{rest}")).await,
                404
            );
        }
        let changes = format!("/api/transactions/changes?since={}", position.as_str().unwrap());
        assert_eq!(ids(&program.read_as(key, &changes).await), [own.as_str()]);
        let export = program.get("/api/transactions/export?format=ndjson").bearer_auth(key);
        let export = export.send().await.unwrap().text().await.unwrap();
        assert!(export.contains(own) && !export.contains(other), "{export}");
        assert_eq!(program.status_as(key, "/v1/transactions/same-reference").await, 200);
    }
    let all = program.read_as(&viewer, "/api/transactions").await;
    assert_eq!(ids(&all).len(), 2);
    assert_eq!(program.status_as(&viewer, &format!("/api/transactions/{of_a}")).await, 200);

    // The same id with the same content is a replay for its principal alone.
    let body = json!({"id": of_a, "amount": 1, "currency": "USD", "reference": "same-reference"});
    let taken = program.post("/api/transactions").bearer_auth(&b);
    let taken = taken.header("content-type", "application/json").body(body.to_string());
    assert_eq!(taken.send().await.unwrap().status(), 409);
}

#[tokio::test]
async fn the_stream_of_a_submitter_has_its_own_changes_and_counts_alone() {
    let guarded = Guarded::start().await;
    let program = &guarded.program;
    let (a, b) = (guarded.client("a", "submitter").await, guarded.client("b", "submitter").await);
    let answer = program.get("/api/stream").bearer_auth(&a).send().await.unwrap();
    let mut events = pin!(SseStream::new(reqwest::Body::from(answer)));
    for number in 0..3 {
        program.submit_as(&b, &format!("b-{number}")).await;
    }
    let own = program.submit_as(&a, "a-0").await;
    let last = program.submit_as(&b, "last").await;
    loop {
        let event = events.next().await.unwrap().unwrap();
        let data: Value = match event.data.as_deref() {
            Some(data) => serde_json::from_str(data).unwrap(),
            None => continue,
        };
        match event.event.as_deref() {
            Some("transactions") => {
                for transaction in data.as_array().unwrap() {
                    assert_eq!(transaction["transactionId"], own.as_str());
                }
            }
            Some("counts") => {
                let counts: u64 =
                    data.as_object().unwrap().values().filter_map(Value::as_u64).sum();
                assert!(counts <= 1, "{data}");
                if data["completed"] == 1 {
                    break;
                }
            }
            other => panic!("{other:?}: {data}"),
        }
    }
    assert_eq!(program.status_as(&a, &format!("/api/transactions/{last}")).await, 404);
}
