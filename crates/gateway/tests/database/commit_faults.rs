//! A database that answers and commits nothing: how it is known, and that it is forgotten when it ends.

use domain::Principal;
use gateway::{CommitFault, SubmitError};
use serde_json::json;
use sqlx::PgPool;

use super::abandoned_statements::{lock, unlock, with_one_connection};
use crate::support::{another, database, gateway, submission};

/// Makes new sessions read-only, or no longer.
async fn set_read_only(pool: &PgPool, on: bool) {
    let name: String =
        sqlx::query_scalar("select current_database()::text").fetch_one(pool).await.unwrap();
    let statement = format!("alter database {name} set default_transaction_read_only = {on}");
    sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(pool).await.unwrap();
}

#[tokio::test]
async fn a_session_that_turns_out_to_be_read_only_is_replaced_by_a_new_one() {
    let pool = database().await;
    set_read_only(&pool, true).await;
    let gateway = with_one_connection(&pool);
    let principal = Principal::anonymous();
    let body = json!({"amount": 1, "currency": "USD"});
    let refused = gateway.submit(&principal, submission(body.clone())).await.unwrap_err();
    assert_eq!(refused.fault(), Some(CommitFault::ReadOnly));
    assert!(refused.to_string().contains("it is read-only"), "{refused}");
    assert!(!refused.to_string().contains("in time"), "{refused}");
    // The failover is over: a new session may write, and the old one may not.
    set_read_only(&pool, false).await;
    gateway.submit(&principal, submission(body)).await.unwrap();
}

#[tokio::test]
async fn without_submissions_a_probe_notices_that_nothing_is_committed() {
    let pool = database().await;
    let begun = gateway(&pool);
    begun.check_commits().await.unwrap();
    set_read_only(&pool, true).await;
    let read_only = gateway(&another(&pool));
    assert_eq!(read_only.check_commits().await, Err(CommitFault::ReadOnly));
    set_read_only(&pool, false).await;
    while read_only.check_commits().await.is_err() {
        tokio::task::yield_now().await;
    }

    let locked = lock(&pool, "begin; lock table transactions in share mode").await;
    let of_a_locked_table = gateway(&another(&pool));
    assert_eq!(of_a_locked_table.check_commits().await, Err(CommitFault::TimedOut));
    unlock(locked).await;
    while of_a_locked_table.check_commits().await.is_err() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_submission_that_succeeds_ends_what_an_earlier_one_began() {
    let pool = database().await;
    let gateway = gateway(&another(&pool));
    let principal = Principal::anonymous();
    let body = json!({"amount": 1, "currency": "USD"});
    let locked = lock(&pool, "begin; lock table transactions in share mode").await;
    let refused = gateway.submit(&principal, submission(body.clone())).await.unwrap_err();
    assert!(matches!(&refused, SubmitError::Unconfirmed { .. }), "{refused:?}");
    assert_eq!(gateway.check_commits().await, Err(CommitFault::TimedOut));
    unlock(locked).await;
    gateway.submit(&principal, submission(body)).await.unwrap();
    assert_eq!(gateway.check_commits().await, Ok(()));
}
