//! A database transaction that is given up while it begins. sqlx (0.9) returns such a connection to its
//! pool within the transaction; what is done over it next is answered, and never committed.

use std::sync::Arc;

use domain::Principal;
use gateway::Gateway;
use serde_json::json;
use sqlx::PgPool;
use tokio::sync::Notify;

use crate::{
    breakpoints::{bounded, patient},
    fixture::{Place, WORKER},
    support,
};

/// Through the proxy, one connection, so that it is this one that is used next.
async fn one_connection(place: &Place) -> PgPool {
    let pool = patient(place.proxy.options(place.pool(), WORKER), 1);
    sqlx::query("select 1").execute(&pool).await.unwrap();
    pool
}

/// A client that asks for a clean-up and goes away takes the handler of its request along.
#[tokio::test]
async fn what_is_accepted_after_a_clean_up_that_was_given_up_is_committed() {
    let place = Place::new().await;
    let gateway = Gateway::new(one_connection(&place).await, Arc::new(Notify::new()));
    place.proxy.hold_answer("BEGIN");
    let cleanup = tokio::spawn({
        let gateway = gateway.clone();
        async move { gateway.cleanup().await }
    });
    bounded("the beginning of a clean-up", place.proxy.holds()).await;
    cleanup.abort();
    let _ = cleanup.await;
    place.proxy.let_go();

    let submission = support::submission(json!({"amount": 5, "currency": "EUR"}));
    let submitted = gateway.submit(&Principal::anonymous(), submission).await.unwrap();
    let id = submitted.transaction.transaction_id;
    // Another process looks.
    let seen = place.gateway.transaction(id).await.unwrap();
    assert!(seen.is_some(), "it was accepted, and is not there");
}
