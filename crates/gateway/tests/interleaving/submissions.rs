//! Two processes that are sent what has the same id, reference or idempotency key.

use std::time::{Duration, Instant};

use domain::{Principal, Submission};
use gateway::{Gateway, SubmitError, Submitted};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    breakpoints::{Stop, bounded},
    fixture::Theatre,
    invariants, support,
};

type Result = std::result::Result<Submitted, SubmitError>;

/// Where the first stops, and whether the second has to wait for it there.
const POINTS: [(&str, bool); 4] = [
    ("before statement transactions", false),
    ("before row transactions", false),
    ("before row jobs", true),
    ("after row transactions", true),
];

/// What both are sent. The second one's may differ in its amount.
struct Sent {
    body: Value,
    second_amount: u32,
}

impl Sent {
    fn submissions(&self) -> [Submission; 2] {
        [1, self.second_amount].map(|amount| {
            let mut body = self.body.clone();
            body["amount"] = amount.into();
            support::submission(body)
        })
    }
}

fn with_an_id(second_amount: u32) -> Sent {
    Sent { body: json!({"currency": "EUR", "id": Uuid::now_v7()}), second_amount }
}

fn with_a_reference(second_amount: u32) -> Sent {
    let reference = Uuid::now_v7().to_string();
    Sent { body: json!({"currency": "EUR", "reference": reference}), second_amount }
}

fn with_a_key(second_amount: u32) -> Sent {
    let key = Uuid::now_v7().to_string();
    Sent { body: json!({"currency": "EUR", "idempotencyKey": key}), second_amount }
}

/// In one word. The winner's answer is checked against the table.
async fn word(theatre: &Theatre, result: &Result) -> String {
    match result {
        Ok(submitted) => {
            let transaction = &submitted.transaction;
            let stored = theatre.own.gateway.transaction(transaction.transaction_id).await.unwrap();
            assert_eq!(stored.as_ref(), Some(transaction));
            if submitted.replayed { "replayed" } else { "stored" }.to_owned()
        }
        Err(SubmitError::Conflict { pointer }) => format!("conflict at {pointer}"),
        Err(SubmitError::KeyReused) => "key reused".to_owned(),
        Err(SubmitError::Unconfirmed { .. }) => "unconfirmed".to_owned(),
        Err(other) => panic!("{other:?}"),
    }
}

/// How long a submission may take, less some: beyond that its client is told to come again.
const IN_TIME: Duration = Duration::from_millis(1300);

/// The first stops at the point, the second comes, and then `then` happens to the first. Once more where
/// the machine was too busy for that.
async fn meet<T: Future<Output = ()>>(
    theatre: &Theatre,
    sent: impl Fn() -> Sent,
    point: &'static str,
    then: impl Fn(Stop) -> T,
) -> [String; 2] {
    for _ in 0..10 {
        let began = Instant::now();
        let met = meet_once(theatre, &sent(), point, &then).await;
        if began.elapsed() < IN_TIME {
            return met;
        }
    }
    panic!("the machine is too busy");
}

async fn meet_once<T: Future<Output = ()>>(
    theatre: &Theatre,
    sent: &Sent,
    point: &'static str,
    then: impl Fn(Stop) -> T,
) -> [String; 2] {
    let count = "select count(*) from transactions";
    let before: i64 = sqlx::query_scalar(count).fetch_one(&theatre.own.pool).await.unwrap();
    let [first, second] = sent.submissions();
    let submit = |gateway: &Gateway, submission| {
        let gateway = gateway.clone();
        tokio::spawn(async move { gateway.submit(&Principal::anonymous(), submission).await })
    };
    let stop = theatre.stage.stop("first", point).await;
    let first = submit(&theatre.sessions[0].gateway, first);
    stop.reached().await;
    let mut second = submit(&theatre.sessions[1].gateway, second);
    let early = tokio::select! {
        () = theatre.stage.blocked("second") => None,
        result = &mut second => Some(result.unwrap()),
    };
    then(stop).await;
    let first = bounded("the first one's answer", first).await.unwrap();
    let second = match early {
        Some(result) => result,
        None => bounded("the second one's answer", second).await.unwrap(),
    };
    if let (Ok(first), Ok(second)) = (&first, &second) {
        assert_eq!(first.transaction.transaction_id, second.transaction.transaction_id);
    }
    let after: i64 = sqlx::query_scalar(count).fetch_one(&theatre.own.pool).await.unwrap();
    assert_eq!(after - before, 1, "rows that were stored");
    invariants::check(&theatre.own.pool, point).await;
    [word(theatre, &first).await, word(theatre, &second).await]
}

#[tokio::test]
async fn one_of_two_processes_stores_what_has_the_same_id_reference_or_key() {
    let theatre = Theatre::new().await;
    for (sent, loser) in [
        (with_an_id as fn(u32) -> Sent, ["replayed", "conflict at /id"]),
        (with_a_reference, ["replayed", "conflict at /reference"]),
        (with_a_key, ["replayed", "key reused"]),
    ] {
        for (second_amount, loser) in [1, 2].into_iter().zip(loser) {
            for (point, holds) in POINTS {
                let met = meet(&theatre, || sent(second_amount), point, Stop::release).await;
                let expected = if holds { ["stored", loser] } else { [loser, "stored"] };
                assert_eq!(met, expected, "{point}");
            }
        }
    }
}

#[tokio::test]
async fn what_is_rolled_back_leaves_its_id_reference_and_key_to_the_other() {
    let theatre = Theatre::new().await;
    for sent in [with_an_id as fn(u32) -> Sent, with_a_reference, with_a_key] {
        for (point, _) in POINTS {
            let met = meet(&theatre, || sent(2), point, Stop::roll_back).await;
            assert_eq!(met, ["unconfirmed", "stored"], "{point}");
        }
    }
}

/// Its client is not told of a failure that the process can get over.
#[tokio::test]
async fn who_loses_the_connection_tries_again_and_finds_what_the_other_has_stored() {
    let theatre = Theatre::new().await;
    for sent in [with_an_id as fn(u32) -> Sent, with_a_reference, with_a_key] {
        let met = meet(&theatre, || sent(1), "after row transactions", Stop::terminate).await;
        // Who is first then is a race.
        let stored = met.iter().filter(|word| *word == "stored").count();
        let replayed = met.iter().filter(|word| *word == "replayed").count();
        assert_eq!((stored, replayed), (1, 1), "{met:?}");
    }
}
