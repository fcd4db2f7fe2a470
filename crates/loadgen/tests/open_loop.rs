//! How the load is offered: pacing, retries and limits.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::HashSet;
use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use loadgen::{LoadConfig, LoadError};
use support::{Reply, Script, Stub, run};

#[tokio::test]
async fn every_transaction_has_its_own_id_and_the_content_that_clients_send() {
    let (report, stub) = run(50, Script::default()).await;
    assert_eq!((report.offered, report.accepted), (50, 50));
    let submissions = stub.submissions();
    let ids: HashSet<&str> = submissions.iter().map(|body| body["id"].as_str().unwrap()).collect();
    assert_eq!((submissions.len(), ids.len()), (50, 50));
    for body in &submissions {
        assert!(body["amount"].is_number(), "{body}");
        assert!(body["currency"].is_string(), "{body}");
        assert!(body["description"].is_string(), "{body}");
        assert!(body["metadata"]["order_id"].is_string(), "{body}");
    }
}

#[tokio::test]
async fn a_request_does_not_wait_for_the_answers_to_earlier_requests() {
    // No request is answered before all have arrived: a closed loop would hang here.
    let (report, _) = run(40, Script { gather: 40, ..Script::default() }).await;
    assert_eq!((report.offered, report.accepted, report.repeats), (40, 40, 0));
}

#[tokio::test]
async fn a_request_that_may_not_have_arrived_is_repeated_with_the_same_id_and_content() {
    let script = Script {
        reply: Box::new(|number, nth| match (number, nth) {
            (1, 0) => Reply::Status(503),
            (2, 0) => Reply::Status(429),
            (3, 0 | 1) => Reply::Break,
            _ => Reply::Accept,
        }),
        ..Script::default()
    };
    let (report, stub) = run(5, script).await;
    assert_eq!((report.offered, report.accepted), (5, 5));
    assert_eq!((report.retried, report.repeats), (3, 4));
    assert_eq!((report.rejected, report.gave_up, report.exit_code()), (0, 0, 0));
    for (number, times) in [(0, 1), (1, 2), (2, 2), (3, 3), (4, 1)] {
        let bodies = stub.submissions_of(number);
        assert_eq!(bodies.len(), times, "transaction {number}");
        assert!(bodies.iter().all(|body| *body == bodies[0]), "{bodies:?}");
    }
}

#[tokio::test]
async fn retry_after_is_honoured_and_beyond_the_deadline_the_request_is_given_up() {
    let script = Script {
        reply: Box::new(|number, _| match number {
            0 => Reply::RetryAfter(503, 3600),
            _ => Reply::Accept,
        }),
        ..Script::default()
    };
    let stub = Stub::start(script).await;
    let config = LoadConfig { wait: Duration::from_secs(5), ..stub.config(2) };
    let report = loadgen::run(config).await.unwrap();
    // Sent once only, since the next time would have been after the deadline.
    assert_eq!(stub.submissions_of(0).len(), 1);
    assert_eq!((report.accepted, report.gave_up, report.retried), (1, 1, 0));
    assert_eq!(report.gave_up_reasons["status 503"], 1);
}

#[tokio::test]
async fn a_status_that_a_repetition_would_not_change_is_counted_and_not_repeated() {
    let script = Script {
        reply: Box::new(|number, _| match number {
            0 => Reply::Status(422),
            1 => Reply::Status(500),
            2 => Reply::Status(422),
            _ => Reply::Accept,
        }),
        ..Script::default()
    };
    let (report, stub) = run(6, script).await;
    assert_eq!((report.offered, report.accepted, report.rejected), (6, 3, 3));
    assert_eq!(report.rejected_by_status, [(422, 2), (500, 1)].into());
    assert_eq!((report.repeats, stub.submissions().len()), (0, 6));
    assert_eq!(report.exit_code(), 0);
}

#[tokio::test]
async fn a_request_that_is_never_accepted_is_given_up_at_the_deadline() {
    let script = Script { reply: Box::new(|_, _| Reply::Break), ..Script::default() };
    let stub = Stub::start(script).await;
    let config = LoadConfig { wait: Duration::from_millis(500), ..stub.config(3) };
    let report = loadgen::run(config).await.unwrap();
    assert_eq!((report.offered, report.accepted, report.gave_up), (3, 0, 3));
    assert_eq!(report.gave_up_reasons.values().sum::<u64>(), 3);
    assert_eq!(report.exit_code(), 2, "a run in which nothing was accepted proves nothing");
}

#[tokio::test]
async fn latency_counts_from_when_a_request_was_due_and_the_limit_in_flight_is_reported() {
    let script = Script { hold: Duration::from_millis(60), ..Script::default() };
    let stub = Stub::start(script).await;
    let config = LoadConfig { max_in_flight: 1, ..stub.config(5) };
    let report = loadgen::run(config).await.unwrap();
    // All are due within 5 ms, and each takes 60 ms after the one before it. Counted from when it
    // was sent, none would take much longer than 60 ms. A slow machine only makes it more.
    assert!(report.latency.max_ms >= 5.0 * 60.0 - 5.0, "{:?}", report.latency);
    assert!(report.latency.p50_ms >= 3.0 * 60.0 - 5.0, "{:?}", report.latency);
    assert!(report.sent_late.in_flight_bound_hits > 0, "{:?}", report.sent_late);
    assert!(report.sent_late.requests > 0, "{:?}", report.sent_late);
    assert!(report.to_string().contains("less was offered than requested"));
}

#[tokio::test]
async fn waiting_for_a_free_connection_is_reported() {
    let script = Script { hold: Duration::from_millis(60), ..Script::default() };
    let stub = Stub::start(script).await;
    let config = LoadConfig { max_connections: 1, ..stub.config(5) };
    let report = loadgen::run(config).await.unwrap();
    assert!(report.latency.max_ms >= 5.0 * 60.0 - 5.0, "{:?}", report.latency);
    assert!(report.sent_late.connection_bound_hits > 0, "{:?}", report.sent_late);
    assert_eq!(report.sent_late.in_flight_bound_hits, 0);
}

#[tokio::test]
async fn an_address_without_a_listener_is_an_error_at_once() {
    let stub = Stub::start(Script::default()).await;
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let no_listener = format!("http://{free}");
    for (target, ledger) in [(&no_listener, &stub.url), (&stub.url, &no_listener)] {
        let error = loadgen::run(LoadConfig::new(target, ledger)).await.unwrap_err();
        assert!(matches!(error, LoadError::Unreachable { .. }), "{error}");
        assert!(error.to_string().contains(&no_listener), "{error}");
    }
    assert!(stub.submissions().is_empty());
}

#[tokio::test]
async fn an_invalid_setting_is_refused() {
    let stub = Stub::start(Script::default()).await;
    let error = loadgen::run(LoadConfig { rate: 0.0, ..stub.config(1) }).await.unwrap_err();
    assert!(error.to_string().starts_with("rate"), "{error}");
    let config = LoadConfig { target: "localhost:3000".to_owned(), ..stub.config(1) };
    let error = loadgen::run(config).await.unwrap_err();
    assert!(error.to_string().starts_with("target"), "{error}");
}

#[test]
fn a_run_can_be_spawned() {
    fn spawnable(_: impl Future + Send + 'static) {}
    spawnable(loadgen::run(LoadConfig::new("", "")));
}
