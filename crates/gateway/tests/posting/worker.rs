//! Workers against the simulated posting service: whatever it does, each transaction has one entry.

use std::{sync::Arc, time::Duration};

use domain::{Principal, Scope, State, backoff::Backoff, protocol::Policy};
use futures::future::join_all;
use gateway::{Gateway, HttpPostingClient, RequiredFields, WakeUps, Worker, WorkerSettings};
use serde_json::json;
use simulator::{Faults, Simulator, SimulatorConfig};
use sqlx::PgPool;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::support::{self, database, submission};

/// The windows are short, so that a test need not wait for them, and the simulator keeps to them.
pub const POLICY: Policy = Policy {
    max_attempts: 20,
    timeout: Duration::from_millis(300),
    settle: Duration::from_millis(600),
    visibility: Duration::from_millis(100),
    backoff: Backoff { base: Duration::from_millis(20), max: Duration::from_millis(200) },
    in_doubt_backoff: Backoff { base: Duration::from_millis(20), max: Duration::from_millis(200) },
    doubt_after: Duration::from_secs(300),
    confirms_posts: false,
};

pub async fn simulator(faults: Faults) -> (Simulator, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let config = SimulatorConfig {
        addr: "127.0.0.1:0".parse().unwrap(),
        ledger_path: folder.path().join("ledger.jsonl"),
        faults,
        seed: 7,
    };
    (Simulator::start(config).await.unwrap(), folder)
}

pub struct Running {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    pub async fn stop(self) {
        self.stop.cancel();
        let stopped = tokio::time::timeout(Duration::from_secs(60), self.task).await;
        stopped.expect("the shutdown takes more than a minute").unwrap();
    }
}

fn worker(pool: &PgPool, simulator: &Simulator, wake_ups: WakeUps) -> Running {
    worker_with(POLICY, RequiredFields::default(), pool, simulator, wake_ups)
}

fn worker_with(
    policy: Policy,
    required: RequiredFields,
    pool: &PgPool,
    simulator: &Simulator,
    wake_ups: WakeUps,
) -> Running {
    let base = format!("http://{}", simulator.addr());
    let client = HttpPostingClient::new(&base, policy.timeout).unwrap().requiring(required);
    worker_of(policy, client, pool, wake_ups)
}

pub fn worker_of(
    policy: Policy,
    client: HttpPostingClient,
    pool: &PgPool,
    wake_ups: WakeUps,
) -> Running {
    let worker = Worker {
        pool: pool.clone(),
        heartbeat_pool: support::another(pool),
        apalis_pool: support::another(pool),
        posting: Arc::new(client),
        settings: WorkerSettings { policy, limits: support::LIMITS, grace: Duration::from_secs(5) },
        wake_ups,
    };
    let stop = CancellationToken::new();
    Running { task: tokio::spawn(worker.run(stop.clone())), stop }
}

pub async fn submit(gateway: &Gateway, count: u32) {
    let principal = Principal::anonymous();
    let submissions = (1..=count).map(|i| submission(json!({"amount": i, "currency": "USD"})));
    let results =
        join_all(submissions.map(|submission| gateway.submit(&principal, submission))).await;
    assert!(results.iter().all(Result::is_ok));
}

/// Waits until some transactions are processing.
async fn some_processing(gateway: &Gateway) {
    let waiting = async {
        while gateway.counts(&Scope::All).await.unwrap().processing == 0 {
            tokio::task::yield_now().await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(60), waiting).await;
    waited.expect("nothing is processing for a minute");
}

/// Waits, change by change, until every transaction is final, and returns how many are completed.
pub async fn all_final(gateway: &Gateway) -> u64 {
    let mut listener = gateway.changes().listen(Scope::All, None).await.unwrap();
    let waiting = async {
        loop {
            let counts = gateway.counts(&Scope::All).await.unwrap();
            if counts.pending + counts.processing + counts.in_doubt == 0 {
                return counts.of(State::Completed);
            }
            let _ = tokio::time::timeout(Duration::from_secs(1), listener.next()).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(120), waiting)
        .await
        .expect("not final after two minutes")
}

#[tokio::test(flavor = "multi_thread")]
async fn each_transaction_is_posted_once_under_every_fault() {
    let pool = database().await;
    let wake_ups = WakeUps::default();
    let gateway = Gateway::new(pool.clone(), wake_ups.clone());
    let (simulator, _folder) = simulator(Faults {
        pre_write_failure_rate: 0.1,
        post_write_failure_rate: 0.1,
        reset_before_write_rate: 0.03,
        reset_after_write_rate: 0.03,
        hang_rate: 0.03,
        late_write_rate: 0.03,
        late_write_delay_ms: 400,
        verification_failure_rate: 0.05,
        visibility_lag_ms: 50,
        garbage_rate: 0.03,
        accepted_rate: 0.03,
        accepted_lost_rate: 0.03,
        wrong_success_rate: 0.05,
        rate_limit_rate: 0.03,
        latency_median_ms: 5,
        ..Faults::none()
    })
    .await;
    let running = worker(&pool, &simulator, wake_ups);
    submit(&gateway, 200).await;
    assert_eq!(all_final(&gateway).await, 200);
    running.stop().await;
    let audit = simulator.handle().audit();
    assert_eq!((audit.distinct_ids, audit.duplicated_count), (200, 0));
    assert_eq!(audit.entries, 200);
    simulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_worker_is_replaced_by_a_live_one() {
    let pool = database().await;
    let wake_ups = WakeUps::default();
    let gateway = Gateway::new(pool.clone(), wake_ups.clone());
    let (simulator, _folder) =
        simulator(Faults { latency_median_ms: 100, latency_sigma: 0.0, ..Faults::none() }).await;
    let dying = worker(&pool, &simulator, wake_ups.clone());
    submit(&gateway, 40).await;
    some_processing(&gateway).await;
    // Its supervisor and its heartbeat end here; the executions that it spawned are left running.
    dying.task.abort();
    let _ = dying.task.await;
    let live = worker(&pool, &simulator, wake_ups);
    assert_eq!(all_final(&gateway).await, 40);
    live.stop().await;
    let audit = simulator.handle().audit();
    assert_eq!((audit.distinct_ids, audit.duplicated_count), (40, 0));
    simulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_finishes_what_is_in_flight_and_leaves_the_rest_pending() {
    let pool = database().await;
    let wake_ups = WakeUps::default();
    let gateway = Gateway::new(pool.clone(), wake_ups.clone());
    let (simulator, _folder) =
        simulator(Faults { latency_median_ms: 50, latency_sigma: 0.0, ..Faults::none() }).await;
    let running = worker(&pool, &simulator, wake_ups);
    submit(&gateway, 200).await;
    some_processing(&gateway).await;
    running.stop().await;
    let counts = gateway.counts(&Scope::All).await.unwrap();
    assert_eq!(counts.processing, 0);
    assert_eq!(counts.completed, simulator.handle().audit().entries as u64);
    assert_eq!(counts.completed + counts.pending, 200);
    assert!(counts.pending > 0);
    simulator.shutdown().await;
}

/// Waits until the worker has renewed its lease for three seconds, once a second.
async fn wait_for_renewals(pool: &PgPool) {
    let renewed =
        "select count(*) from workers where expires_at > started_at + interval '8 seconds'";
    let waiting = async {
        while sqlx::query_scalar::<_, i64>(renewed).fetch_one(pool).await.unwrap() == 0 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waiting).await.expect("no lease is renewed");
}

/// The result of a POST is recorded after its permit is released. When recording is slow, the
/// number of unrecorded POSTs is limited, because a crash would leave each of them in doubt.
#[tokio::test(flavor = "multi_thread")]
async fn slow_recording_limits_how_many_posts_are_unrecorded() {
    let pool = database().await;
    let gateway = Gateway::new(pool.clone(), WakeUps::default());
    submit(&gateway, 300).await;
    let slow = "
        create function slow() returns trigger language plpgsql as $$
            begin perform pg_advisory_xact_lock(1); return new; end
        $$;
        create trigger slow before update on transactions for each row
            when (new.state = 'completed') execute function slow()";
    sqlx::raw_sql(slow).execute(&pool).await.unwrap();
    let mut lock = pool.acquire().await.unwrap();
    sqlx::query("select pg_advisory_lock(1)").execute(&mut *lock).await.unwrap();
    let (simulator, _folder) = simulator(Faults::none()).await;
    let running = worker(&pool, &simulator, WakeUps::default());
    wait_for_renewals(&pool).await;
    let posted = simulator.handle().audit().entries;
    let permits = support::LIMITS.posts;
    assert!((permits + 1..=permits * 4).contains(&posted), "{posted} posted");
    sqlx::query("select pg_advisory_unlock(1)").execute(&mut *lock).await.unwrap();
    assert_eq!(all_final(&gateway).await, 300);
    assert_eq!(simulator.handle().audit().entries, 300);
    running.stop().await;
    simulator.shutdown().await;
}

/// How many commits a worker makes that has nothing to do while it renews its lease five times.
async fn commits_of_an_idle_worker(pool: &PgPool) -> i64 {
    let (simulator, _folder) = simulator(Faults::none()).await;
    let running = worker(pool, &simulator, WakeUps::default());
    // PostgreSQL counts a session's commits late, at the latest when the session ends.
    let watching = support::another(pool);
    wait_for_renewals(&watching).await;
    watching.close().await;
    let own = support::another(pool);
    let state = async || -> (i64, f64) {
        let text =
            "select xact_commit, extract(epoch from (select max(expires_at) from workers))::float8
            from pg_stat_database where datname = current_database()";
        sqlx::query_as(text).fetch_one(&own).await.unwrap()
    };
    let (before, lease) = state().await;
    let mut reads = 0;
    let commits = loop {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let (commits, renewed) = state().await;
        if renewed >= lease + 5.0 {
            break commits - before - reads;
        }
        reads += 1;
    };
    running.stop().await;
    simulator.shutdown().await;
    commits
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_worker_hardly_loads_the_database() {
    let pool = database().await;
    let commits = commits_of_an_idle_worker(&pool).await;
    // Two a second for the heartbeat, and one every three seconds for each queue.
    assert!(commits < 40, "{commits} commits in five seconds of doing nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_worker_with_a_backlog_hardly_loads_the_database() {
    let pool = database().await;
    let submitting = support::another(&pool);
    let gateway = Gateway::new(submitting.clone(), WakeUps::default());
    gateway.pause(&domain::Actor::anonymous(), None).await.unwrap();
    for _ in 0..200 {
        support::stored(&gateway).await;
    }
    submitting.close().await;
    // A session that ends reports what it has committed only then.
    let sessions = "select count(*) from pg_stat_activity where datname = current_database()";
    while sqlx::query_scalar::<_, i64>(sessions).fetch_one(&pool).await.unwrap()
        > i64::from(pool.size())
    {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let commits = commits_of_an_idle_worker(&pool).await;
    // Far fewer than there are transactions.
    assert!(commits < 100, "{commits} commits in five seconds of a pause");
}

/// Otherwise each of them would be looked up again and again for as long as this lasts, and look as if it were to be
/// posted soon.
#[tokio::test(flavor = "multi_thread")]
async fn where_no_verification_can_decide_transactions_are_in_doubt_slowly_verified_and_posted_once_it_can()
 {
    let pool = database().await;
    let wake_ups = WakeUps::default();
    let gateway = Gateway::new(pool.clone(), wake_ups.clone());
    let (simulator, _folder) = simulator(Faults {
        pre_write_failure_rate: 0.3,
        post_write_failure_rate: 0.3,
        says_little: true,
        verification_failure_rate: 0.0,
        ..Faults::none()
    })
    .await;
    let policy = Policy { doubt_after: Duration::from_secs(1), ..POLICY };
    let required = RequiredFields { amount: true, currency: true };
    let running = worker_with(policy, required, &pool, &simulator, wake_ups);
    submit(&gateway, 200).await;
    // Those that failed after the write cannot be verified: the entry that is shown has no amount.
    let unsettled = async {
        let mut listener = gateway.changes().listen(Scope::All, None).await.unwrap();
        loop {
            let counts = gateway.counts(&Scope::All).await.unwrap();
            if counts.in_doubt > 20 && counts.in_doubt + counts.completed == 200 {
                return;
            }
            let _ = tokio::time::timeout(Duration::from_secs(1), listener.next()).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(120), unsettled).await.expect("not in doubt");
    let errors: Vec<Option<String>> =
        sqlx::query_scalar("select distinct error from transactions where state = 'in_doubt'")
            .fetch_all(&pool)
            .await
            .unwrap();
    let [Some(error)] = errors.as_slice() else { panic!("{errors:?}") };
    assert!(error.ends_with("the answer has no amount"), "{error}");
    simulator.handle().set_faults(Faults::none()).unwrap();
    assert_eq!(all_final(&gateway).await, 200);
    let audit = simulator.handle().audit();
    assert_eq!((audit.distinct_ids, audit.duplicated_count), (200, 0));
    running.stop().await;
}
