//! The attempts of a transaction, page by page.

use sqlx::PgPool;
use uuid::Uuid;

use crate::support::{database, gateway, stored};

/// A transaction with so many attempts.
async fn attempts(pool: &PgPool, id: Uuid, count: i64) {
    sqlx::query(
        "insert into attempts (transaction_id, fence, ended_at, outcome)
         select $1, 3 * n, clock_timestamp(), 'not_sent' from generate_series(1, $2) n",
    )
    .bind(id)
    .bind(count)
    .execute(pool)
    .await
    .unwrap();
}

#[tokio::test]
async fn pages_contain_every_attempt_once_with_its_number_and_end() {
    let pool = database().await;
    let gateway = gateway(&pool);
    let (id, other) = (stored(&gateway).await, stored(&gateway).await);
    attempts(&pool, id, 25).await;
    attempts(&pool, other, 3).await;
    let mut numbers = Vec::new();
    loop {
        let page = gateway.attempts(id, numbers.len() as u32, 10).await.unwrap();
        if page.is_empty() {
            break;
        }
        assert!(page.len() <= 10);
        numbers.extend(page.iter().map(|attempt| attempt.number));
    }
    assert_eq!(numbers, (1..=25).collect::<Vec<_>>());
    let latest = gateway.latest_attempts(id, 10).await.unwrap();
    let latest: Vec<_> = latest.iter().map(|attempt| attempt.number).collect();
    assert_eq!(latest, (16..=25).collect::<Vec<_>>());
    assert_eq!(gateway.latest_attempts(other, 10).await.unwrap()[0].number, 1);
}

/// As many as a version before left behind, one row each.
#[tokio::test]
async fn an_attempt_shows_its_latest_verifications_and_how_many_there_were() {
    let pool = database().await;
    let gateway = gateway(&pool);
    let id = stored(&gateway).await;
    attempts(&pool, id, 2).await;
    sqlx::query(
        "insert into verifications (transaction_id, fence, started_at, ended_at, finding, error)
         select $1, 3, now() + n * interval '1 s', now() + n * interval '1 s', 'failed', n::text
         from generate_series(1, 2000) n",
    )
    .bind(id)
    .execute(&pool)
    .await
    .unwrap();
    let shown = gateway.attempts(id, 0, 100).await.unwrap();
    let [first, second] = shown.as_slice() else { panic!("{} attempts", shown.len()) };
    assert_eq!((first.verification_count, second.verification_count), (2000, 0));
    let errors: Vec<_> = first.verifications.iter().flat_map(|it| it.error.clone()).collect();
    assert_eq!(errors, (1951..=2000).map(|n| n.to_string()).collect::<Vec<_>>());
    assert!(first.verifications.iter().all(|it| it.count == 1));
    assert_eq!(first.verifications[0].first_started_at, first.verifications[0].started_at);
}
