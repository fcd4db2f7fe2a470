//! A submission is stored with its job in one commit, once however often it is sent.

use domain::{Principal, Scope, Transaction};
use futures::future::join_all;
use gateway::{SubmitError, Submitted};
use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;

use crate::support::{database, gateway, jobs, submission};

async fn submit(gateway: &gateway::Gateway, body: Value) -> Result<Submitted, SubmitError> {
    gateway.submit(&Principal::anonymous(), submission(body)).await
}

async fn rows(pool: &PgPool) -> i64 {
    sqlx::query_scalar("select count(*) from transactions").fetch_one(pool).await.unwrap()
}

fn conflict(result: Result<Submitted, SubmitError>) -> &'static str {
    match result {
        Err(SubmitError::Conflict { pointer }) => pointer,
        other => panic!("no conflict: {other:?}"),
    }
}

#[tokio::test]
async fn an_accepted_submission_is_stored_with_one_job() {
    let pool = database().await;
    let gateway = gateway(&pool);
    let submitted = submit(&gateway, json!({"amount": 5, "currency": "EUR"})).await.unwrap();
    let id = submitted.transaction.transaction_id;
    assert!(!submitted.replayed);
    assert_eq!(gateway.transaction(&Scope::All, id).await.unwrap(), Some(submitted.transaction));
    assert_eq!(jobs(&pool, id).await, 1);
}

#[tokio::test]
async fn every_field_comes_back_as_it_was_sent() {
    let pool = database().await;
    let gateway = gateway(&pool);
    for amount in ["0.1", "100.50", "9999999999999.99", "7"] {
        let body = json!({
            "amount": amount, "currency": "USD", "reference": format!("order {amount}"),
            "description": "Überweisung ✓", "timestamp": "2026-01-31T12:00:00.123456Z",
            "sourceAccount": "acc_1", "destinationAccount": "acc_2",
            "metadata": {"control": "a\u{1}b", "deep": [{"x": null}]},
        });
        let answered = submit(&gateway, body).await.unwrap().transaction;
        let stored =
            gateway.transaction(&Scope::All, answered.transaction_id).await.unwrap().unwrap();
        assert_eq!(stored, answered);
        assert_eq!(stored.amount.to_string(), amount);
    }
    let big: Value =
        serde_json::from_str(r#"{"amount": 1, "currency": "USD", "metadata": {"n": 1e999999}}"#)
            .unwrap();
    let answered = submit(&gateway, big).await.unwrap().transaction;
    assert_eq!(
        gateway.transaction(&Scope::All, answered.transaction_id).await.unwrap(),
        Some(answered)
    );
}

#[tokio::test]
async fn every_decimal_of_a_currency_without_a_fixed_number_of_them_is_stored() {
    let pool = database().await;
    let gateway = gateway(&pool);
    for amount in [
        "0.0000000000000000000000000001",
        "0.0000000000000123456789012345",
        "0.0012345678901230",
        "1.2345678901234",
        "123456789012345",
    ] {
        let body = json!({"amount": amount, "currency": "XAU"});
        let answered = submit(&gateway, body).await.unwrap().transaction;
        let stored =
            gateway.transaction(&Scope::All, answered.transaction_id).await.unwrap().unwrap();
        assert_eq!((stored.amount.to_string(), &stored), (amount.to_owned(), &answered));
    }
}

#[tokio::test]
async fn the_same_id_with_the_same_content_is_a_replay() {
    let pool = database().await;
    let gateway = gateway(&pool);
    let id = Uuid::new_v4();
    let first =
        submit(&gateway, json!({"id": id, "amount": "1.5", "currency": "USD"})).await.unwrap();
    let again =
        submit(&gateway, json!({"id": id, "amount": "1.50", "currency": "USD"})).await.unwrap();
    assert!(!first.replayed && again.replayed);
    assert_eq!(first.transaction, again.transaction);
    let other = submit(&gateway, json!({"id": id, "amount": "1.51", "currency": "USD"})).await;
    assert_eq!(conflict(other), "/id");
    assert_eq!(rows(&pool).await, 1);
}

#[tokio::test]
async fn neither_white_space_around_a_reference_nor_the_encoding_of_an_accent_makes_another_transaction()
 {
    let pool = database().await;
    let gateway = gateway(&pool);
    let body = |reference: &str| json!({"reference": reference, "amount": 1, "currency": "USD"});
    let first = submit(&gateway, body("cafe\u{301} 1 ")).await.unwrap();
    assert_eq!(first.transaction.reference.as_deref(), Some("caf\u{e9} 1"));
    for reference in
        ["caf\u{e9} 1", "cafe\u{301} 1 ", "\t cafe\u{301} 1\r\n", "\u{3000}caf\u{e9} 1"]
    {
        let again = submit(&gateway, body(reference)).await.unwrap();
        assert_eq!((again.replayed, &again.transaction), (true, &first.transaction));
        let mut other = body(reference);
        other["amount"] = json!(2);
        assert_eq!(conflict(submit(&gateway, other).await), "/reference");
    }
    assert_eq!(rows(&pool).await, 1);
}

#[tokio::test]
async fn a_leap_second_is_answered_at_first_as_it_is_stored() {
    let pool = database().await;
    let gateway = gateway(&pool);
    let body = |timestamp| json!({"reference": "r", "amount": 1, "currency": "USD", "timestamp": timestamp});
    let first = submit(&gateway, body("2016-12-31T23:59:60.5Z")).await.unwrap().transaction;
    let again = submit(&gateway, body("2016-12-31T23:59:60.5Z")).await.unwrap();
    assert!(again.replayed);
    let text = |transaction: &Transaction| serde_json::to_string(transaction).unwrap();
    assert_eq!(text(&first), text(&again.transaction));
    assert!(text(&first).contains(r#""timestamp":"2017-01-01T00:00:00.500Z""#), "{}", text(&first));
    assert!(submit(&gateway, body("2017-01-01T00:00:00.5Z")).await.unwrap().replayed);
}

#[tokio::test]
async fn a_reference_is_unique_for_its_principal() {
    let pool = database().await;
    let gateway = gateway(&pool);
    let body = |amount: u32| json!({"reference": "txn_1", "amount": amount, "currency": "USD"});
    let first = submit(&gateway, body(1)).await.unwrap();
    let again = submit(&gateway, body(1)).await.unwrap();
    assert_eq!(first.transaction, again.transaction);
    assert_eq!(conflict(submit(&gateway, body(2)).await), "/reference");
    let mut with_other_id = body(1);
    with_other_id["id"] = json!(Uuid::new_v4());
    assert_eq!(conflict(submit(&gateway, with_other_id).await), "/reference");
    assert_eq!(rows(&pool).await, 1);
}

#[tokio::test]
async fn a_hundred_identical_concurrent_submissions_make_one_row_and_one_job() {
    let pool = database().await;
    let (one, other) = (gateway(&pool), gateway(&pool));
    let id = Uuid::new_v4();
    let body = json!({"id": id, "amount": 3, "currency": "USD", "reference": "r"});
    let results =
        join_all((0..100).map(|i| submit(if i % 2 == 0 { &one } else { &other }, body.clone())))
            .await;
    let fresh = results.iter().filter(|result| !result.as_ref().unwrap().replayed).count();
    assert_eq!(fresh, 1);
    assert!(results.iter().all(|result| result.as_ref().unwrap().transaction.transaction_id == id));
    assert_eq!(rows(&pool).await, 1);
    assert_eq!(jobs(&pool, id).await, 1);
}

#[tokio::test]
async fn of_two_contents_with_one_id_one_is_stored_and_the_other_is_a_conflict() {
    let pool = database().await;
    let gateway = gateway(&pool);
    let id = Uuid::new_v4();
    let amount = |i: u32| i % 2 + 1;
    let results = join_all(
        (0..100)
            .map(|i| submit(&gateway, json!({"id": id, "amount": amount(i), "currency": "USD"}))),
    )
    .await;
    let stored = gateway.transaction(&Scope::All, id).await.unwrap().unwrap();
    for (i, result) in results.into_iter().enumerate() {
        if amount(i as u32).to_string() == stored.amount.to_string() {
            assert_eq!(result.unwrap().transaction, stored);
        } else {
            assert_eq!(conflict(result), "/id");
        }
    }
    assert_eq!((rows(&pool).await, jobs(&pool, id).await), (1, 1));
}

#[tokio::test]
async fn a_thousand_concurrent_submissions_are_all_stored() {
    let pool = database().await;
    let gateway = gateway(&pool);
    let results =
        join_all((1..=1000).map(|i| submit(&gateway, json!({"amount": i, "currency": "JPY"}))))
            .await;
    for result in results {
        let transaction = result.unwrap().transaction;
        assert_eq!(
            gateway.transaction(&Scope::All, transaction.transaction_id).await.unwrap(),
            Some(transaction)
        );
    }
    assert_eq!(gateway.counts(&Scope::All).await.unwrap().pending, 1000);
}

#[tokio::test]
async fn without_a_database_a_submission_is_unconfirmed() {
    let pool = database().await;
    let gateway = gateway(&pool);
    pool.close().await;
    let error = submit(&gateway, json!({"amount": 1, "currency": "USD"})).await.unwrap_err();
    assert!(matches!(error, SubmitError::Unconfirmed { .. }) && error.retryable(), "{error:?}");
}
