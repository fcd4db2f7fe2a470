//! The change feed: every change once it is committed, in its latest version; late if need be, and not without a
//! word.
#![allow(clippy::disallowed_methods)]

use std::{collections::HashSet, time::Duration};

use gateway::{Change, Gateway, Listener};
use sqlx::PgPool;
use uuid::Uuid;

use crate::support::{database, gateway, stored};

fn ids(change: &Change) -> impl Iterator<Item = Uuid> {
    change.transactions.iter().map(|transaction| transaction.transaction_id)
}

/// The next change; fails after a minute.
async fn next(listener: &mut Listener) -> Change {
    let next = tokio::time::timeout(Duration::from_secs(60), listener.next()).await;
    next.expect("no change for a minute").unwrap()
}

/// Everything that a listener receives until it has a transaction.
async fn receive(listener: &mut Listener, last: Uuid) -> (HashSet<Uuid>, Vec<(i64, i64)>) {
    let (mut received, mut gaps) = (HashSet::new(), Vec::new());
    while !received.contains(&last) {
        let change = next(listener).await;
        received.extend(ids(&change));
        gaps.extend(change.is_gap.then_some((change.from, change.position)));
    }
    (received, gaps)
}

async fn listen(gateway: &Gateway, position: Option<i64>) -> Listener {
    gateway.changes().listen(position).await.unwrap()
}

/// Stores transactions in so many commits of so many each, and returns the last.
async fn store(pool: &PgPool, commits: i32, transactions: i32) -> Uuid {
    let mut last = Uuid::nil();
    for _ in 0..commits {
        last = sqlx::query_scalar(
            "with stored as (
                insert into transactions (id, principal, amount, currency, fingerprint)
                select gen_random_uuid(), 'p', n, 'USD', sha256(n::text::bytea)
                from generate_series(1, $1) n
                returning id
            )
            select id from stored limit 1",
        )
        .bind(transactions)
        .fetch_one(pool)
        .await
        .unwrap();
    }
    last
}

/// Waits until no transaction, in any database of the server, holds the feed back.
async fn all_readable(pool: &PgPool) {
    let readable = "select pg_snapshot_xmin(pg_current_snapshot())::text::bigint > max(changed_in)
        from transactions";
    while !sqlx::query_scalar::<_, bool>(readable).fetch_one(pool).await.unwrap() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn all(pool: &PgPool) -> HashSet<Uuid> {
    let ids = sqlx::query_scalar("select id from transactions").fetch_all(pool).await.unwrap();
    ids.into_iter().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_feed_reports_every_change_in_its_latest_version() {
    let pool = database().await;
    let gateway = gateway(&pool);
    let mut listener = listen(&gateway, None).await;
    assert_eq!(next(&mut listener).await.counts.unwrap().pending, 0);
    // A change that commits after one with a higher number must not be missed.
    let mut slow = pool.begin().await.unwrap();
    let early = stored(&gateway).await;
    sqlx::query(
        "update transactions set error = 'slow', changed_in = current_change() where id = $1",
    )
    .bind(early)
    .execute(&mut *slow)
    .await
    .unwrap();
    let late = stored(&gateway).await;
    // Transactions in other databases of the server also hold the feed back for a moment.
    let (first, _) = receive(&mut listener, early).await;
    assert_eq!(first, HashSet::from([early]));
    slow.commit().await.unwrap();
    let mut versions = Vec::new();
    while !versions.iter().any(|(id, _)| *id == late) {
        let change = next(&mut listener).await;
        versions.extend(change.transactions.iter().map(|t| (t.transaction_id, t.error.clone())));
    }
    assert!(versions.contains(&(early, Some("slow".to_owned()))), "{versions:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_that_resumes_receives_everything_since_its_position() {
    let pool = database().await;
    let gateway = gateway(&pool);
    let before = store(&pool, 1, 3).await;
    let mut listener = listen(&gateway, Some(0)).await;
    receive(&mut listener, before).await;
    let position = next_position(&mut listener, &gateway).await;
    drop(listener);
    let known = all(&pool).await;
    // One statement may change more than a page has.
    store(&pool, 1, 700).await;
    let last = store(&pool, 30, 30).await;
    let mut listener = listen(&gateway, Some(position)).await;
    let (received, gaps) = receive(&mut listener, last).await;
    assert_eq!(received, &all(&pool).await - &known);
    assert_eq!(gaps, []);
}

/// A position behind everything that is stored.
async fn next_position(listener: &mut Listener, gateway: &Gateway) -> i64 {
    let marker = stored(gateway).await;
    loop {
        let change = next(listener).await;
        if ids(&change).any(|id| id == marker) {
            return change.position;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_that_is_too_slow_receives_everything_late() {
    let pool = database().await;
    let gateway = gateway(&pool);
    let mut slow = listen(&gateway, None).await;
    next(&mut slow).await;
    let mut fast = listen(&gateway, None).await;
    // Many more changes than are kept for slow listeners, one after the other.
    let mut last = Uuid::nil();
    for _ in 0..30 {
        last = store(&pool, 1, 250).await;
        receive(&mut fast, last).await;
    }
    let (received, gaps) = receive(&mut slow, last).await;
    assert_eq!(received, all(&pool).await);
    assert_eq!(gaps, []);
    // It has caught up, and receives what changes now.
    let new = stored(&gateway).await;
    receive(&mut slow, new).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_that_is_too_far_behind_receives_a_gap_and_all_later_changes() {
    let pool = database().await;
    let gateway = gateway(&pool);
    store(&pool, 60, 200).await;
    all_readable(&pool).await;
    let mut listener = listen(&gateway, Some(0)).await;
    let (mut received, mut position) = (0, 0);
    let gap = loop {
        let change = next(&mut listener).await;
        assert_eq!(change.from, position);
        position = change.position;
        received += change.transactions.len();
        if change.is_gap {
            break change;
        }
    };
    assert_eq!((received, gap.transactions.len()), (10_000, 0));
    assert_eq!(gap.counts.unwrap().pending, 60 * 200);
    let new = stored(&gateway).await;
    let (received, gaps) = receive(&mut listener, new).await;
    assert_eq!((received.contains(&new), gaps), (true, vec![]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_position_that_this_database_cannot_have_given_is_taken_as_the_beginning() {
    let pool = database().await;
    let gateway = gateway(&pool);
    let last = store(&pool, 3, 100).await;
    let mut listener = listen(&gateway, Some(i64::MAX)).await;
    let (received, _) = receive(&mut listener, last).await;
    assert_eq!(received, all(&pool).await);
}
