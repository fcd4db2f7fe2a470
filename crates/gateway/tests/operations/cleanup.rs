//! Emptying everything while others ask and write.

use sqlx::PgPool;
use tokio::task::yield_now;

use crate::support::{another, database, gateway, stored};

/// Whether somebody waits for a table.
async fn is_waited_for(pool: &PgPool, table: &str) -> bool {
    sqlx::query_scalar(
        "select exists (select from pg_locks where relation = $1::regclass and not granted)",
    )
    .bind(table)
    .fetch_one(pool)
    .await
    .unwrap()
}

#[tokio::test]
async fn a_cleanup_gives_way_to_whoever_asks_for_the_tables_in_another_order() {
    let pool = database().await;
    let (cleaning, asking) = (gateway(&pool), gateway(&another(&pool)));
    stored(&cleaning).await;
    // It reaches this table, and has locked others by then.
    let mut holding = pool.acquire().await.unwrap();
    let hold = "begin; lock table attempts in access share mode";
    sqlx::raw_sql(hold).execute(&mut *holding).await.unwrap();
    let cleanup = tokio::spawn(async move { cleaning.cleanup().await });
    while !is_waited_for(&pool, "attempts").await {
        yield_now().await;
    }
    let health = tokio::spawn(async move { asking.health().await.map(drop) });
    while !health.is_finished() && !is_waited_for(&pool, "transactions").await {
        yield_now().await;
    }
    sqlx::raw_sql("commit").execute(&mut *holding).await.unwrap();
    health.await.unwrap().unwrap();
    assert_eq!(cleanup.await.unwrap().unwrap(), 1);
}
