//! The change feed: every change once it is committed, in its latest version.
#![allow(clippy::disallowed_methods)]

use crate::support::{database, gateway, stored};

#[tokio::test(flavor = "multi_thread")]
async fn the_feed_reports_every_change_in_its_latest_version() {
    let pool = database().await;
    let gateway = gateway(&pool);
    let position = gateway.changes().since(None).await.unwrap().position;
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
    let ids = |change: &gateway::Change| -> Vec<_> {
        change.transactions.iter().map(|transaction| transaction.transaction_id).collect()
    };
    // Transactions in other databases of the server also hold the feed back for a moment.
    let mut first = gateway.changes().since(Some(position)).await.unwrap();
    while ids(&first).is_empty() {
        first = gateway.changes().since(Some(first.position)).await.unwrap();
    }
    slow.commit().await.unwrap();
    let mut second = gateway.changes().since(Some(first.position)).await.unwrap();
    while !ids(&second).contains(&late) {
        second = gateway.changes().since(Some(first.position)).await.unwrap();
    }
    assert_eq!(ids(&first), [early]);
    assert!(ids(&second).contains(&early));
    assert_eq!(second.counts.unwrap().pending, 2);
}
