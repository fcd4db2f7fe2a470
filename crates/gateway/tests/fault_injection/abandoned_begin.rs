//! A database transaction is abandoned while it begins. sqlx 0.9 returns such a connection to its
//! pool within the transaction; the next statements on it are answered and never committed.

use domain::{Actor, Principal, Scope};
use gateway::{Gateway, WakeUps};
use serde_json::json;
use sqlx::PgPool;

use crate::{
    breakpoints::{bounded, pool},
    fixture::{Environment, WORKER},
    support,
};

/// One connection through the proxy, so that the next statement uses it.
async fn one_connection(env: &Environment) -> PgPool {
    let pool = pool(env.proxy.options(env.pool(), WORKER), 1);
    sqlx::query("select 1").execute(&pool).await.unwrap();
    pool
}

/// When a client asks for a cleanup and disconnects, the handler of its request is dropped.
#[tokio::test]
async fn a_submission_accepted_after_an_abandoned_cleanup_is_committed() {
    let env = Environment::new().await;
    let gateway = Gateway::new(one_connection(&env).await, WakeUps::default());
    env.proxy.hold_answer("BEGIN");
    let cleanup = tokio::spawn({
        let gateway = gateway.clone();
        async move { gateway.cleanup(&Actor::anonymous()).await }
    });
    bounded("the beginning of a cleanup", env.proxy.wait_for_hold()).await;
    cleanup.abort();
    let _ = cleanup.await;
    env.proxy.release();

    let submission = support::submission(json!({"amount": 5, "currency": "EUR"}));
    let submitted = gateway.submit(&Principal::anonymous(), submission).await.unwrap();
    let id = submitted.transaction.transaction_id;
    // Read by another process.
    let seen = env.gateway.transaction(&Scope::All, id).await.unwrap();
    assert!(seen.is_some(), "it was accepted but is not stored");
}
