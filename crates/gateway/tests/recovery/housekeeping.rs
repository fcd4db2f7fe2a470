//! What keeps the tables small, and what keeps working while they are not.

use gateway::{Purpose, housekeeping::sweep};
use sqlx::PgPool;

use crate::support::{self, database, gateway, stored};

async fn run(pool: &PgPool, statements: &'static str) {
    sqlx::raw_sql(statements).execute(pool).await.unwrap();
}

async fn names(pool: &PgPool, query: &'static str) -> Vec<String> {
    sqlx::query_scalar(query).fetch_all(pool).await.unwrap()
}

#[tokio::test]
async fn a_sweep_removes_what_has_been_over_for_an_hour_and_nothing_else() {
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
            ('', 'done', 'x', 'Done', now() - interval '3 hours', null, now() - interval '2 hours'),
            ('', 'just done', 'x', 'Done', now() - interval '3 hours', null, now()),
            ('', 'killed', 'x', 'Killed', now() - interval '3 hours', null, null),
            ('', 'locked', 'x', 'Queued', now() - interval '3 hours', 'gone but locking', null);",
    )
    .await;
    for _ in 0..2 {
        sweep(&pool).await.unwrap();
        assert_eq!(
            names(&pool, "select id::text from workers").await,
            ["00000000-0000-0000-0000-000000000002"]
        );
        let workers = names(&pool, "select id from apalis.workers order by id").await;
        assert_eq!(workers, ["gone but locking", "live"]);
        let others = "select id from apalis.jobs where job_type = 'x' order by id";
        assert_eq!(names(&pool, others).await, ["just done", "locked"]);
    }
    assert_eq!(support::jobs(&pool, waiting).await, 1);
}

#[tokio::test]
async fn what_has_been_due_for_long_and_has_no_job_is_given_one_in_the_right_queue() {
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
        sweep(&pool).await.unwrap();
        let jobs = [posted, verified, fresh].map(|id| support::jobs(&pool, id));
        assert_eq!(futures::future::join_all(jobs).await, [1, 1, 0]);
    }
    assert_eq!(support::purpose(&pool, posted).await, Purpose::Post);
    assert_eq!(support::purpose(&pool, verified).await, Purpose::Verify);
}

#[tokio::test]
async fn the_fetch_from_a_long_backlog_reads_an_index() {
    let pool = database().await;
    run(
        &pool,
        "insert into apalis.workers (id, worker_type, storage_name) values ('w', 'transactions', 'x');
         insert into apalis.jobs (job, id, job_type, run_at)
            select '', n, 'transactions', now() - n * interval '1 ms' from generate_series(1, 50000) n;
         analyze apalis.jobs;",
    )
    .await;
    let mut connection = pool.acquire().await.unwrap();
    let mut read = Vec::new();
    for _ in 0..2 {
        let fetched: i64 =
            sqlx::query_scalar("select count(*) from apalis.get_jobs('w', 'transactions', 16)")
                .fetch_one(&mut *connection)
                .await
                .unwrap();
        assert_eq!(fetched, 16);
        sqlx::query("select pg_stat_force_next_flush()").execute(&mut *connection).await.unwrap();
        let rows: i64 = sqlx::query_scalar(
            "select seq_tup_read from pg_stat_user_tables where schemaname = 'apalis' and relname = 'jobs'",
        )
        .fetch_one(&mut *connection)
        .await
        .unwrap();
        read.push(rows);
    }
    assert_eq!(read[0], read[1], "the fetch has read the table from end to end");
}
