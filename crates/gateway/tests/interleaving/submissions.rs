//! Two processes receive submissions with the same id, reference or idempotency key.

use std::time::{Duration, Instant};

use domain::{Principal, Scope, Submission};
use gateway::{Gateway, SubmitError, Submitted};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    breakpoints::{Breakpoint, bounded},
    fixture::TestDatabase,
    invariants, support,
};

type Result = std::result::Result<Submitted, SubmitError>;

/// Where the first submission stops, and whether the second has to wait for it there.
const POINTS: [(&str, bool); 4] = [
    ("before statement transactions", false),
    ("before row transactions", false),
    ("before row jobs", true),
    ("after row transactions", true),
];

/// The submissions that both receive. The second may have another amount.
struct Bodies {
    body: Value,
    second_amount: u32,
}

impl Bodies {
    fn submissions(&self) -> [Submission; 2] {
        [1, self.second_amount].map(|amount| {
            let mut body = self.body.clone();
            body["amount"] = amount.into();
            support::submission(body)
        })
    }
}

fn with_an_id(second_amount: u32) -> Bodies {
    Bodies { body: json!({"currency": "EUR", "id": Uuid::now_v7()}), second_amount }
}

fn with_a_reference(second_amount: u32) -> Bodies {
    let reference = Uuid::now_v7().to_string();
    Bodies { body: json!({"currency": "EUR", "reference": reference}), second_amount }
}

fn with_a_key(second_amount: u32) -> Bodies {
    let key = Uuid::now_v7().to_string();
    Bodies { body: json!({"currency": "EUR", "idempotencyKey": key}), second_amount }
}

/// The outcome in one word. The winner's answer is compared with the table.
async fn word(database: &TestDatabase, result: &Result) -> String {
    match result {
        Ok(submitted) => {
            let transaction = &submitted.transaction;
            let stored = database
                .own
                .gateway
                .transaction(&Scope::All, transaction.transaction_id)
                .await
                .unwrap();
            assert_eq!(stored.as_ref(), Some(transaction));
            if submitted.replayed { "replayed" } else { "stored" }.to_owned()
        }
        Err(SubmitError::Conflict { pointer }) => format!("conflict at {pointer}"),
        Err(SubmitError::KeyReused) => "key reused".to_owned(),
        Err(SubmitError::Unconfirmed { .. }) => "unconfirmed".to_owned(),
        Err(other) => panic!("{other:?}"),
    }
}

/// Somewhat less than a submission's timeout, after which its client is asked to send it again.
const IN_TIME: Duration = Duration::from_millis(1300);

/// Stops the first submission at the point, sends the second, then applies `then` to the first.
/// Repeats this when the machine was too busy.
async fn submit_both<T: Future<Output = ()>>(
    database: &TestDatabase,
    bodies: impl Fn() -> Bodies,
    point: &'static str,
    then: impl Fn(Breakpoint) -> T,
) -> [String; 2] {
    for _ in 0..10 {
        let began = Instant::now();
        let words = submit_both_once(database, &bodies(), point, &then).await;
        if began.elapsed() < IN_TIME {
            return words;
        }
    }
    panic!("the machine is too busy");
}

async fn submit_both_once<T: Future<Output = ()>>(
    database: &TestDatabase,
    bodies: &Bodies,
    point: &'static str,
    then: impl Fn(Breakpoint) -> T,
) -> [String; 2] {
    let count = "select count(*) from transactions";
    let before: i64 = sqlx::query_scalar(count).fetch_one(&database.own.pool).await.unwrap();
    let [first, second] = bodies.submissions();
    let submit = |gateway: &Gateway, submission| {
        let gateway = gateway.clone();
        tokio::spawn(async move { gateway.submit(&Principal::anonymous(), submission).await })
    };
    let breakpoint = database.breakpoints.set("first", point).await;
    let first = submit(&database.sessions[0].gateway, first);
    breakpoint.reached().await;
    let mut second = submit(&database.sessions[1].gateway, second);
    let early = tokio::select! {
        () = database.breakpoints.blocked("second") => None,
        result = &mut second => Some(result.unwrap()),
    };
    then(breakpoint).await;
    let first = bounded("the first one's answer", first).await.unwrap();
    let second = match early {
        Some(result) => result,
        None => bounded("the second one's answer", second).await.unwrap(),
    };
    if let (Ok(first), Ok(second)) = (&first, &second) {
        assert_eq!(first.transaction.transaction_id, second.transaction.transaction_id);
    }
    let after: i64 = sqlx::query_scalar(count).fetch_one(&database.own.pool).await.unwrap();
    assert_eq!(after - before, 1, "rows that were stored");
    invariants::check(&database.own.pool, point).await;
    [word(database, &first).await, word(database, &second).await]
}

#[tokio::test]
async fn one_of_two_processes_stores_a_submission_with_the_same_id_reference_or_key() {
    let database = TestDatabase::new().await;
    for (bodies, loser) in [
        (with_an_id as fn(u32) -> Bodies, ["replayed", "conflict at /id"]),
        (with_a_reference, ["replayed", "conflict at /reference"]),
        (with_a_key, ["replayed", "key reused"]),
    ] {
        for (second_amount, loser) in [1, 2].into_iter().zip(loser) {
            for (point, holds) in POINTS {
                let words =
                    submit_both(&database, || bodies(second_amount), point, Breakpoint::release)
                        .await;
                let expected = if holds { ["stored", loser] } else { [loser, "stored"] };
                assert_eq!(words, expected, "{point}");
            }
        }
    }
}

#[tokio::test]
async fn a_submission_that_is_rolled_back_leaves_its_id_reference_and_key_to_the_other() {
    let database = TestDatabase::new().await;
    for bodies in [with_an_id as fn(u32) -> Bodies, with_a_reference, with_a_key] {
        for (point, _) in POINTS {
            let words = submit_both(&database, || bodies(2), point, Breakpoint::roll_back).await;
            assert_eq!(words, ["unconfirmed", "stored"], "{point}");
        }
    }
}

/// The process recovers from the failure, so its client gets no error.
#[tokio::test]
async fn a_process_that_loses_its_connection_retries_and_finds_what_the_other_stored() {
    let database = TestDatabase::new().await;
    for bodies in [with_an_id as fn(u32) -> Bodies, with_a_reference, with_a_key] {
        let words =
            submit_both(&database, || bodies(1), "after row transactions", Breakpoint::terminate)
                .await;
        // Either may then be first.
        let stored = words.iter().filter(|word| *word == "stored").count();
        let replayed = words.iter().filter(|word| *word == "replayed").count();
        assert_eq!((stored, replayed), (1, 1), "{words:?}");
    }
}
