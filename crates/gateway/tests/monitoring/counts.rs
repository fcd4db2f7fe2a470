//! The counts equal those of the table in every snapshot, whatever is written and compacted
//! meanwhile.

use domain::Scope;
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use gateway::housekeeping::clean_up;
use sqlx::PgPool;

use crate::support::{another, database, gateway, stored};

/// The differences between the counts and the table, in one snapshot.
async fn differences(pool: &PgPool) -> Vec<String> {
    sqlx::query_scalar(
        "select state || ' ' || tried || ' ' || sum(added) from (
            select state, fence > 0, queue_of(next_attempt_at, doubt_since), 1 as added from transactions
            union all select state, tried, queue, -added from transaction_counts
         ) counted (state, tried, queue, added)
         group by state, tried, queue having sum(added) <> 0",
    )
    .fetch_all(pool)
    .await
    .unwrap()
}

async fn deltas(pool: &PgPool) -> i64 {
    let deltas = sqlx::query_scalar("select count(*) from transaction_counts");
    deltas.fetch_one(pool).await.unwrap()
}

/// One of the ways in which rows are added, changed and removed, some of them rolled back.
fn write(step: usize) -> &'static str {
    [
        "insert into transactions (id, principal, amount, currency, fingerprint)
         select gen_random_uuid(), 'anonymous', 1, 'EUR', sha256('') from generate_series(1, 7)",
        "update transactions set state = 'processing', fence = fence + 1, next_attempt_at = null,
            claimed_by = '00000000-0000-0000-0000-000000000001'
         where id in (
            select id from transactions where state = 'pending'
            order by random() limit 4 for update skip locked
         )",
        "update transactions set state = 'completed', claimed_by = null, completed_at = now()
         where id in (
            select id from transactions where state = 'processing'
            order by random() limit 2 for update skip locked
         )",
        "update transactions set error = 'nothing that counts'
         where id in (select id from transactions limit 3 for update skip locked)",
        "do $$ begin
            insert into transactions (id, principal, amount, currency, fingerprint)
            select gen_random_uuid(), 'anonymous', 1, 'EUR', sha256('') from generate_series(1, 5);
            raise exception 'not after all';
         exception when raise_exception then null;
         end $$",
        "delete from transactions where id in (
            select id from transactions where state = 'completed'
            order by random() limit 1 for update skip locked
         )",
    ][step % 6]
}

#[tokio::test]
async fn the_counts_are_right_in_every_snapshot_during_writes_and_compactions() {
    let pool = database().await;
    let all_written = Arc::new(AtomicBool::new(false));
    let until_all_written = |work: fn(PgPool) -> _| {
        let (pool, all_written) = (another(&pool), all_written.clone());
        tokio::spawn(async move {
            while !all_written.load(Ordering::Relaxed) {
                tokio::spawn(work(pool.clone())).await.unwrap();
            }
        })
    };
    let compacting: Vec<_> = (0..3)
        .map(|_| until_all_written(|pool| async move { clean_up(&pool).await.unwrap() }))
        .collect();
    let writers: Vec<_> = (0..3)
        .map(|writer| {
            let pool = another(&pool);
            tokio::spawn(async move {
                for step in 0..600 {
                    sqlx::query(write(step + writer)).execute(&pool).await.unwrap();
                }
            })
        })
        .collect();
    let reads = async {
        let mut reads = 0;
        while !writers.iter().all(|writer| writer.is_finished()) {
            assert_eq!(differences(&pool).await, [""; 0], "after {reads} reads");
            reads += 1;
        }
        reads
    };
    assert!(reads.await > 10);
    for writer in writers {
        writer.await.unwrap();
    }
    all_written.store(true, Ordering::Relaxed);
    for task in compacting {
        task.await.unwrap();
    }
    clean_up(&pool).await.unwrap();
    assert_eq!(differences(&pool).await, [""; 0]);
    // One row for each combination of state, tried and queue.
    assert!(deltas(&pool).await <= 4);
}

#[tokio::test]
async fn a_cleanup_empties_counts_that_are_being_compacted() {
    let pool = database().await;
    let gateway = gateway(&pool);
    tokio::join!(stored(&gateway), stored(&gateway));
    let mut compacting = pool.acquire().await.unwrap();
    sqlx::raw_sql(
        "begin;
         with delta as (delete from transaction_counts returning state, tried, queue, principal, added)
         insert into transaction_counts (state, tried, queue, principal, added)
         select state, tried, queue, principal, sum(added) from delta group by 1, 2, 3, 4;",
    )
    .execute(&mut *compacting)
    .await
    .unwrap();
    let cleanup = tokio::spawn(async move {
        (gateway.cleanup(&domain::Actor::anonymous()).await.unwrap(), gateway)
    });
    let waits = "select exists (
        select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'
    )";
    while !sqlx::query_scalar::<_, bool>(waits).fetch_one(&pool).await.unwrap() {}
    sqlx::raw_sql("commit").execute(&mut *compacting).await.unwrap();
    let (cleaned, gateway) = cleanup.await.unwrap();
    assert_eq!(cleaned, 2);
    assert_eq!(deltas(&pool).await, 0);
    stored(&gateway).await;
    assert_eq!(gateway.counts(&Scope::All).await.unwrap().accepted(), 1);
}

#[tokio::test]
async fn a_reader_that_finds_many_deltas_compacts_them() {
    let pool = database().await;
    let gateway = gateway(&pool);
    stored(&gateway).await;
    sqlx::query(
        "insert into transaction_counts (state, tried, principal, added)
         select 'pending', false, 'anonymous', case n % 2 when 0 then 1 else -1 end
         from generate_series(1, 30000) n",
    )
    .execute(&pool)
    .await
    .unwrap();
    for _ in 0..3 {
        assert_eq!(gateway.counts(&Scope::All).await.unwrap().pending, 1);
    }
    assert!(deltas(&pool).await < 5000);
}

#[tokio::test]
async fn the_migrations_count_the_existing_rows() {
    let pool = database().await;
    let gateway = gateway(&pool);
    tokio::join!(stored(&gateway), stored(&gateway));
    let undo = "drop function count_transactions cascade; drop function queue_of;
        drop table transaction_counts;
        alter table workers drop attempts_ended, drop attempts_posted;
        create index transactions_by_age on transactions (submitted_at);
        create index attempts_by_start on attempts (started_at)";
    sqlx::raw_sql(undo).execute(&pool).await.unwrap();
    for migration in [
        include_str!("../../../../migrations/20261121000008_counts.sql"),
        include_str!("../../../../migrations/20261121000012_bounded_reads.sql"),
        "drop index transactions_by_principal",
        include_str!("../../../../migrations/20261127012003_own_transactions.sql"),
    ] {
        sqlx::raw_sql(migration).execute(&pool).await.unwrap();
    }
    assert_eq!(differences(&pool).await, [""; 0]);
    assert_eq!(gateway.counts(&Scope::All).await.unwrap().pending, 2);
    stored(&gateway).await;
    assert_eq!(gateway.counts(&Scope::All).await.unwrap().pending, 3);
}

#[tokio::test]
async fn a_negative_count_is_reported_as_zero() {
    let pool = database().await;
    let gateway = gateway(&pool);
    let deltas = "insert into transaction_counts (state, tried, queue, principal, added)
        select 'pending', true, queue_of(now(), null), 'anonymous', -1
        union all select 'in_doubt', true, queue_of(now(), now()), 'anonymous', -1";
    sqlx::query(deltas).execute(&pool).await.unwrap();
    let counts = gateway.counts(&Scope::All).await.unwrap();
    assert_eq!((counts.pending, counts.in_doubt), (0, 0));
    let health = gateway.health().await.unwrap();
    let waiting = [health.queue_depth, health.retry_count, health.in_doubt];
    assert_eq!(waiting, [Some(0); 3]);
    let statistics = gateway.statistics().await.unwrap();
    assert_eq!(statistics.due, 0);
    assert_eq!(statistics.jobs.map(|(_, jobs)| jobs), [0; 3]);
}
