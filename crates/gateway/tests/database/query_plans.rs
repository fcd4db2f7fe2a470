//! How many rows executions, fetches and monitors read, however many there are and however
//! PostgreSQL plans the statements.

use domain::{Actor, Finding, protocol::Step};
use gateway::{
    ExecutionResult, Filter, Purpose,
    database::{for_dispatch, for_execution},
};
use sqlx::PgPool;

use crate::support::{Scripted, database, executor, gateway, let_time_pass, stored};

const PENDING: i64 = 5_000;

/// The connections have planned while there was one transaction, and PostgreSQL has not analyzed
/// the table since: it does not know of the many that are pending now.
#[tokio::test]
async fn an_execution_reads_only_its_own_rows_however_many_transactions_are_pending() {
    let pool = database().await;
    sqlx::query("alter table transactions set (autovacuum_enabled = off)")
        .execute(&pool)
        .await
        .unwrap();
    // One connection, so that its counters are those of the previous execution.
    let options = pool.options().clone().min_connections(0).max_connections(1);
    let one = options.connect_lazy_with(pool.connect_options().as_ref().clone());
    let one = for_execution(&one, None);
    let service = Scripted::new();
    let (executor, _) = executor(&one, &service).await;
    let gateway = gateway(&pool);
    // On the sixth execution PostgreSQL may choose a generic plan.
    for _ in 0..8 {
        let id = stored(&gateway).await;
        service.answers_status(201);
        assert_eq!(
            executor.execute(id, Purpose::Post, ()).await.unwrap(),
            ExecutionResult::Took(Step::Complete)
        );
    }
    store_pending(&pool).await;

    let id = stored(&gateway).await;
    let before = rows_read(&one).await;
    service.answers_status(201);
    assert_eq!(
        executor.execute(id, Purpose::Post, ()).await.unwrap(),
        ExecutionResult::Took(Step::Complete)
    );
    let read = rows_read(&one).await - before;
    assert!(read < 100, "{read} rows");
}

#[tokio::test]
async fn a_fetch_reads_only_due_jobs_however_many_are_due_later() {
    let pool = database().await;
    sqlx::raw_sql(
        "insert into apalis.jobs (id, job_type, job, status, attempts, max_attempts, run_at, priority)
         select n::text, 'transactions', '', 'Pending', 0, 1, now() + n * interval '1 minute', 0
         from generate_series(1, 20000) n;
         insert into apalis.workers (id, worker_type, storage_name, last_seen)
         values ('worker', 'transactions', 'test', now())",
    )
    .execute(&pool)
    .await
    .unwrap();
    let gateway = gateway(&pool);
    stored(&gateway).await;
    let options = pool.options().clone().min_connections(0).max_connections(1);
    let one = options.connect_lazy_with(pool.connect_options().as_ref().clone());
    let one = for_dispatch(&one, None);
    let fetch = async || -> i64 {
        let text = "select count(*) from apalis.get_jobs('worker', 'transactions', 32)";
        sqlx::query_scalar(text).fetch_one(&one).await.unwrap()
    };
    assert_eq!(fetch().await, 1);
    let read = async || -> i64 {
        sqlx::query("select pg_stat_force_next_flush()").execute(&one).await.unwrap();
        let text = "select idx_blks_hit + idx_blks_read from pg_statio_user_indexes
            where indexrelname = 'idx_apalis_jobs_fetch_partial'";
        sqlx::query_scalar(text).fetch_one(&one).await.unwrap()
    };
    let before = read().await;
    assert_eq!(fetch().await, 0);
    let read = read().await - before;
    assert!((1..20).contains(&read), "{read} pages of the index");
}

#[tokio::test]
async fn monitors_read_few_rows_however_many_transactions_are_due_and_attempts_have_ended() {
    let pool = database().await;
    store_pending(&pool).await;
    sqlx::raw_sql(
        "insert into apalis.jobs (id, job_type, job, status, attempts, max_attempts, run_at, priority)
         select id, 'transactions', '', 'Pending', 0, 1, now(), 0 from transactions;
         insert into attempts (transaction_id, fence, ended_at, outcome)
         select id, 1, clock_timestamp(), 'posted' from transactions",
    )
    .execute(&pool)
    .await
    .unwrap();
    sqlx::query("vacuum analyze").execute(&pool).await.unwrap();
    let options = pool.options().clone().min_connections(0).max_connections(1);
    let one = options.connect_lazy_with(pool.connect_options().as_ref().clone());
    let gateway = gateway(&one);
    let doubtful = stored(&gateway).await;
    sqlx::query(
        "update transactions set doubt_since = now(), doubt_window = 'settle' where id = $1",
    )
    .bind(doubtful)
    .execute(&pool)
    .await
    .unwrap();
    gateway.retry_all(&Actor::anonymous(), Filter::default(), None).await.unwrap();

    let before = rows_read(&one).await;
    let statistics = gateway.statistics().await.unwrap();
    let jobs = [("transactions", PENDING as u64), ("verifications", 1), ("bulk_retries", 1)];
    assert_eq!(statistics.jobs, jobs);
    assert_eq!(statistics.due, PENDING as u64 + 1);
    assert_eq!(gateway.health().await.unwrap().queue_depth, Some(PENDING as u64 + 1));
    let read = rows_read(&one).await - before;
    assert!(read < 500, "{read} rows");
}

#[tokio::test]
async fn counting_what_waits_reads_no_more_with_more_that_waits() {
    let pool = database().await;
    sqlx::query(
        "insert into transactions (id, principal, amount, currency, fingerprint, next_attempt_at)
         select gen_random_uuid(), 'p', n, 'USD', sha256(n::text::bytea),
            now() + case when n <= 12000 then interval '-1 minute' else interval '1 hour' end
         from generate_series(1, 60000) n",
    )
    .execute(&pool)
    .await
    .unwrap();
    sqlx::query("vacuum analyze transactions").execute(&pool).await.unwrap();
    let options = pool.options().clone().min_connections(0).max_connections(1);
    let one = options.connect_lazy_with(pool.connect_options().as_ref().clone());
    let gateway = gateway(&one);
    let before = rows_read(&one).await;
    let statistics = gateway.statistics().await.unwrap();
    let read = rows_read(&one).await - before;
    assert_eq!((statistics.due, statistics.waiting), (10_000, 50_000));
    assert!(read < 21_000, "{read} rows");

    let over =
        "update transactions set state = 'cancelled', next_attempt_at = null, completed_at = now()
        where next_attempt_at < now() and amount > 100";
    sqlx::query(over).execute(&pool).await.unwrap();
    let statistics = gateway.statistics().await.unwrap();
    assert_eq!((statistics.due, statistics.waiting), (100, 48_000), "exact if either is small");
}

/// More than are counted, all of them old.
#[tokio::test]
async fn health_counts_old_transactions_by_an_index_and_only_up_to_a_limit() {
    let pool = database().await;
    sqlx::query(
        "insert into transactions (id, principal, amount, currency, fingerprint, submitted_at)
         select gen_random_uuid(), 'p', n, 'USD', sha256(n::text::bytea), now() - interval '1 day'
         from generate_series(1, 20000) n",
    )
    .execute(&pool)
    .await
    .unwrap();
    // Neither with statistics of the table nor without does it scan.
    for analyze in [false, true] {
        if analyze {
            sqlx::query("vacuum analyze").execute(&pool).await.unwrap();
        }
        let options = pool.options().clone().min_connections(0).max_connections(1);
        let one = options.connect_lazy_with(pool.connect_options().as_ref().clone());
        let gateway = gateway(&one);
        let before = rows_read(&one).await;
        for _ in 0..8 {
            let health = gateway.health().await.unwrap();
            let counts = health.unfinished_older_than.unwrap();
            assert_eq!(counts.iter().map(|it| it.count).collect::<Vec<_>>(), [1000; 3]);
        }
        let read = (rows_read(&one).await - before) / 8;
        assert!(read < 1500, "{read} rows each");
    }
}

/// A verification is recorded however many others there are, and PostgreSQL has planned when there were none.
#[tokio::test]
async fn a_repeated_verification_is_found_by_its_index_however_many_there_are() {
    let pool = database().await;
    let options = pool.options().clone().min_connections(0).max_connections(1);
    let one = options.connect_lazy_with(pool.connect_options().as_ref().clone());
    let one = for_execution(&one, None);
    let service = Scripted::new();
    let (executor, _) = executor(&one, &service).await;
    let gateway = gateway(&pool);
    let id = stored(&gateway).await;
    service.answers_status(500).shows(Finding::Failed);
    executor.execute(id, Purpose::Post, ()).await.unwrap();
    let verify = async || {
        let_time_pass(&pool, id, 0).await;
        service.shows(Finding::Failed);
        executor.execute(id, Purpose::Verify, ()).await.unwrap();
    };
    for _ in 0..8 {
        verify().await;
    }
    store_pending(&pool).await;
    sqlx::raw_sql(
        "insert into attempts (transaction_id, fence, ended_at, outcome)
         select id, 1, clock_timestamp(), 'unknown' from transactions where fence = 0;
         insert into verifications (transaction_id, fence, started_at, ended_at, finding)
         select transaction_id, fence, now(), now(), 'failed' from attempts, generate_series(1, 4)
         where outcome = 'unknown' and transaction_id <> (select id from transactions where fence > 0)",
    )
    .execute(&pool)
    .await
    .unwrap();
    let before = rows_read(&one).await;
    verify().await;
    let read = rows_read(&one).await - before;
    assert!(read < 100, "{read} rows");
    let verifications = gateway.attempts(id, 0, 10).await.unwrap().remove(0).verifications;
    assert_eq!(verifications.iter().map(|it| it.count).collect::<Vec<_>>(), [10]);
}

/// Stores many transactions that are due.
async fn store_pending(pool: &PgPool) {
    sqlx::query(
        "insert into transactions (id, principal, amount, currency, fingerprint)
         select gen_random_uuid(), 'p', n, 'USD', sha256(n::text::bytea) from generate_series(1, $1) n",
    )
    .bind(PENDING)
    .execute(pool)
    .await
    .unwrap();
}

/// Rows and index entries that this session has read so far.
async fn rows_read(pool: &PgPool) -> i64 {
    sqlx::query("select pg_stat_force_next_flush()").execute(pool).await.unwrap();
    sqlx::query_scalar(
        "select (select sum(seq_tup_read)::bigint from pg_stat_user_tables)
            + (select sum(idx_tup_read)::bigint from pg_stat_user_indexes)",
    )
    .fetch_one(pool)
    .await
    .unwrap()
}

#[tokio::test]
async fn a_fetch_from_a_long_backlog_reads_an_index() {
    let pool = database().await;
    sqlx::raw_sql(
        "insert into apalis.workers (id, worker_type, storage_name) values ('w', 'transactions', 'x');
         insert into apalis.jobs (job, id, job_type, run_at)
            select '', n, 'transactions', now() - n * interval '1 ms' from generate_series(1, 50000) n;
         analyze apalis.jobs;",
    )
    .execute(&pool)
    .await
    .unwrap();
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
