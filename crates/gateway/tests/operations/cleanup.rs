//! A cleanup while other sessions read and write.

use domain::{Actor, Intervention, State};
use sqlx::PgPool;
use tokio::task::yield_now;

use crate::support::{another, database, gateway, jobs, stored};

/// Whether a session waits for a lock on a table.
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
async fn a_cleanup_yields_to_a_query_that_locks_the_tables_in_another_order() {
    let pool = database().await;
    let (cleaning, asking) = (gateway(&pool), gateway(&another(&pool)));
    stored(&cleaning).await;
    // The cleanup comes to this table after it has locked others.
    let mut holding = pool.acquire().await.unwrap();
    let hold = "begin; lock table attempts in access share mode";
    sqlx::raw_sql(hold).execute(&mut *holding).await.unwrap();
    let cleanup = tokio::spawn(async move { cleaning.cleanup(&Actor::anonymous()).await });
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

#[tokio::test]
async fn a_cleanup_leaves_nothing_but_the_audit() {
    let pool = database().await;
    let (gateway, actor) = (gateway(&pool), Actor::anonymous());
    let id = stored(&gateway).await;
    let reason = Some("submitted twice");
    let cancelled = gateway.intervene(&actor, id, Intervention::Cancel, reason).await.unwrap();
    assert_eq!(cancelled.status, State::Cancelled);
    assert_eq!(gateway.cleanup(&actor).await.unwrap(), 1);
    let rows: i64 =
        sqlx::query_scalar("select count(*) from transactions").fetch_one(&pool).await.unwrap();
    assert_eq!((rows, jobs(&pool, id).await), (0, 0));
    let audit: Vec<(String, String, String)> = sqlx::query_as(
        "select action, object, coalesce(reason, before::text) from audit order by id",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    let expected = [
        ("cancel", format!("transaction:{id}"), "submitted twice"),
        ("cleanup", "transactions".to_owned(), "{\"transactions\" : 1}"),
    ];
    assert_eq!(audit, expected.map(|(a, b, c)| (a.to_owned(), b, c.to_owned())));
}
