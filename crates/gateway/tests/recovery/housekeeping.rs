//! What keeps the tables small, and repairs a lost job.

use gateway::{Purpose, housekeeping::clean_up};
use sqlx::PgPool;

use crate::support::{self, database, gateway, stored};

async fn run(pool: &PgPool, statements: &'static str) {
    sqlx::raw_sql(statements).execute(pool).await.unwrap();
}

async fn names(pool: &PgPool, query: &'static str) -> Vec<String> {
    sqlx::query_scalar(query).fetch_all(pool).await.unwrap()
}

#[tokio::test]
async fn a_housekeeping_pass_removes_what_ended_an_hour_ago_and_nothing_else() {
    let pool = database().await;
    let waiting = stored(&gateway(&pool)).await;
    run(
        &pool,
        "insert into workers (id, expires_at) values
            ('00000000-0000-0000-0000-000000000001', now() - interval '2 hours'),
            ('00000000-0000-0000-0000-000000000002', now() - interval '2 minutes');
         insert into apalis.workers (id, worker_type, storage_name, last_seen) values
            ('gone', 'transactions', 'x', now() - interval '2 hours'),
            ('gone but locking', 'transactions', 'x', now() - interval '2 hours'),
            ('live', 'transactions', 'x', now());
         insert into apalis.jobs (job, id, job_type, status, run_at, lock_by, done_at) values
            ('', 'done', 'transactions', 'Done', now() - interval '3 hours', null, now() - interval '2 hours'),
            ('', 'just done', 'transactions', 'Done', now() - interval '3 hours', null, now()),
            ('', 'killed', 'bulk_retries', 'Killed', now() - interval '3 hours', null, null),
            ('', 'locked', 'transactions', 'Queued', now() - interval '3 hours', 'gone but locking', null);",
    )
    .await;
    for _ in 0..2 {
        clean_up(&pool).await.unwrap();
        assert_eq!(
            names(&pool, "select id::text from workers").await,
            ["00000000-0000-0000-0000-000000000002"]
        );
        let workers = names(&pool, "select id from apalis.workers order by id").await;
        assert_eq!(workers, ["gone but locking", "live"]);
        let others = "select id from apalis.jobs where job = '' order by id";
        assert_eq!(names(&pool, others).await, ["just done", "locked"]);
    }
    assert_eq!(support::jobs(&pool, waiting).await, 1);
}

#[tokio::test]
async fn a_transaction_long_overdue_without_a_job_gets_one_in_the_right_queue() {
    let pool = database().await;
    let gateway = gateway(&pool);
    let (posted, verified, fresh) =
        (stored(&gateway).await, stored(&gateway).await, stored(&gateway).await);
    for id in [posted, verified] {
        sqlx::query(
            "update transactions set next_attempt_at = now() - interval '1 minute' where id = $1",
        )
        .bind(id)
        .execute(&pool)
        .await
        .unwrap();
    }
    sqlx::query(
        "update transactions set doubt_since = now(), doubt_window = 'settle' where id = $1",
    )
    .bind(verified)
    .execute(&pool)
    .await
    .unwrap();
    run(&pool, "delete from apalis.jobs").await;
    for _ in 0..2 {
        clean_up(&pool).await.unwrap();
        let jobs = [posted, verified, fresh].map(|id| support::jobs(&pool, id));
        assert_eq!(futures::future::join_all(jobs).await, [1, 1, 0]);
    }
    assert_eq!(support::purpose(&pool, posted).await, Purpose::Post);
    assert_eq!(support::purpose(&pool, verified).await, Purpose::Verify);
}
