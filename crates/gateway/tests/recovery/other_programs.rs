//! Another program uses apalis in the same database: its jobs and workers are left alone.

use std::time::Duration;

use gateway::{WakeUps, Worker, WorkerSettings, housekeeping::clean_up};
use sqlx::{PgPool, postgres::PgListener};
use tokio_util::sync::CancellationToken;

use crate::support::{LIMITS, POLICY, Scripted, another, database, gateway, stored};

/// A job of the other program in each state, and a worker that holds one and another that is long gone.
const THEIRS: &str = "
    insert into apalis.workers (id, worker_type, storage_name, last_seen) values
        ('busy', 'mails', 'x', now() + interval '1 hour'), ('gone', 'mails', 'x', now() - interval '2 hours');
    insert into apalis.jobs (job, id, job_type, status, run_at, lock_by, done_at, attempts, priority)
    select '', status, 'mails', status, now() - interval '3 hours',
        case when status in ('Queued', 'Running') then 'busy' end,
        case when status in ('Done', 'Killed', 'Failed') then now() - interval '2 hours' end, 25, 0
    from unnest(array['Done', 'Killed', 'Failed', 'Queued', 'Running', 'Pending']) as status";

async fn theirs(pool: &PgPool) -> Vec<String> {
    let all = "select jobs::text from apalis.jobs where job_type = 'mails'
        union all select workers::text from apalis.workers where worker_type = 'mails' order by 1";
    sqlx::query_scalar(all).fetch_all(pool).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn housekeeping_a_worker_and_a_cleanup_leave_the_jobs_of_another_program_alone() {
    let pool = database().await;
    let gateway = gateway(&pool);
    sqlx::raw_sql(THEIRS).execute(&pool).await.unwrap();
    let before = theirs(&pool).await;
    assert_eq!(before.len(), 8);
    clean_up(&pool).await.unwrap();
    assert_eq!(theirs(&pool).await, before);

    // A job that a dead worker of ours has fetched shows when this worker has looked around.
    stored(&gateway).await;
    sqlx::raw_sql(
        "insert into apalis.workers (id, worker_type, storage_name) values ('dead', 'transactions', 'Onceward');
         insert into posting_pause (paused_by) values ('p');
         update apalis.jobs set status = 'Queued', lock_by = 'dead' where job_type = 'transactions'",
    )
    .execute(&pool)
    .await
    .unwrap();
    let stop = CancellationToken::new();
    let worker = Worker {
        pool: another(&pool),
        heartbeat_pool: another(&pool),
        apalis_pool: another(&pool),
        posting: Scripted::new(),
        settings: WorkerSettings { policy: POLICY, limits: LIMITS, grace: Duration::from_secs(1) },
        wake_ups: WakeUps::default(),
    };
    let running = tokio::spawn(worker.run(stop.clone()));
    let released = "select not exists (select from apalis.jobs where lock_by = 'dead')";
    while !sqlx::query_scalar::<_, bool>(released).fetch_one(&pool).await.unwrap() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    stop.cancel();
    running.await.unwrap();
    assert_eq!(theirs(&pool).await, before);

    gateway.cleanup(&domain::Actor::anonymous()).await.unwrap();
    assert_eq!(theirs(&pool).await, before);
    let jobs: i64 =
        sqlx::query_scalar("select count(*) from apalis.jobs").fetch_one(&pool).await.unwrap();
    assert_eq!(jobs, 6);
}

#[tokio::test]
async fn the_jobs_of_another_program_are_fetched_by_their_priority_and_announced() {
    let pool = database().await;
    let mut listener = PgListener::connect_with(&pool).await.unwrap();
    listener.listen("apalis::job::insert").await.unwrap();
    stored(&gateway(&pool)).await;
    sqlx::raw_sql(
        "insert into apalis.workers (id, worker_type, storage_name) values ('w', 'mails', 'x');
         insert into apalis.jobs (job, id, job_type, run_at, priority) values
            ('', 'late', 'mails', now() - interval '1 minute', 0),
            ('', 'early', 'mails', now() - interval '2 minutes', 0),
            ('', 'urgent', 'mails', now() - interval '1 second', 9),
            ('', 'not yet', 'mails', now() + interval '1 hour', 9)",
    )
    .execute(&pool)
    .await
    .unwrap();
    for id in ["late", "early", "urgent"] {
        let announced = listener.recv().await.unwrap();
        assert!(announced.payload().contains(id), "{}", announced.payload());
    }
    let fetch = "select id from apalis.get_jobs('w', 'mails', $1)";
    for (count, expected) in [(1, vec!["urgent"]), (5, vec!["early", "late"]), (5, vec![])] {
        let mut ids: Vec<String> =
            sqlx::query_scalar(fetch).bind(count).fetch_all(&pool).await.unwrap();
        ids.sort();
        assert_eq!(ids, expected);
    }
}
