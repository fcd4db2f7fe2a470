//! What health says about transactions that do not come to an end, and about verifications that fail.

use gateway::{Gateway, Health, OlderThan, Status};
use sqlx::PgPool;
use uuid::Uuid;

use crate::support::{database, gateway, stored};

async fn submitted_ago(pool: &PgPool, id: Uuid, seconds: f64) {
    sqlx::query(
        "update transactions set submitted_at = now() - make_interval(secs => $2) where id = $1",
    )
    .bind(id)
    .bind(seconds)
    .execute(pool)
    .await
    .unwrap();
}

/// A worker that reports so many verifications, and so many that failed.
async fn worker(pool: &PgPool, verifications: i64, failed: i64) {
    sqlx::query(
        "insert into workers (id, expires_at, verifications_ended, verifications_failed)
         values ($1, now() + interval '1 hour', $2, $3)",
    )
    .bind(Uuid::now_v7())
    .bind(verifications)
    .bind(failed)
    .execute(pool)
    .await
    .unwrap();
}

async fn health(gateway: &Gateway) -> Health {
    gateway.health().await.unwrap()
}

fn counts(health: &Health) -> Vec<u64> {
    let limits = health.unfinished_older_than.as_ref().unwrap();
    assert_eq!(limits.iter().map(|limit| limit.seconds).collect::<Vec<_>>(), [60, 300, 3600]);
    limits.iter().map(|OlderThan { count, .. }| *count).collect()
}

#[tokio::test]
async fn health_shows_how_old_the_transactions_are_that_are_not_final() {
    let pool = database().await;
    let gateway = gateway(&pool);
    worker(&pool, 0, 0).await;
    let none = health(&gateway).await;
    assert_eq!((none.oldest_unfinished_seconds, counts(&none)), (Some(0.0), vec![0, 0, 0]));

    let ids = [stored(&gateway).await, stored(&gateway).await, stored(&gateway).await];
    submitted_ago(&pool, ids[0], 5000.0).await;
    submitted_ago(&pool, ids[1], 280.0).await;
    // One that is retried is never due for long; it is old all the same.
    sqlx::query("update transactions set next_attempt_at = now() + interval '1 minute'")
        .execute(&pool)
        .await
        .unwrap();
    let old = health(&gateway).await;
    let oldest = old.oldest_unfinished_seconds.unwrap();
    assert!((5000.0..5100.0).contains(&oldest), "{oldest}");
    assert_eq!((counts(&old), old.oldest_pending_seconds), (vec![2, 1, 1], Some(0.0)));
    assert_eq!((old.status, old.reasons.len()), (Status::Degraded, 1));
    assert!(old.reasons[0].contains("is not final"), "{:?}", old.reasons);
    let statistics = gateway.statistics().await.unwrap();
    assert_eq!(Some(statistics.unfinished.older_than), old.unfinished_older_than);

    // In whatever state it is.
    for (state, counted) in [("in_doubt", true), ("processing", true), ("completed", false)] {
        sqlx::query(
            "update transactions set state = $2,
                completed_at = case when $2 = 'completed' then now() end,
                claimed_by = case when $2 = 'processing' then id end,
                next_attempt_at = case when $2 = 'in_doubt' then now() + interval '1 minute' end
             where id = $1",
        )
        .bind(ids[0])
        .bind(state)
        .execute(&pool)
        .await
        .unwrap();
        let health = health(&gateway).await;
        assert_eq!(counts(&health)[2], u64::from(counted), "{state}");
        assert_eq!(health.oldest_unfinished_seconds.unwrap() > 5000.0, counted, "{state}");
    }
    assert_eq!(health(&gateway).await.status, Status::Healthy);
}

#[tokio::test]
async fn health_is_degraded_while_most_verifications_of_all_workers_fail() {
    let pool = database().await;
    let gateway = gateway(&pool);
    worker(&pool, 10, 1).await;
    worker(&pool, 10, 9).await;
    let half = health(&gateway).await;
    assert_eq!((half.status, half.verification_failure_rate), (Status::Healthy, Some(0.5)));
    worker(&pool, 20, 20).await;
    let most = health(&gateway).await;
    assert_eq!((most.status, most.verification_failure_rate), (Status::Degraded, Some(0.75)));
    assert_eq!(most.reasons, ["75 % of the verifications of the last minute failed"]);
}
