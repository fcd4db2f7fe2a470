//! What survives a crash and a shutdown, and how both end requests in flight.
#![allow(clippy::unwrap_used)]

mod support;

use std::io::Write;

use reqwest::StatusCode;
use simulator::{Faults, StartError};
use support::{FOREVER_MS, Lab, is_reset, ledger_in, start_at, until};
use tokio::net::TcpStream;

#[tokio::test]
async fn an_entry_is_in_the_file_before_its_answer_is_sent() {
    let lab = Lab::start(Faults::none()).await;
    for n in 1..=20 {
        assert_eq!(lab.post_status(&format!("txn_{n}")).await, StatusCode::CREATED);
        let file = std::fs::read_to_string(lab.ledger_path()).unwrap();
        assert_eq!(file.lines().count(), n);
        assert!(file.ends_with('\n') && file.contains(&format!("\"txn_{n}\"")));
    }
}

#[tokio::test]
async fn the_ledger_survives_a_crash_and_continues_its_row_numbers() {
    let lab = Lab::start(Faults::none()).await;
    for id in ["a", "b", "a"] {
        lab.post(id).await.unwrap();
    }
    let before = lab.get_json("/transactions").await;
    let lab = lab.crash_and_restart().await;
    assert_eq!(lab.get_json("/transactions").await, before);
    let audit = lab.handle().audit();
    assert_eq!((audit.entries, audit.distinct_ids, audit.duplicated_count), (3, 2, 1));
    lab.post("c").await.unwrap();
    assert_eq!(lab.get_json("/transactions/c").await["_id"], 4);
}

#[tokio::test]
async fn a_torn_last_line_is_dropped_and_the_next_entry_starts_a_new_line() {
    let lab = Lab::start(Faults::none()).await;
    lab.post("a").await.unwrap();
    // As a crash in the middle of a write leaves it. The running simulator appends, so this does
    // not disturb it.
    let mut file = std::fs::OpenOptions::new().append(true).open(lab.ledger_path()).unwrap();
    file.write_all(br#"{"_id":2,"id":"torn","amo"#).unwrap();
    let lab = lab.crash_and_restart().await;
    assert_eq!(lab.rows().await, 1);
    lab.post("b").await.unwrap();
    let lab = lab.crash_and_restart().await;
    assert_eq!(lab.rows().await, 2);
    assert_eq!(lab.get_status("/transactions/torn").await, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_ledger_that_another_program_wrote_into_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = ledger_in(&folder);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, "one\ntwo\n").unwrap();
    let error = start_at(path.clone(), Faults::none(), 1).await.unwrap_err();
    assert!(matches!(error, StartError::Ledger(_)));
    let message = error.to_string();
    assert!(message.contains("line 1") && message.contains("ledger.jsonl"), "{message}");
    assert_eq!(std::fs::read_to_string(path).unwrap(), "one\ntwo\n", "the file stays unchanged");
}

#[tokio::test]
async fn a_ledger_in_use_is_refused() {
    let lab = Lab::start(Faults::none()).await;
    let error = start_at(lab.ledger_path(), Faults::none(), 1).await.unwrap_err();
    assert!(error.to_string().contains("another process holds it"), "{error}");
    assert_eq!(lab.post_status("a").await, StatusCode::CREATED);
}

#[tokio::test]
async fn faults_out_of_range_are_refused_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let faults = Faults { hang_rate: 2.0, ..Faults::none() };
    let error = start_at(ledger_in(&folder), faults, 1).await.unwrap_err();
    assert!(error.to_string().contains("hangRate"), "{error}");
}

#[tokio::test]
async fn a_shutdown_applies_pending_late_writes() {
    let lab = Lab::start(Faults {
        late_write_rate: 1.0,
        late_write_delay_ms: FOREVER_MS,
        ..Faults::none()
    })
    .await;
    assert!(lab.post("a").await.is_err());
    assert_eq!(lab.rows().await, 0);
    let lab = lab.restart().await;
    assert_eq!(lab.get_status("/transactions/a").await, StatusCode::OK);
}

#[tokio::test]
async fn a_crash_loses_pending_late_writes() {
    let lab = Lab::start(Faults {
        late_write_rate: 1.0,
        late_write_delay_ms: FOREVER_MS,
        ..Faults::none()
    })
    .await;
    assert!(lab.post("a").await.is_err());
    let lab = lab.crash_and_restart().await;
    assert_eq!(lab.rows().await, 0);
}

#[tokio::test]
async fn a_shutdown_finishes_a_slow_post_without_its_latency() {
    let lab = Lab::start(Faults { latency_median_ms: FOREVER_MS, ..Faults::none() }).await;
    let slow = tokio::spawn(lab.posting(support::body_of("a").to_string()).send());
    until("the post has begun", || lab.handle().audit().requests.post == 1).await;
    let lab = lab.restart().await;
    assert_eq!(slow.await.unwrap().unwrap().status(), StatusCode::CREATED);
    assert_eq!(lab.rows().await, 1);
}

#[tokio::test]
async fn a_shutdown_does_not_wait_for_ever_for_an_incomplete_request() {
    let lab = Lab::start(Faults::none()).await;
    let mut silent = TcpStream::connect(lab.simulator.addr()).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut silent, b"POST /trans").await.unwrap();
    // An answer on a later connection proves that this one was accepted.
    assert_eq!(lab.post_status("a").await, StatusCode::CREATED);
    lab.simulator.shutdown().await;
    assert!(is_reset(&mut silent).await);
}

#[tokio::test]
async fn dropping_the_simulator_resets_its_connections_and_closes_the_ledger() {
    let lab = Lab::start(Faults { hang_rate: 1.0, hang_ms: FOREVER_MS, ..Faults::none() }).await;
    let (addr, handle) = (lab.simulator.addr(), lab.handle());
    let mut idle = TcpStream::connect(addr).await.unwrap();
    let mut hanging = lab.post_raw("a").await;
    until("the post hangs", || lab.injected("hang") == 1).await;
    drop(lab);
    assert!(is_reset(&mut hanging).await);
    assert!(is_reset(&mut idle).await);
    assert!(handle.cleanup().await.is_err(), "a handle does not keep the ledger open");
}

#[tokio::test]
async fn wait_does_not_return_while_the_simulator_serves() {
    let mut lab = Lab::start(Faults::none()).await;
    let health = lab.client.get(lab.url("/health")).send();
    tokio::select! {
        biased;
        () = lab.simulator.wait() => panic!("it ended by itself"),
        answer = health => assert_eq!(answer.unwrap().status(), StatusCode::OK),
    }
}
