//! Idempotency keys: one key, one transaction, whatever arrives at once.

use std::collections::HashSet;

use domain::{Ending, Principal, Reference, Scope, State, Submission, Transaction};
use futures::future::join_all;
use gateway::{Filter, Gateway, SubmitError, Submitted};
use rand::{RngExt, SeedableRng, rngs::StdRng, seq::SliceRandom};
use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;

use crate::support::{self, Scripted, database, execute, executor, gateway, jobs, submission};

type Result = std::result::Result<Submitted, SubmitError>;

async fn submit(gateway: &Gateway, body: Value) -> Result {
    gateway.submit(&Principal::anonymous(), submission(body)).await
}

async fn rows(pool: &PgPool) -> i64 {
    sqlx::query_scalar("select count(*) from transactions").fetch_one(pool).await.unwrap()
}

/// The outcome in one word.
fn word(result: &Result) -> &'static str {
    match result {
        Ok(submitted) if submitted.replayed => "replayed",
        Ok(_) => "stored",
        Err(SubmitError::KeyReused) => "key reused",
        Err(SubmitError::Conflict { pointer }) => pointer,
        Err(other) => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_key_names_one_transaction_of_its_principal() {
    let pool = database().await;
    let gateway = gateway(&pool);
    let id = Uuid::new_v4();
    let with = |more: Value| {
        let mut body = json!({"idempotencyKey": "k", "amount": "1.50", "currency": "USD"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let first = submit(&gateway, with(json!({"id": id}))).await.unwrap();
    assert!(!first.replayed);
    for (more, expected) in [
        (json!({}), "replayed"),
        (json!({"amount": 1.5}), "replayed"),
        (json!({"id": id}), "replayed"),
        (json!({"id": Uuid::new_v4()}), "key reused"),
        (json!({"amount": 2}), "key reused"),
        (json!({"id": id, "amount": 2}), "key reused"),
        (json!({"reference": "r"}), "key reused"),
        (json!({"idempotencyKey": "K", "id": id}), "/id"),
        (json!({"idempotencyKey": null, "id": id}), "replayed"),
    ] {
        let result = submit(&gateway, with(more.clone())).await;
        assert_eq!(word(&result), expected, "{more}");
        if let Ok(submitted) = result {
            assert_eq!(submitted.transaction, first.transaction, "{more}");
        }
    }
    assert_eq!(rows(&pool).await, 1);
    let other = Principal::named("another".to_owned());
    let elsewhere = gateway.submit(&other, submission(with(json!({"amount": 2})))).await;
    assert_eq!(word(&elsewhere), "stored");
}

#[tokio::test]
async fn a_number_within_the_metadata_is_the_same_however_it_is_written_and_is_kept_as_it_was_sent()
{
    let pool = database().await;
    let gateway = gateway(&pool);
    let with = |metadata: &str| {
        let metadata: Value = serde_json::from_str(metadata).unwrap();
        json!({"idempotencyKey": "k", "amount": 1, "currency": "USD", "metadata": metadata})
    };
    let sent = r#"{"a":[1.0,{"b":-2.50}],"c":1e+400}"#;
    let first = submit(&gateway, with(sent)).await.unwrap();
    for again in [
        sent,
        r#"{"a": [1, {"b": -2.5}], "c": 1e400}"#,
        r#"{"c": 10e399, "a": [10e-1, {"b": -250e-2}]}"#,
    ] {
        let again = submit(&gateway, with(again)).await;
        assert_eq!(word(&again), "replayed");
        let again = again.unwrap().transaction;
        assert_eq!(again, first.transaction);
        assert_eq!(serde_json::to_string(&again.metadata).unwrap(), sent);
    }
    for other in [
        r#"{"a": [1.0000000000000000000001, {"b": -2.5}], "c": 1e400}"#,
        r#"{"a": ["1", {"b": -2.5}], "c": 1e400}"#,
    ] {
        assert_eq!(word(&submit(&gateway, with(other)).await), "key reused");
    }
}

/// A key that was answered must remain findable, so it cannot be one of two keys of a transaction.
#[tokio::test]
async fn a_reference_stored_with_another_key_or_none_is_a_conflict_and_leaves_the_key_free() {
    let pool = database().await;
    let gateway = gateway(&pool);
    let body = |key: Option<&str>, reference: &str| {
        json!({
            "idempotencyKey": key, "reference": reference, "amount": 1, "currency": "USD",
        })
    };
    let one = |key, reference| submit(&gateway, body(key, reference));
    assert_eq!(word(&one(Some("a"), "with a").await), "stored");
    assert_eq!(word(&one(None, "without").await), "stored");
    assert_eq!(word(&one(Some("b"), "with a").await), "/reference");
    assert_eq!(word(&one(Some("b"), "without").await), "/reference");
    assert_eq!(word(&one(None, "with a").await), "replayed");
    assert_eq!(rows(&pool).await, 2);
    assert_eq!(word(&one(Some("b"), "of b").await), "stored");
}

#[tokio::test]
async fn a_replay_is_answered_like_the_first_submission_whatever_the_state_is_now() {
    let pool = database().await;
    let gateway = gateway(&pool);
    let service = Scripted::new();
    let (executor, _) = executor(&pool, &service).await;
    let body = json!({
        "idempotencyKey": "k", "id": Uuid::new_v4(), "reference": "r", "amount": "1.50",
        "currency": "USD", "timestamp": "2026-01-31T12:00:00.1234567Z", "metadata": {"b": 1.0, "a": 1},
    });
    let first = submit(&gateway, body.clone()).await.unwrap().transaction;
    let text = |transaction: &Transaction| serde_json::to_string(transaction).unwrap();
    service.answers(Ending::NotWritten).answers_status(201);
    for state in [State::Pending, State::Completed] {
        support::let_time_pass(&pool, first.transaction_id, 0).await;
        execute(&executor, &pool, first.transaction_id).await.unwrap();
        let now = gateway.transaction(&Scope::All, first.transaction_id).await.unwrap().unwrap();
        assert!(now.status == state && now != first, "{now:?}");
        for name in ["idempotencyKey", "id", "reference"] {
            let mut alone = body.clone();
            for other in ["idempotencyKey", "id"] {
                if other != name {
                    alone[other] = Value::Null;
                }
            }
            let again = submit(&gateway, alone).await.unwrap();
            assert!(again.replayed);
            assert_eq!(text(&again.transaction), text(&first), "by {name}");
        }
    }
}

#[tokio::test]
async fn a_hundred_concurrent_submissions_with_one_key_make_one_row_and_one_job() {
    let pool = database().await;
    let gateways = [gateway(&pool), gateway(&pool)];
    let amount = |i: usize| i / 2 % 2 + 1;
    let body = |i| json!({"idempotencyKey": "k", "amount": amount(i), "currency": "USD"});
    let results = join_all((0..100).map(|i| submit(&gateways[i % 2], body(i)))).await;
    assert_eq!(results.iter().filter(|result| word(result) == "stored").count(), 1);
    let id =
        results.iter().find_map(|result| Some(result.as_ref().ok()?.transaction.transaction_id));
    let stored = gateways[0].transaction(&Scope::All, id.unwrap()).await.unwrap().unwrap();
    for (i, result) in results.iter().enumerate() {
        match result {
            Ok(submitted) => assert_eq!(submitted.transaction, stored),
            Err(_) => assert_eq!(word(result), "key reused"),
        }
        assert_eq!(result.is_ok(), stored.amount.to_string() == amount(i).to_string());
    }
    assert_eq!((rows(&pool).await, jobs(&pool, id.unwrap()).await), (1, 1));
}

/// Within one statement, too: the id alone does not decide whose row it is.
#[tokio::test]
async fn of_several_keys_with_one_id_only_the_stored_one_is_answered_as_stored() {
    let pool = database().await;
    let gateway = gateway(&pool);
    for _ in 0..20 {
        let id = Uuid::new_v4();
        // The greatest key comes first, and is not stored first.
        let keys = ["z", "y", "x"].map(|key| format!("{key} of {id}").replace(' ', "-"));
        let body = |key| json!({"idempotencyKey": key, "id": id, "amount": 1, "currency": "USD"});
        let results = join_all(keys.iter().map(|key| submit(&gateway, body(key)))).await;
        let stored = gateway.transaction(&Scope::All, id).await.unwrap().unwrap();
        for (key, result) in keys.iter().zip(&results) {
            let is_its = stored.idempotency_key.as_ref().is_some_and(|its| its.as_str() == key);
            assert_eq!(word(result), if is_its { "stored" } else { "/id" });
        }
    }
}

/// Two batches that lock in different orders would wait for each other for a second, and one would
/// be rolled back.
#[tokio::test]
async fn batches_that_share_keys_do_not_deadlock() {
    let pool = database().await;
    let gateways = [gateway(&pool), gateway(&pool)];
    let mut rng = StdRng::seed_from_u64(1);
    for round in 0..20 {
        let mut keys: Vec<_> = (0..100).flat_map(|key| [key; 4]).collect();
        keys.shuffle(&mut rng);
        let results = join_all(keys.iter().enumerate().map(|(i, key)| {
            let key = format!("{round}-{key}");
            submit(&gateways[i % 2], json!({"idempotencyKey": key, "amount": 1, "currency": "USD"}))
        }))
        .await;
        let stored = results.iter().filter(|result| word(result) == "stored").count();
        assert_eq!(stored, 100);
    }
    // A session reports its counters when it ends or when it is asked to.
    sqlx::query("select pg_stat_force_next_flush()").execute(&pool).await.unwrap();
    pool.close().await;
    let pool = support::another(&pool);
    let deadlocks: i64 = sqlx::query_scalar(
        "select deadlocks from pg_stat_database where datname = current_database()",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    assert_eq!(deadlocks, 0);
}

#[tokio::test]
async fn a_transaction_is_found_by_its_key() {
    let pool = database().await;
    let gateway = gateway(&pool);
    for key in ["a", "b"] {
        submit(&gateway, json!({"idempotencyKey": key, "amount": 1, "currency": "USD"}))
            .await
            .unwrap();
    }
    let filter = Filter { idempotency_key: Some("a".parse().unwrap()), ..Filter::default() };
    let found = gateway.transactions(&Scope::All, &filter, None, 10).await.unwrap().data;
    let keys: Vec<_> = found.iter().map(|found| found.idempotency_key.clone()).collect();
    assert_eq!(keys, [filter.idempotency_key]);
}

/// Submissions whose ids, references, keys and contents collide in every way, concurrently on two
/// processes.
#[tokio::test]
async fn every_answer_is_true_whatever_collides() {
    let pool = database().await;
    let gateways = [gateway(&pool), gateway(&pool)];
    for seed in 0..30 {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut one_of_three = || Some(rng.random_range(0..4_u64)).filter(|number| *number > 0);
        let name = |prefix: &str, number: u64| format!("{prefix}-{seed}-{number}");
        let submissions: Vec<Submission> = (0..60)
            .map(|_| {
                submission(json!({
                    "id": one_of_three().map(|number| Uuid::from_u64_pair(seed + 1, number)),
                    "reference": one_of_three().map(|number| name("reference", number)),
                    "idempotencyKey": one_of_three().map(|number| name("key", number)),
                    "amount": one_of_three().unwrap_or(1), "currency": "USD",
                }))
            })
            .collect();
        let principal = Principal::anonymous();
        let results = join_all(
            submissions
                .iter()
                .enumerate()
                .map(|(i, submission)| gateways[i % 2].submit(&principal, submission.clone())),
        )
        .await;

        // Ids, references and keys that collide crosswise can deadlock for a second, and some
        // submissions are then answered as unconfirmed. What is stored counts.
        let stored = gateways[0]
            .transactions(&Scope::All, &Filter::default(), None, 100)
            .await
            .unwrap()
            .data;
        for transaction in &stored {
            assert_eq!(jobs(&pool, transaction.transaction_id).await, 1);
        }
        let new = results.iter().flatten().filter(|submitted| !submitted.replayed);
        let ids: Vec<_> = new.map(|submitted| submitted.transaction.transaction_id).collect();
        assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len(), "seed {seed}");
        for (submission, result) in submissions.iter().zip(&results) {
            check(submission, result, &stored, seed);
        }
        let unknown =
            results.iter().filter(|result| matches!(result, Err(SubmitError::Unconfirmed { .. })));
        let unknown = unknown.count();
        assert!((ids.len()..=ids.len() + unknown).contains(&stored.len()), "seed {seed}");
        assert!(unknown < submissions.len(), "seed {seed}");
        sqlx::query("delete from transactions").execute(&pool).await.unwrap();
        assert_eq!(rows(&pool).await, 0);
    }
}

fn check(submission: &Submission, result: &Result, stored: &[Transaction], seed: u64) {
    let key = &submission.idempotency_key;
    let of_key = stored.iter().find(|its| key.is_some() && its.idempotency_key == *key);
    let fits = |its: &Transaction| {
        submission.id.is_none_or(|id| id == its.transaction_id)
            && its.reference.as_deref() == submission.reference.as_ref().map(Reference::as_str)
            && its.amount == submission.amount
    };
    let about = format!("seed {seed}: {submission:?} with {stored:?}: {result:?}");
    match result {
        Ok(submitted) => {
            let its = &submitted.transaction;
            assert!(fits(its) && stored.contains(its), "{about}");
            assert!(key.is_none() || its.idempotency_key == *key, "{about}");
        }
        Err(SubmitError::KeyReused) => assert!(of_key.is_some_and(|its| !fits(its)), "{about}"),
        Err(SubmitError::Conflict { pointer }) => {
            // Its key may have been stored since.
            let in_the_way = stored.iter().find(|its| match *pointer {
                "/id" => submission.id == Some(its.transaction_id),
                _ => submission
                    .reference
                    .as_ref()
                    .is_some_and(|reference| its.reference.as_deref() == Some(reference.as_str())),
            });
            let differs =
                |its: &Transaction| !fits(its) || (key.is_some() && its.idempotency_key != *key);
            assert!(in_the_way.is_some_and(differs), "{about}");
        }
        Err(SubmitError::Unconfirmed { .. }) => {}
        Err(other) => panic!("{other:?}"),
    }
}
