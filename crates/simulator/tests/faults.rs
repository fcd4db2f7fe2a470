//! Each fault alone, at a rate of 1.
#![allow(clippy::unwrap_used)]

mod support;

use reqwest::StatusCode;
use serde_json::Value;
use simulator::Faults;
use support::{FOREVER_MS, Lab, is_reset, until};

#[tokio::test]
async fn a_failure_before_the_write_saves_nothing() {
    let lab = Lab::start(Faults { pre_write_failure_rate: 1.0, ..Faults::none() }).await;
    assert_eq!(lab.post_status("a").await, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(lab.rows().await, 0);
    assert_eq!(lab.injected("preWriteFailure"), 1);
}

#[tokio::test]
async fn a_failure_after_the_write_looks_the_same_and_has_saved() {
    let lab = Lab::start(Faults { pre_write_failure_rate: 1.0, ..Faults::none() }).await;
    let before = lab.post("a").await.unwrap().text().await.unwrap();
    let after_write = Faults { post_write_failure_rate: 1.0, ..Faults::none() };
    lab.handle().set_faults(after_write).unwrap();
    let answer = lab.post("b").await.unwrap();
    assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(answer.text().await.unwrap(), before);
    assert_eq!(lab.rows().await, 1);
    assert_eq!(lab.get_status("/transactions/b").await, StatusCode::OK);
    assert_eq!(lab.injected("postWriteFailure"), 1);
}

#[tokio::test]
async fn a_reset_before_the_write_is_a_true_reset_and_saves_nothing() {
    let lab = Lab::start(Faults { reset_before_write_rate: 1.0, ..Faults::none() }).await;
    assert!(is_reset(&mut lab.post_raw("a").await).await);
    assert!(lab.post("a").await.is_err());
    assert_eq!(lab.rows().await, 0);
    assert_eq!(lab.injected("resetBeforeWrite"), 2);
}

#[tokio::test]
async fn a_reset_after_the_write_is_a_true_reset_and_has_saved() {
    let lab = Lab::start(Faults { reset_after_write_rate: 1.0, ..Faults::none() }).await;
    assert!(is_reset(&mut lab.post_raw("a").await).await);
    assert_eq!(lab.rows().await, 1);
    assert_eq!(lab.injected("resetAfterWrite"), 1);
}

#[tokio::test]
async fn a_hanging_post_gets_no_answer_and_saves_nothing() {
    let lab = Lab::start(Faults { hang_rate: 1.0, hang_ms: FOREVER_MS, ..Faults::none() }).await;
    let (mut hanging, ledger_path) = (lab.post_raw("a").await, lab.ledger_path());
    until("the post hangs", || lab.injected("hang") == 1).await;
    assert_eq!(lab.rows().await, 0);
    // It hangs until the service shuts down.
    let lab = lab.restart().await;
    assert!(is_reset(&mut hanging).await);
    assert_eq!(lab.rows().await, 0);
    assert_eq!(std::fs::read(ledger_path).unwrap(), b"");
}

#[tokio::test]
async fn a_hang_ends_with_a_reset() {
    let lab = Lab::start(Faults { hang_rate: 1.0, hang_ms: 1, ..Faults::none() }).await;
    assert!(is_reset(&mut lab.post_raw("a").await).await);
    assert_eq!(lab.rows().await, 0);
}

#[tokio::test]
async fn a_late_write_is_applied_after_its_client_was_reset() {
    let lab =
        Lab::start(Faults { late_write_rate: 1.0, late_write_delay_ms: 50, ..Faults::none() })
            .await;
    assert!(is_reset(&mut lab.post_raw("a").await).await);
    until("the late write is applied", || {
        let audit = lab.handle().audit();
        audit.entries == 1 && audit.late_writes_pending == 0
    })
    .await;
    assert_eq!(lab.get_status("/transactions/a").await, StatusCode::OK);
    assert_eq!(lab.injected("lateWrite"), 1);
}

#[tokio::test]
async fn a_late_write_is_pending_until_it_is_applied_and_a_cleanup_cancels_it() {
    let lab = Lab::start(Faults {
        late_write_rate: 1.0,
        late_write_delay_ms: FOREVER_MS,
        ..Faults::none()
    })
    .await;
    assert!(lab.post("a").await.is_err());
    assert_eq!(lab.get_status("/transactions/a").await, StatusCode::NOT_FOUND);
    assert_eq!(lab.handle().audit().late_writes_pending, 1);
    assert_eq!(lab.handle().cleanup().await.unwrap(), 0);
    until("nothing is pending", || lab.handle().audit().late_writes_pending == 0).await;
    assert_eq!(lab.restart().await.rows().await, 0);
}

#[tokio::test]
async fn a_verification_can_fail_or_be_garbage_although_the_entry_exists() {
    let lab = Lab::start(Faults { verification_failure_rate: 1.0, ..Faults::none() }).await;
    assert_eq!(lab.post_status("a").await, StatusCode::CREATED);
    assert_eq!(lab.get_status("/transactions/a").await, StatusCode::INTERNAL_SERVER_ERROR);
    let garbage = Faults { verification_garbage_rate: 1.0, ..Faults::none() };
    lab.handle().set_faults(garbage).unwrap();
    let answer = lab.get("/transactions/a").await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert!(answer.json::<Value>().await.is_err());
    assert_eq!(lab.injected("verificationFailure"), 1);
    assert_eq!(lab.injected("verificationGarbage"), 1);
}

#[tokio::test]
async fn a_verification_misses_an_entry_younger_than_the_lag() {
    let lab = Lab::start(Faults { visibility_lag_ms: FOREVER_MS, ..Faults::none() }).await;
    lab.post("a").await.unwrap();
    assert_eq!(lab.get_status("/transactions/a").await, StatusCode::NOT_FOUND);
    assert_eq!(lab.injected("visibilityLag"), 1);
    assert_eq!(lab.rows().await, 1, "the list, which is used to audit, shows it at once");
    lab.handle().set_faults(Faults::none()).unwrap();
    assert_eq!(lab.get_status("/transactions/a").await, StatusCode::OK);
}

#[tokio::test]
async fn a_rate_limited_answer_has_retry_after_and_saves_nothing() {
    let lab =
        Lab::start(Faults { rate_limit_rate: 1.0, retry_after_seconds: 17, ..Faults::none() })
            .await;
    let answers = [lab.post("a").await.unwrap(), lab.get("/transactions/a").await.unwrap()];
    for answer in answers {
        assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(answer.headers()["retry-after"], "17");
    }
    assert_eq!(lab.rows().await, 0);
    assert_eq!(lab.injected("rateLimit"), 2);
}

#[tokio::test]
async fn a_refused_id_is_refused_every_time_and_another_id_never() {
    let lab = Lab::start(Faults { refusal_rate: 0.5, ..Faults::none() }).await;
    let mut refused = 0;
    for n in 0..40 {
        let id = format!("txn_{n}");
        let first = lab.post_status(&id).await;
        refused += u64::from(first == StatusCode::UNPROCESSABLE_ENTITY);
        for _ in 0..3 {
            assert_eq!(lab.post_status(&id).await, first, "{id}");
        }
    }
    assert!((1..40).contains(&refused), "{refused}");
    assert_eq!(lab.injected("refusal"), 4 * refused);
    assert_eq!(lab.rows().await as u64, 4 * (40 - refused));
}

#[tokio::test]
async fn garbage_is_a_200_that_is_not_json_and_has_saved() {
    let lab = Lab::start(Faults { garbage_rate: 1.0, ..Faults::none() }).await;
    let answer = lab.post("a").await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert!(answer.json::<Value>().await.is_err());
    assert_eq!(lab.rows().await, 1);
    assert_eq!(lab.injected("garbage"), 1);
}

#[tokio::test]
async fn an_accepted_post_is_answered_202_and_written_later_or_never() {
    let faults = Faults { accepted_rate: 1.0, late_write_delay_ms: FOREVER_MS, ..Faults::none() };
    let lab = Lab::start(faults).await;
    assert_eq!(lab.post_status("a").await, StatusCode::ACCEPTED);
    assert_eq!((lab.rows().await, lab.handle().audit().late_writes_pending), (0, 1));
    lab.handle().set_faults(Faults { late_write_delay_ms: 1, ..faults }).unwrap();
    assert_eq!(lab.post_status("b").await, StatusCode::ACCEPTED);
    until("the late write is applied", || lab.handle().audit().entries == 1).await;
    lab.handle().set_faults(Faults { accepted_lost_rate: 1.0, ..Faults::none() }).unwrap();
    assert_eq!(lab.post_status("c").await, StatusCode::ACCEPTED);
    assert_eq!((lab.rows().await, lab.handle().audit().late_writes_pending), (1, 1));
    assert_eq!((lab.injected("accepted"), lab.injected("acceptedLost")), (2, 1));
}

#[tokio::test]
async fn a_wrong_success_is_a_200_that_confirms_nothing_and_saves_nothing() {
    let lab = Lab::start(Faults { wrong_success_rate: 1.0, ..Faults::none() }).await;
    let mut kinds = [false; 4];
    for n in 0..100 {
        let id = format!("txn_{n}");
        let answer = lab.post(&id).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        let said: Value = answer.json().await.unwrap();
        let kind = [
            !said["error"].is_null(),
            said.is_array(),
            said["id"].is_string() && said["id"] != id.as_str(),
            said["id"] == id.as_str() && !said["amount"].is_null(),
        ];
        assert!(kind.contains(&true), "{said}");
        kinds = std::array::from_fn(|n| kinds[n] || kind[n]);
    }
    assert_eq!(kinds, [true; 4]);
    assert_eq!((lab.rows().await, lab.injected("wrongSuccess")), (0, 100));
}

#[tokio::test]
async fn a_service_that_says_little_confirms_with_an_empty_object_and_shows_the_id_alone() {
    let lab = Lab::start(Faults { says_little: true, ..Faults::none() }).await;
    let answer = lab.post("a").await.unwrap();
    assert_eq!(answer.status(), StatusCode::CREATED);
    assert_eq!(answer.json::<Value>().await.unwrap(), serde_json::json!({}));
    let found: Value = lab.get("/transactions/a").await.unwrap().json().await.unwrap();
    assert_eq!(found, serde_json::json!({"id": "a"}));
    assert_eq!(lab.get_status("/transactions/b").await, StatusCode::NOT_FOUND);
    assert_eq!(lab.rows().await, 1);
}

#[tokio::test]
async fn an_outage_resets_every_request_except_the_one_that_ends_it() {
    let lab = Lab::start(Faults { outage: true, ..Faults::none() }).await;
    assert!(is_reset(&mut lab.post_raw("a").await).await);
    for path in ["/transactions", "/transactions/a", "/health"] {
        assert!(lab.get(path).await.is_err(), "{path}");
    }
    let end = lab.client.put(lab.url("/admin/faults")).body(r#"{"outage":false}"#);
    assert_eq!(end.send().await.unwrap().status(), StatusCode::OK);
    assert_eq!(lab.rows().await, 0);
    assert_eq!(lab.post_status("a").await, StatusCode::CREATED);
    assert!(lab.injected("outage") >= 4);
}

#[tokio::test]
async fn an_outage_resets_requests_in_flight() {
    let lab = Lab::start(Faults { hang_rate: 1.0, hang_ms: FOREVER_MS, ..Faults::none() }).await;
    let mut hanging = lab.post_raw("a").await;
    until("the post hangs", || lab.injected("hang") == 1).await;
    let outage = Faults { outage: true, ..Faults::none() };
    lab.handle().set_faults(outage).unwrap();
    assert!(is_reset(&mut hanging).await);
}

#[tokio::test]
async fn a_post_that_has_begun_is_written_although_its_client_has_disconnected() {
    let lab = Lab::start(Faults { latency_median_ms: 300, ..Faults::none() }).await;
    let disconnecting = lab.post_raw("a").await;
    until("the post has begun", || lab.handle().audit().requests.post == 1).await;
    drop(disconnecting);
    until("the entry is written", || lab.handle().audit().entries == 1).await;
}
