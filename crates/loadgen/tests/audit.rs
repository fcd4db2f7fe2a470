//! Polling until all transactions are final, and the findings of the audit.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;

use loadgen::{LoadConfig, LoadError, Report};
use serde_json::json;
use support::{LateWrites, Script, Shown, Stub, row, run};

/// Lost, duplicated, wrongly failed, mismatched, in doubt, unfinished.
fn findings(report: &Report) -> [u64; 6] {
    [
        report.lost,
        report.duplicated,
        report.wrongly_failed,
        report.mismatched,
        report.in_doubt,
        report.unfinished,
    ]
}

#[tokio::test]
async fn a_correct_service_has_no_findings() {
    let (report, _) = run(30, Script::default()).await;
    assert_eq!(findings(&report), [0; 6]);
    assert_eq!((report.accepted, report.completed, report.failed), (30, 30, 0));
    assert!(report.all_final_after_ms.is_some());
    assert_eq!(report.exit_code(), 0);
}

#[tokio::test]
async fn a_transaction_completed_without_an_entry_or_unknown_to_onceward_is_lost() {
    let script = Script {
        shown: Box::new(|number, _| match number {
            4 => Shown::Answer(404),
            _ => Shown::Status("completed"),
        }),
        rows: Box::new(|number, body| match number {
            2 | 4 => vec![],
            _ => vec![row(body)],
        }),
        ..Script::default()
    };
    let (report, stub) = run(6, script).await;
    assert_eq!(findings(&report), [2, 0, 0, 0, 0, 0]);
    let mut lost: Vec<String> = report.examples.lost.iter().map(ToString::to_string).collect();
    let mut expected = [stub.id_of(2), stub.id_of(4)];
    lost.sort();
    expected.sort();
    assert_eq!(lost, expected);
    assert_eq!(report.all_final_after_ms, None);
    assert_eq!(report.exit_code(), 1);
}

#[tokio::test]
async fn a_temporary_404_is_not_a_loss() {
    let script = Script {
        shown: Box::new(|_, nth| match nth {
            0 | 1 => Shown::Answer(404),
            _ => Shown::Status("completed"),
        }),
        ..Script::default()
    };
    let (report, _) = run(3, script).await;
    assert_eq!((findings(&report), report.completed), ([0; 6], 3));
}

#[tokio::test]
async fn a_transaction_with_two_entries_is_duplicated() {
    let script = Script {
        rows: Box::new(|number, body| match number {
            3 => vec![row(body), row(body)],
            _ => vec![row(body)],
        }),
        ..Script::default()
    };
    let (report, stub) = run(5, script).await;
    assert_eq!(findings(&report), [0, 1, 0, 0, 0, 0]);
    assert_eq!(report.examples.duplicated[0].to_string(), stub.id_of(3));
    assert_eq!(report.exit_code(), 1);
}

#[tokio::test]
async fn a_duplicate_from_a_late_write_is_found_too() {
    let script = Script { late_writes: Some(LateWrites { after_audits: 3 }), ..Script::default() };
    let (report, _) = run(5, script).await;
    assert_eq!((report.duplicated, report.late_writes_pending), (1, 0));
    assert_eq!(report.exit_code(), 1);
}

#[tokio::test]
async fn a_failed_transaction_with_an_entry_is_wrongly_failed() {
    let script = Script {
        shown: Box::new(|number, _| match number {
            1 => Shown::Failed("refused"),
            _ => Shown::Status("completed"),
        }),
        ..Script::default()
    };
    let (report, stub) = run(4, script).await;
    assert_eq!(findings(&report), [0, 0, 1, 0, 0, 0]);
    assert_eq!(report.examples.wrongly_failed[0].to_string(), stub.id_of(1));
    assert_eq!(report.exit_code(), 2);
}

#[tokio::test]
async fn a_failed_transaction_without_an_entry_is_not_a_finding_and_its_reason_is_listed() {
    let script = Script {
        shown: Box::new(|number, _| match number {
            0 | 1 => Shown::Failed("refused"),
            2 => Shown::Failed("attempts_exhausted"),
            _ => Shown::Status("completed"),
        }),
        rows: Box::new(|number, body| if number < 3 { vec![] } else { vec![row(body)] }),
        ..Script::default()
    };
    let (report, _) = run(5, script).await;
    assert_eq!((report.completed, report.failed), (2, 3));
    assert_eq!(findings(&report), [0; 6]);
    let reasons: Vec<(&str, u64)> =
        report.failed_reasons.iter().map(|failed| (failed.reason.as_str(), failed.count)).collect();
    assert_eq!(reasons, [("refused", 2), ("attempts_exhausted", 1)]);
    assert_eq!(report.exit_code(), 0);
}

#[tokio::test]
async fn an_entry_with_another_amount_or_currency_is_a_mismatch() {
    let script = Script {
        rows: Box::new(|number, body| {
            let mut row = row(body);
            match number {
                1 => row["amount"] = json!(0),
                2 => row["currency"] = json!("XXX"),
                _ => {}
            }
            vec![row]
        }),
        ..Script::default()
    };
    let (report, stub) = run(4, script).await;
    assert_eq!(findings(&report), [0, 0, 0, 2, 0, 0]);
    assert_eq!(report.examples.mismatched[0].to_string(), stub.id_of(1));
    assert_eq!(report.exit_code(), 2);
}

#[tokio::test]
async fn the_run_waits_for_transactions_in_progress_although_polls_fail() {
    let script = Script {
        shown: Box::new(|_, nth| match nth {
            0 => Shown::Status("pending"),
            1 => Shown::Answer(503),
            2 => Shown::Break,
            3 => Shown::Status("in_doubt"),
            4 => Shown::Status("processing"),
            _ => Shown::Status("completed"),
        }),
        ..Script::default()
    };
    let (report, _) = run(3, script).await;
    assert_eq!((findings(&report), report.completed), ([0; 6], 3));
    assert!(report.all_final_after_ms.is_some());
}

#[tokio::test]
async fn transactions_that_are_not_final_at_the_deadline_are_reported_by_their_state() {
    let script = Script {
        shown: Box::new(|number, _| match number {
            0 => Shown::Status("in_doubt"),
            1 => Shown::Status("processing"),
            2 => Shown::Answer(500),
            3 => Shown::Status("cancelled"),
            4 => Shown::Status("rejected"),
            _ => Shown::Status("completed"),
        }),
        rows: Box::new(|number, body| if number < 5 { vec![] } else { vec![row(body)] }),
        ..Script::default()
    };
    let stub = Stub::start(script).await;
    let config = LoadConfig { wait: Duration::from_secs(3), ..stub.config(6) };
    let report = loadgen::run(config).await.unwrap();
    assert_eq!(findings(&report), [0, 0, 0, 0, 1, 2]);
    assert_eq!((report.completed, report.cancelled, report.screened), (1, 1, 1));
    assert_eq!(report.all_final_after_ms, None);
    assert_eq!(report.exit_code(), 2);
}

#[tokio::test]
async fn a_ledger_that_cannot_be_read_at_first_is_read_again() {
    let script = Script {
        list: Box::new(|nth| if nth < 2 { Some(500) } else { None }),
        ..Script::default()
    };
    let (report, _) = run(3, script).await;
    assert_eq!((findings(&report), report.completed), ([0; 6], 3));
}

#[tokio::test]
async fn without_a_ledger_the_run_ends_with_an_error() {
    let script = Script { list: Box::new(|_| Some(404)), ..Script::default() };
    let stub = Stub::start(script).await;
    let error = loadgen::run(stub.config(1)).await.unwrap_err();
    assert!(matches!(error, LoadError::Ledger { .. }), "{error}");
}
