//! Drives a transaction to its end: lets time pass and executes it until nothing is left to do,
//! then checks how it ended.
#![allow(dead_code)]

use domain::{Principal, State, Submission};
use gateway::{Executor, Gateway, Purpose};
use serde_json::json;
use sqlx::PgPool;
use uuid::Uuid;

use crate::{invariants, posting_service::Ledger};

/// Longer than every window.
const WINDOWS_S: i32 = 100_000;
/// More than any transaction needs.
const EXECUTIONS: usize = 20;

/// Stores a plain transaction and returns its id. On a busy machine the engine may fail to confirm
/// it in time and ask the client to send it again.
pub async fn stored(gateway: &Gateway) -> Uuid {
    let id = Uuid::now_v7();
    let submission =
        Submission::from_json(&json!({"id": id, "amount": "100.50", "currency": "USD"})).unwrap();
    for _ in 0..EXECUTIONS {
        match gateway.submit(&Principal::anonymous(), submission.clone()).await {
            Ok(_) => return id,
            Err(error) => assert!(error.retryable(), "{error:?}"),
        }
    }
    panic!("the transaction is not confirmed");
}

/// Lets the lease of this run expire.
pub async fn expire(pool: &PgPool, run: Uuid) {
    sqlx::query("update workers set expires_at = now() - interval '1 second' where id = $1")
        .bind(run)
        .execute(pool)
        .await
        .unwrap();
}

/// Lets all windows pass, so that the transaction and its job are due.
pub async fn let_windows_pass(pool: &PgPool, id: Uuid) {
    sqlx::query(
        "with passed as (
            update transactions set
                doubt_since = doubt_since - $2 * interval '1 second',
                next_attempt_at = clock_timestamp(), changed_in = current_change()
            where id = $1 and next_attempt_at is not null
            returning id, next_attempt_at
         )
         update apalis.jobs set run_at = next_attempt_at
         from passed where convert_from(job, 'UTF8') = '\"' || passed.id || '\"'",
    )
    .bind(id)
    .bind(WINDOWS_S)
    .execute(pool)
    .await
    .unwrap();
}

#[derive(sqlx::FromRow)]
struct Progress {
    state: String,
    /// Nothing is scheduled.
    over: bool,
    /// Nothing has to be verified.
    new: bool,
    resolved: bool,
    attempts: i64,
}

async fn progress(pool: &PgPool, id: Uuid) -> Progress {
    sqlx::query_as(
        "select state, next_attempt_at is null as over, doubt_since is null as new,
            exists (
                select from audit where object = 'transaction:' || t.id and action = 'resolve'
            ) as resolved,
            (select count(*) from attempts where transaction_id = t.id) as attempts
         from transactions t where id = $1",
    )
    .bind(id)
    .fetch_one(pool)
    .await
    .unwrap()
}

/// Drives an unclaimed transaction to its end and returns its final state. A completed one must
/// have one entry, a failed or cancelled one none, and no POST may have been made without an
/// attempt.
pub async fn to_the_end(
    pool: &PgPool,
    executor: &Executor,
    ledger: &Ledger,
    id: Uuid,
    context: &str,
) -> State {
    for _ in 0..EXECUTIONS {
        invariants::check(pool, context).await;
        let progress = progress(pool, id).await;
        if progress.over {
            let state = progress.state.parse().unwrap();
            check_end(state, &progress, ledger, id, context);
            return state;
        }
        let_windows_pass(pool, id).await;
        let purpose = if progress.new { Purpose::Post } else { Purpose::Verify };
        executor.execute(id, purpose, ()).await.unwrap();
    }
    panic!("{context}: it reaches no end");
}

fn check_end(state: State, progress: &Progress, ledger: &Ledger, id: Uuid, context: &str) {
    let (entries, posts) = (ledger.entries(id), ledger.posts(id));
    assert!(posts as i64 <= progress.attempts, "{context}: {posts} POSTs");
    match state {
        // An operator has decided, or has to.
        _ if progress.resolved => assert!(entries <= 1, "{context}: {entries} entries"),
        State::InDoubt => assert!(entries <= 1, "{context}: {entries} entries"),
        State::Completed => assert_eq!(entries, 1, "{context}: entries"),
        State::Failed | State::Cancelled => assert_eq!(entries, 0, "{context}: entries"),
        other => panic!("{context}: it ends as {other}"),
    }
}
