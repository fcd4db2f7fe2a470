//! Changing the faults at run time, the audit, and repeatable runs from one seed.
#![allow(clippy::unwrap_used)]

mod support;

use futures::future::join_all;
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};
use simulator::{Audit, Faults};
use support::Lab;

async fn put(lab: &Lab, body: &str) -> Response {
    let request = lab.client.put(lab.url("/admin/faults")).body(body.to_owned());
    request.send().await.unwrap()
}

#[tokio::test]
async fn the_faults_can_be_read_and_put_back_unchanged() {
    let lab = Lab::start(Faults::default()).await;
    let whole = lab.get("/admin/faults").await.unwrap().text().await.unwrap();
    assert_eq!(serde_json::from_str::<Faults>(&whole).unwrap(), Faults::default());
    lab.handle().set_faults(Faults::none()).unwrap();
    let answer = put(&lab, &whole).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.text().await.unwrap(), whole);
    assert_eq!(lab.handle().faults(), Faults::default());
}

#[tokio::test]
async fn a_partial_change_keeps_the_other_faults_and_takes_effect_at_once() {
    let lab = Lab::start(Faults { retry_after_seconds: 9, ..Faults::none() }).await;
    assert_eq!(lab.post_status("a").await, StatusCode::CREATED);
    let answer = put(&lab, r#"{"rateLimitRate": 1}"#).await;
    let now: Value = answer.json().await.unwrap();
    assert_eq!((&now["rateLimitRate"], &now["retryAfterSeconds"]), (&json!(1.0), &json!(9)));
    assert_eq!(lab.post_status("a").await, StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn an_invalid_change_is_422_names_its_field_and_changes_nothing() {
    let lab = Lab::start(Faults::none()).await;
    for (body, field) in [
        (r#"{"refusalRate": 1.5}"#, "refusalRate"),
        (r#"{"refusalRate": -0.01}"#, "refusalRate"),
        (r#"{"refusalRate": "x"}"#, "refusalRate"),
        (r#"{"hangMs": 0.5}"#, "hangMs"),
        (r#"{"colour": "red"}"#, "colour"),
        (r#"{"outage": true, "garbageRate": 7}"#, "garbageRate"),
    ] {
        let answer = put(&lab, body).await;
        assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY, "{body}");
        let problem: Value = answer.json().await.unwrap();
        assert_eq!(problem["field"], field);
        assert!(problem["error"].as_str().unwrap().contains(field), "{problem}");
        assert_eq!(lab.handle().faults(), Faults::none(), "{body}");
    }
    for body in ["", "{", "[]", "7"] {
        assert_eq!(put(&lab, body).await.status(), StatusCode::BAD_REQUEST, "{body}");
    }
}

#[tokio::test]
async fn the_audit_is_read_back_as_the_type_that_wrote_it() {
    let lab = Lab::start_with_seed(Faults::none(), u64::MAX).await;
    lab.post("a").await.unwrap();
    let audit: Audit = lab.get("/admin/audit").await.unwrap().json().await.unwrap();
    assert_eq!(audit, lab.handle().audit());
    assert_eq!((audit.seed, audit.entries), (u64::MAX, 1));
    assert_eq!(audit.faults_injected.values().sum::<u64>(), 0);
}

/// The answers to three POSTs of each id, with all ids posting concurrently.
async fn statuses(seed: u64, ids: impl Iterator<Item = u32>) -> Vec<(u32, Vec<u16>)> {
    let faults = Faults {
        pre_write_failure_rate: 0.3,
        post_write_failure_rate: 0.3,
        rate_limit_rate: 0.2,
        ..Faults::none()
    };
    let lab = &Lab::start_with_seed(faults, seed).await;
    let mut of_each = join_all(ids.map(|n| async move {
        let mut seen = Vec::new();
        for _ in 0..3 {
            seen.push(lab.post_status(&format!("txn_{n}")).await.as_u16());
        }
        (n, seen)
    }))
    .await;
    of_each.sort_unstable();
    of_each
}

#[tokio::test]
async fn the_same_seed_hits_the_same_requests_in_any_order_of_arrival() {
    let forwards = statuses(11, 0..60).await;
    assert_eq!(statuses(11, (0..60).rev()).await, forwards);
    assert_ne!(statuses(12, 0..60).await, forwards);
}
