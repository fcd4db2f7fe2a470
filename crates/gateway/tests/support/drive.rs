//! The rest of a transaction's way: what was claimed is taken back, time passes, and turns are taken
//! until it comes to its end, which is looked at.
#![allow(dead_code)]

use domain::{Principal, State, Submission};
use gateway::{Gateway, Poster, Purpose};
use serde_json::json;
use sqlx::PgPool;
use uuid::Uuid;

use crate::{invariants, posting_service::Ledger};

/// Longer than every window.
const SECONDS: i32 = 100_000;
/// More than any way takes.
const TURNS: usize = 20;

/// Stores a plain transaction and gives its id. On a machine that is busy the engine may not be able to
/// confirm it in time, and asks to be sent it again.
pub async fn stored(gateway: &Gateway) -> Uuid {
    let id = Uuid::now_v7();
    let submission =
        Submission::from_json(&json!({"id": id, "amount": "100.50", "currency": "USD"})).unwrap();
    for _ in 0..TURNS {
        match gateway.submit(&Principal::anonymous(), submission.clone()).await {
            Ok(_) => return id,
            Err(error) => assert!(error.retryable(), "{error:?}"),
        }
    }
    panic!("a transaction is not confirmed");
}

/// The lease of this run has run out.
pub async fn expire(pool: &PgPool, run: Uuid) {
    sqlx::query("update workers set expires_at = now() - interval '1 second' where id = $1")
        .bind(run)
        .execute(pool)
        .await
        .unwrap();
}

/// All windows pass, and what waits is due, with its job.
pub async fn let_pass(pool: &PgPool, id: Uuid) {
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
    .bind(SECONDS)
    .execute(pool)
    .await
    .unwrap();
}

#[derive(sqlx::FromRow)]
struct Standing {
    state: String,
    /// Nothing is to come.
    over: bool,
    /// Nothing is to be verified.
    new: bool,
    resolved: bool,
    attempts: i64,
}

async fn standing(pool: &PgPool, id: Uuid) -> Standing {
    sqlx::query_as(
        "select state, next_attempt_at is null as over, doubt_since is null as new,
            exists (
                select from interventions where transaction_id = t.id and action = 'resolve'
            ) as resolved,
            (select count(*) from attempts where transaction_id = t.id) as attempts
         from transactions t where id = $1",
    )
    .bind(id)
    .fetch_one(pool)
    .await
    .unwrap()
}

/// Takes a transaction that nobody has claimed to its end, and gives that. What is posted then is
/// entered once; what failed or was cancelled, not at all; and no POST was made without an attempt.
pub async fn to_its_end(
    pool: &PgPool,
    poster: &Poster,
    ledger: &Ledger,
    id: Uuid,
    context: &str,
) -> State {
    for _ in 0..TURNS {
        invariants::check(pool, context).await;
        let standing = standing(pool, id).await;
        if standing.over {
            let state = standing.state.parse().unwrap();
            judge(state, &standing, ledger, id, context);
            return state;
        }
        let_pass(pool, id).await;
        let purpose = if standing.new { Purpose::Post } else { Purpose::Verify };
        poster.process(id, purpose, ()).await.unwrap();
    }
    panic!("{context}: it comes to no end");
}

fn judge(state: State, standing: &Standing, ledger: &Ledger, id: Uuid, context: &str) {
    let (entries, posts) = (ledger.entries(id), ledger.posts(id));
    assert!(posts as i64 <= standing.attempts, "{context}: {posts} POSTs");
    match state {
        // What a person said, or is left to say.
        _ if standing.resolved => assert!(entries <= 1, "{context}: {entries} entries"),
        State::InDoubt => assert!(entries <= 1, "{context}: {entries} entries"),
        State::Completed => assert_eq!(entries, 1, "{context}: entries"),
        State::Failed | State::Cancelled => assert_eq!(entries, 0, "{context}: entries"),
        other => panic!("{context}: it ends {other}"),
    }
}
