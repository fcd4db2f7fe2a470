//! The posting service's interface, without faults.
#![allow(clippy::unwrap_used)]

mod support;

use reqwest::StatusCode;
use serde_json::{Value, json};
use simulator::Faults;
use support::{FOREVER_MS, Lab};

#[tokio::test]
async fn a_post_is_answered_with_the_stored_entry() {
    let lab = Lab::start(Faults::none()).await;
    let answer = lab.post("txn_abc123").await.unwrap();
    assert_eq!(answer.status(), StatusCode::CREATED);
    let entry: Value = answer.json().await.unwrap();
    assert_eq!(entry["id"], "txn_abc123");
    assert_eq!(entry["currency"], "USD");
    assert_eq!(entry["description"], "Payment");
    assert_eq!(entry["timestamp"], "2026-01-01T00:00:00Z");
    assert_eq!(entry["metadata"], json!({"order_id": "12345"}));
    assert!(entry["createdAt"].is_string());
    assert_eq!(lab.get_json("/transactions/txn_abc123").await, entry);
    assert_eq!(lab.get_json("/transactions").await, json!({"data": [entry]}));
}

#[tokio::test]
async fn a_second_post_of_an_id_adds_a_second_row_and_the_audit_reports_it() {
    let lab = Lab::start(Faults::none()).await;
    for id in ["a", "b", "a", "a"] {
        assert_eq!(lab.post_status(id).await, StatusCode::CREATED);
    }
    assert_eq!(lab.rows().await, 4);
    assert_eq!(lab.get_json("/transactions/a").await["_id"], 1);
    let audit = lab.get_json("/admin/audit").await;
    assert_eq!(audit["entries"], 4);
    assert_eq!(audit["distinctIds"], 2);
    assert_eq!(audit["duplicatedCount"], 1);
    assert_eq!(audit["duplicatedIds"], json!(["a"]));
    assert_eq!(audit["requests"], json!({"post": 4, "get": 1, "invalid": 0}));
    assert_eq!(audit["lateWritesPending"], 0);
}

#[tokio::test]
async fn amounts_are_returned_with_exactly_the_same_digits() {
    let lab = Lab::start(Faults::none()).await;
    let amounts = ["0.1", "100.50", "9999999999999.99", "0.10000000000000000001", "1500"];
    for amount in amounts {
        let body = format!(r#"{{"id":"of-{amount}","amount":{amount},"currency":"USD"}}"#);
        let answer = lab.posting(body).send().await.unwrap().text().await.unwrap();
        assert!(answer.contains(&format!(r#""amount":{amount},"#)), "{answer}");
    }
    let lab = lab.restart().await;
    let list = lab.get("/transactions").await.unwrap().text().await.unwrap();
    for amount in amounts {
        assert!(list.contains(&format!(r#""amount":{amount},"#)), "{amount} in {list}");
    }
}

#[tokio::test]
async fn an_invalid_body_is_400_and_saves_nothing() {
    let lab = Lab::start(Faults::none()).await;
    for body in [
        "",
        "not json",
        "[]",
        r#"{"amount":1,"currency":"USD"}"#,
        r#"{"id":"a","currency":"USD"}"#,
        r#"{"id":"a","amount":1}"#,
        r#"{"id":"a","amount":"abc","currency":"USD"}"#,
    ] {
        let answer = lab.posting(body.to_owned()).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{body}");
        let problem: Value = answer.json().await.unwrap();
        assert!(problem["error"].is_string(), "{body}");
    }
    let audit = lab.handle().audit();
    assert_eq!((audit.entries, audit.requests.invalid, audit.requests.post), (0, 7, 0));
}

/// JSON in a string in JSON, level in level. serde_json reads the string as if it were the JSON itself, and begins
/// to count the depth anew.
fn nested_by_a_reserved_name(levels: usize) -> String {
    let mut json = "0".to_owned();
    for _ in 0..levels {
        // A backslash that is written as an escape adds five bytes at each level; `\\\\` would double them.
        let string = json.replace('\\', "\\u005c").replace('"', "\\u0022");
        let (open, close) = ("[".repeat(120), "]".repeat(120));
        json = format!(r#"{open}{{"$serde_json::private::RawValue":"{string}"}}{close}"#);
    }
    json
}

#[tokio::test]
async fn json_that_is_nested_by_a_reserved_name_is_refused_and_ends_nothing() {
    let lab = Lab::start(Faults::none()).await;
    let deep = nested_by_a_reserved_name(200);
    for field in ["metadata", "amount"] {
        let body = format!(r#"{{"id":"a","currency":"USD","{field}":{deep}}}"#);
        let answer = lab.posting(body).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
        let problem = answer.json::<Value>().await.unwrap()["error"].to_string();
        assert!(problem.contains("reserved"), "{problem}");
    }
    let faults = lab.client.put(lab.url("/admin/faults")).body(format!(r#"{{"hangRate":{deep}}}"#));
    assert_eq!(faults.send().await.unwrap().status(), StatusCode::BAD_REQUEST);
    assert_eq!(lab.post_status("b").await, StatusCode::CREATED);
}

#[tokio::test]
async fn an_unknown_id_and_an_unknown_path_are_404() {
    let lab = Lab::start(Faults::none()).await;
    assert_eq!(lab.get_status("/transactions/unknown").await, StatusCode::NOT_FOUND);
    assert_eq!(lab.get_status("/elsewhere").await, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn an_id_is_any_string() {
    let lab = Lab::start(Faults::none()).await;
    assert_eq!(lab.post_status("ä b/c?d").await, StatusCode::CREATED);
    let found = lab.get_json("/transactions/%C3%A4%20b%2Fc%3Fd").await;
    assert_eq!(found["id"], "ä b/c?d");
}

#[tokio::test]
async fn a_list_longer_than_one_chunk_is_complete_and_in_order() {
    let lab = Lab::start(Faults::none()).await;
    assert_eq!(lab.get_json("/transactions").await, json!({"data": []}));
    // Exactly one chunk first, since its end is also the end of the list.
    for (from, to) in [(0, 500), (500, 1101)] {
        for n in from..to {
            assert_eq!(lab.post_status(&format!("{n}")).await, StatusCode::CREATED);
        }
        let list = lab.get_json("/transactions").await;
        let ids: Vec<&str> = list["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row["id"].as_str().unwrap())
            .collect();
        let expected: Vec<String> = (0..to).map(|n| n.to_string()).collect();
        assert_eq!(ids, expected);
    }
}

#[tokio::test]
async fn health_returns_status_timestamp_and_version() {
    let lab = Lab::start(Faults::none()).await;
    let health = lab.get_json("/health").await;
    assert_eq!(health["status"], "healthy");
    assert!(health["timestamp"].as_str().unwrap().ends_with('Z'));
    assert!(!health["version"].as_str().unwrap().is_empty());
}

#[tokio::test]
async fn cleanup_returns_the_number_of_rows_and_empties_the_file_too() {
    let lab = Lab::start(Faults::none()).await;
    for id in ["a", "a", "b"] {
        lab.post(id).await.unwrap();
    }
    let cleanup = lab.client.post(lab.url("/cleanup")).send().await.unwrap();
    assert_eq!(cleanup.status(), StatusCode::OK);
    assert_eq!(cleanup.json::<Value>().await.unwrap(), json!({"count": 3}));
    let audit = lab.handle().audit();
    assert_eq!((audit.entries, audit.duplicated_count, audit.requests.post), (0, 0, 0));
    assert_eq!(std::fs::read(lab.ledger_path()).unwrap(), b"");
    lab.post("c").await.unwrap();
    let lab = lab.crash_and_restart().await;
    let list = lab.get_json("/transactions").await;
    assert_eq!((&list["data"][0]["id"], &list["data"][0]["_id"]), (&json!("c"), &json!(1)));
    assert_eq!(lab.rows().await, 1);
}

#[tokio::test]
async fn requests_need_a_token_of_the_token_endpoint_while_tokens_have_a_lifetime() {
    let lab = Lab::start(Faults { token_lifetime_ms: FOREVER_MS, ..Faults::none() }).await;
    assert_eq!(lab.post_status("a").await, StatusCode::UNAUTHORIZED);
    assert_eq!(lab.get_status("/transactions/a").await, StatusCode::UNAUTHORIZED);
    assert_eq!(lab.rows().await, 0);
    let grant = |form: &'static str| lab.client.post(lab.url("/oauth/token")).body(form);
    let refused = grant("grant_type=password").basic_auth("c", Some("s")).send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
    let refused = grant("grant_type=client_credentials").send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    let granted = grant("grant_type=client_credentials").basic_auth("c", Some("s"));
    let answer: Value = granted.send().await.unwrap().json().await.unwrap();
    assert_eq!(answer["token_type"], "Bearer");
    let token = answer["access_token"].as_str().unwrap();
    let post = || lab.posting(support::body_of("a").to_string()).bearer_auth(token).send();
    assert_eq!(post().await.unwrap().status(), StatusCode::CREATED);
    // The lifetime in effect decides, so a shorter one ends tokens that were issued before.
    lab.handle().set_faults(Faults { token_lifetime_ms: 1, ..Faults::none() }).unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    assert_eq!(post().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    assert_eq!((lab.rows().await, lab.injected("tokenExpired")), (1, 3));
}
