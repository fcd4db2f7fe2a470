//! Exports all transactions that pass a filter while others are written.

use std::{collections::HashSet, pin::pin};

use domain::{Scope, State};
use futures::TryStreamExt;
use gateway::{EngineError, Filter, MAX_PAGE};
use sqlx::PgPool;

use crate::support::{another, database, gateway, stored};

/// Stores `count` transactions, several at each instant.
async fn store(pool: &PgPool, count: u32) {
    sqlx::query(
        "insert into transactions (id, principal, amount, currency, fingerprint, submitted_at)
         select gen_random_uuid(), 'anonymous', n, 'USD', sha256(''),
            now() - n / 7 * interval '1 millisecond'
         from generate_series(1, $1) as n",
    )
    .bind(i32::try_from(count).unwrap())
    .execute(pool)
    .await
    .unwrap();
}

#[tokio::test]
async fn a_transaction_that_changes_during_an_export_comes_once_as_of_its_page() {
    let pool = database().await;
    let (gateway, others) = (gateway(&pool), another(&pool));
    store(&pool, 3 * MAX_PAGE).await;
    let mut pages = pin!(gateway.export(Scope::All, Filter::default()));
    let first = pages.try_next().await.unwrap().unwrap().data;
    assert!(first.iter().all(|transaction| transaction.status == State::Pending));

    // All rows are updated, so that each has moved within the table, and a new one is added.
    sqlx::query(
        "update transactions
         set state = 'cancelled', completed_at = now(), next_attempt_at = null",
    )
    .execute(&others)
    .await
    .unwrap();
    let new = stored(&gateway).await;
    let open: i64 = sqlx::query_scalar(
        "select count(*) from pg_stat_activity
         where datname = current_database() and state like 'idle in transaction%'",
    )
    .fetch_one(&others)
    .await
    .unwrap();
    assert_eq!(open, 0, "a database transaction is open between pages");

    let rest: Vec<_> = pages
        .try_collect::<Vec<_>>()
        .await
        .unwrap()
        .into_iter()
        .flat_map(|page| page.data)
        .collect();
    assert!(rest.iter().all(|transaction| transaction.status == State::Cancelled));
    let ids: HashSet<_> =
        first.iter().chain(&rest).map(|transaction| transaction.transaction_id).collect();
    assert_eq!(first.len() + rest.len(), 3 * MAX_PAGE as usize);
    assert_eq!(ids.len(), 3 * MAX_PAGE as usize);
    assert!(!ids.contains(&new));
}

#[tokio::test]
async fn an_export_ends_after_its_last_page_however_full_that_is() {
    let pool = database().await;
    let gateway = gateway(&pool);
    for (count, expected) in [(0, vec![0]), (MAX_PAGE, vec![MAX_PAGE]), (1, vec![MAX_PAGE, 1])] {
        store(&pool, count).await;
        let pages: Vec<_> =
            gateway.export(Scope::All, Filter::default()).try_collect().await.unwrap();
        let lengths: Vec<_> = pages.iter().map(|page| page.data.len() as u32).collect();
        assert_eq!(lengths, expected);
    }
}

#[tokio::test]
async fn an_error_is_returned_and_ends_the_export() {
    let pool = database().await;
    let gateway = gateway(&pool);
    store(&pool, 3 * MAX_PAGE).await;
    let mut pages = pin!(gateway.export(Scope::All, Filter::default()));
    assert!(pages.try_next().await.unwrap().is_some());
    sqlx::query("alter table transactions rename to gone").execute(&pool).await.unwrap();
    assert!(matches!(pages.try_next().await, Err(EngineError::Database(_))));
    assert!(pages.try_next().await.unwrap().is_none());
}
