//! Statements that take too long are abandoned, and do not delay the next ones.

use domain::{Principal, Scope};
use gateway::{EngineError, Gateway, SubmitError};
use serde_json::json;
use sqlx::{PgPool, pool::PoolConnection};

use crate::support::{another, database, gateway, jobs, submission};

/// An engine with a single connection to the database of this pool.
pub fn with_one_connection(pool: &PgPool) -> Gateway {
    let options = pool.options().clone().min_connections(0).max_connections(1);
    let connect_options = another(pool).connect_options().as_ref().clone();
    gateway(&options.connect_lazy_with(connect_options))
}

/// Blocks every statement that needs the table until [`unlock`].
pub async fn lock(pool: &PgPool, lock: &'static str) -> PoolConnection<sqlx::Postgres> {
    let mut connection = pool.acquire().await.unwrap();
    sqlx::raw_sql(lock).execute(&mut *connection).await.unwrap();
    connection
}

pub async fn unlock(mut connection: PoolConnection<sqlx::Postgres>) {
    sqlx::raw_sql("commit").execute(&mut *connection).await.unwrap();
}

async fn waiting(pool: &PgPool) {
    let waits = "select exists (
        select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'
    )";
    while !sqlx::query_scalar::<_, bool>(waits).fetch_one(pool).await.unwrap() {}
}

#[tokio::test]
async fn a_query_that_times_out_leaves_the_only_connection_to_the_next_one() {
    let pool = database().await;
    let gateway = with_one_connection(&pool);
    let locked = lock(&pool, "begin; lock table transaction_counts").await;
    let error = gateway.counts(&Scope::All).await.unwrap_err();
    assert!(matches!(&error, EngineError::Database(_)) && error.retryable(), "{error:?}");
    // The first query still waits in PostgreSQL.
    waiting(&pool).await;
    gateway.ping().await.unwrap();
    unlock(locked).await;
    assert_eq!(gateway.counts(&Scope::All).await.unwrap().accepted(), 0);
}

#[tokio::test]
async fn an_abandoned_query_leaves_the_only_connection_to_the_next_one() {
    let pool = database().await;
    let gateway = with_one_connection(&pool);
    let locked = lock(&pool, "begin; lock table transaction_counts").await;
    tokio::select! {
        _ = gateway.counts(&Scope::All) => unreachable!("the table is locked"),
        () = waiting(&pool) => {}
    }
    gateway.ping().await.unwrap();
    unlock(locked).await;
}

#[tokio::test]
async fn a_submission_that_was_not_confirmed_is_stored_once_when_it_is_sent_again() {
    let pool = database().await;
    let gateway = with_one_connection(&pool);
    let locked = lock(&pool, "begin; lock table transactions").await;
    let id = uuid::Uuid::now_v7();
    let body = json!({"id": id, "amount": "100.50", "currency": "USD"});
    let principal = Principal::anonymous();
    let refused = gateway.submit(&principal, submission(body.clone())).await.unwrap_err();
    assert!(
        matches!(refused, SubmitError::Unconfirmed { id: unconfirmed, .. } if unconfirmed == id)
    );
    // Its commit holds the connection until it is abandoned, however long the table is locked.
    while gateway.ping().await.is_err() {}
    waiting(&pool).await;
    unlock(locked).await;
    gateway.submit(&principal, submission(body)).await.unwrap();
    assert_eq!(gateway.counts(&Scope::All).await.unwrap().accepted(), 1);
    assert_eq!(jobs(&pool, id).await, 1);
}
