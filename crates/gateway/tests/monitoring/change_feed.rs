//! The change feed: every change once it is committed, in its latest version; late if need be, and not without a
//! word.
#![allow(clippy::disallowed_methods)]

use domain::Scope;
use std::{collections::HashSet, time::Duration};

use gateway::{Change, Gateway, Listener, Position};
use sqlx::{PgPool, Postgres, Transaction};
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
async fn receive(
    listener: &mut Listener,
    last: Uuid,
) -> (HashSet<Uuid>, Vec<(Position, Position)>) {
    let (mut received, mut gaps) = (HashSet::new(), Vec::new());
    while !received.contains(&last) {
        let change = next(listener).await;
        received.extend(ids(&change));
        gaps.extend(change.is_gap.then_some((change.from, change.position)));
    }
    (received, gaps)
}

async fn listen(gateway: &Gateway, position: Option<Position>) -> Listener {
    gateway.changes().listen(Scope::All, position).await.unwrap()
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
    let (received, _) = receive(&mut listener, late).await;
    assert_eq!(received, HashSet::from([early, late]));
    slow.commit().await.unwrap();
    let mut versions = Vec::new();
    while versions.is_empty() {
        let change = next(&mut listener).await;
        versions.extend(change.transactions.iter().map(|t| (t.transaction_id, t.error.clone())));
    }
    assert_eq!(versions, [(early, Some("slow".to_owned()))]);
}

/// Begins a database transaction that writes, and stays open.
async fn write_and_stay_open(
    pool: &PgPool,
    statement: &'static str,
) -> Transaction<'static, Postgres> {
    let mut open = pool.begin().await.unwrap();
    sqlx::raw_sql(statement).execute(&mut *open).await.unwrap();
    open
}

const STORE_ONE: &str = "insert into transactions (id, principal, amount, currency, fingerprint)
    values ('00000000-0000-0000-0000-000000000001', 'p', 1, 'USD', sha256(''))";

#[tokio::test(flavor = "multi_thread")]
async fn a_database_transaction_that_stays_open_holds_nothing_back_and_its_changes_are_not_lost() {
    let (pool, another) = (database().await, database().await);
    let gateway = gateway(&pool);
    let mut listener = listen(&gateway, None).await;
    let late = write_and_stay_open(&pool, STORE_ONE).await;
    let elsewhere = write_and_stay_open(&another, "select pg_current_xact_id()").await;
    // Also for one that begins to listen, or resumes, meanwhile.
    let first = stored(&gateway).await;
    receive(&mut listener, first).await;
    let position = next_position(&mut listener, &gateway).await;
    let mut resumed = listen(&gateway, Some(position.to_string().parse().unwrap())).await;
    let mut new = listen(&gateway, None).await;
    for number in 0..5 {
        let id = stored(&gateway).await;
        for listener in [&mut listener, &mut resumed, &mut new] {
            let (received, _) = receive(listener, id).await;
            assert_eq!(received, HashSet::from([id]), "{number}");
        }
    }
    late.commit().await.unwrap();
    let id = Uuid::from_u128(1);
    for listener in [&mut listener, &mut resumed, &mut new] {
        let (received, gaps) = receive(listener, id).await;
        assert_eq!((received, gaps), (HashSet::from([id]), vec![]));
    }
    elsewhere.rollback().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_that_was_away_while_a_database_transaction_ended_receives_its_changes() {
    let pool = database().await;
    let gateway = gateway(&pool);
    let mut listener = listen(&gateway, None).await;
    let late = write_and_stay_open(&pool, STORE_ONE).await;
    let position = next_position(&mut listener, &gateway).await;
    drop(listener);
    late.commit().await.unwrap();
    store(&pool, 5, 250).await;
    let mut listener = listen(&gateway, Some(position)).await;
    let (received, gaps) = receive(&mut listener, Uuid::from_u128(1)).await;
    assert_eq!((received.is_empty(), gaps), (false, vec![]));
}

/// What a reader that polls receives until it has caught up, and where it goes on.
async fn poll(gateway: &Gateway, since: Option<Position>) -> (Vec<Uuid>, Position) {
    let (mut received, mut since) = (Vec::new(), since);
    loop {
        let page = gateway.changes_since(&Scope::All, since).await.unwrap();
        received.extend(page.data.iter().map(|transaction| transaction.transaction_id));
        if !page.has_more {
            return (received, page.next_since);
        }
        since = Some(page.next_since);
    }
}

#[tokio::test]
async fn a_reader_that_polls_misses_nothing_that_commits_late() {
    let pool = database().await;
    let gateway = gateway(&pool);
    let early = stored(&gateway).await;
    let (received, since) = poll(&gateway, Some(Position::beginning())).await;
    assert_eq!(received, [early]);
    // By its time it is before the next; by its commit it is behind it.
    let late = write_and_stay_open(&pool, STORE_ONE).await;
    let next = stored(&gateway).await;
    let (received, since) = poll(&gateway, Some(since)).await;
    assert_eq!(received, [next]);
    assert_eq!(poll(&gateway, Some(since.clone())).await.0, Vec::<Uuid>::new());
    late.commit().await.unwrap();
    let (received, since) = poll(&gateway, Some(since)).await;
    assert_eq!(received, [Uuid::from_u128(1)]);
    // However much there is.
    store(&pool, 70, 200).await;
    let (received, since) = poll(&gateway, Some(since)).await;
    assert_eq!((received.len(), received.iter().collect::<HashSet<_>>().len()), (14_000, 14_000));
    assert_eq!(poll(&gateway, Some(since)).await.0, Vec::<Uuid>::new());
    // Without a position it learns where it is, and receives what comes after.
    let (received, now) = poll(&gateway, None).await;
    assert_eq!(received, Vec::<Uuid>::new());
    let new = stored(&gateway).await;
    assert_eq!(poll(&gateway, Some(now)).await.0, [new]);
    // A position that this database cannot have given is taken as the beginning.
    let (received, _) = poll(&gateway, Some(i64::MAX.to_string().parse().unwrap())).await;
    assert_eq!(received.into_iter().collect::<HashSet<_>>(), all(&pool).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_position_of_an_earlier_version_is_resumed() {
    let pool = database().await;
    let gateway = gateway(&pool);
    store(&pool, 1, 3).await;
    let known = all(&pool).await;
    let number: i64 =
        sqlx::query_scalar("select pg_snapshot_xmax(pg_current_snapshot())::text::bigint")
            .fetch_one(&pool)
            .await
            .unwrap();
    let last = store(&pool, 2, 3).await;
    let mut listener = listen(&gateway, Some(number.to_string().parse().unwrap())).await;
    let (received, _) = receive(&mut listener, last).await;
    assert!(received.is_disjoint(&known), "{received:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_that_resumes_receives_everything_since_its_position() {
    let pool = database().await;
    let gateway = gateway(&pool);
    let before = store(&pool, 1, 3).await;
    let mut listener = listen(&gateway, Some(Position::beginning())).await;
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
async fn next_position(listener: &mut Listener, gateway: &Gateway) -> Position {
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
    let mut listener = listen(&gateway, Some(Position::beginning())).await;
    let (mut received, mut position) = (0, Position::beginning());
    let gap = loop {
        let change = next(&mut listener).await;
        assert_eq!(change.from, position);
        position = change.position.clone();
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
    let mut listener = listen(&gateway, Some(i64::MAX.to_string().parse().unwrap())).await;
    let (received, _) = receive(&mut listener, last).await;
    assert_eq!(received, all(&pool).await);
}
