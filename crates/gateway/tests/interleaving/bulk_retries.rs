//! A bulk retry against a single retry, and against another worker that continues it.

use std::{sync::Arc, time::Duration};

use domain::{Actor, Intervention};
use gateway::{BulkRetry, Filter, HttpPostingClient, WakeUps, Worker, WorkerSettings};
use sqlx::PgPool;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    breakpoints::{Breakpoint, bounded},
    fixture::{Fixture, Start, TestDatabase},
    invariants,
    support::{self, LIMITS, POLICY},
};

/// Makes workers fetch only bulk retries.
const BULK_RETRIES_ONLY: &str = "
    alter function apalis.get_jobs(text, text, integer) rename to get_any_jobs;
    create function apalis.get_jobs(worker_id text, v_job_type text, v_job_count integer default 5)
        returns setof apalis.jobs language sql volatile
        as $$
            select * from apalis.get_any_jobs(worker_id, v_job_type, v_job_count)
            where v_job_type = 'bulk_retries'
        $$;
";

struct Running {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    /// A worker that makes its changes over this session.
    fn start(database: &TestDatabase, session: usize) -> Self {
        let worker = Worker {
            pool: database.sessions[session].pool.clone(),
            heartbeat_pool: support::another(&database.own.pool),
            apalis_pool: support::another(&database.own.pool),
            posting: Arc::new(
                HttpPostingClient::new("http://127.0.0.1:9", POLICY.timeout).unwrap(),
            ),
            settings: WorkerSettings { policy: POLICY, limits: LIMITS, grace: Duration::ZERO },
            wake_ups: WakeUps::default(),
        };
        let stop = CancellationToken::new();
        Self { task: tokio::spawn(worker.run(stop.clone())), stop }
    }

    async fn stop(self) {
        self.stop.cancel();
        bounded("the end of a worker", self.task).await.unwrap();
    }
}

/// Failed transactions, and a bulk retry of all of them.
struct Bulk {
    database: TestDatabase,
    fixtures: Vec<Fixture>,
    id: Uuid,
}

const COUNT: u64 = 4;

impl Bulk {
    async fn new() -> Self {
        let database = TestDatabase::new().await;
        sqlx::raw_sql(BULK_RETRIES_ONLY).execute(&database.own.pool).await.unwrap();
        let mut fixtures = Vec::new();
        for _ in 0..COUNT {
            fixtures.push(Fixture::new(&database, Start::Failed, 0).await);
        }
        let gateway = &database.own.gateway;
        let all = gateway.retry_all(&Actor::anonymous(), Filter::default(), None).await.unwrap();
        Self { database, fixtures, id: all.bulk_retry_id }
    }

    async fn finished(&self) -> BulkRetry {
        let finished = async {
            loop {
                let found = self.database.own.gateway.bulk_retry(self.id).await.unwrap().unwrap();
                if found.finished_at.is_some() {
                    return found;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        bounded("the end of a bulk retry", finished).await
    }

    /// Retries one of them over this session.
    fn retry_one(&self, session: usize) -> JoinHandle<bool> {
        let (gateway, id) = (self.database.sessions[session].gateway.clone(), self.fixtures[0].id);
        tokio::spawn(async move {
            let actor = Actor::anonymous();
            gateway.intervene(&actor, id, Intervention::Retry, None).await.is_ok()
        })
    }

    /// Checks that every one of them was retried, also by the bulk retry if that came first.
    async fn end(self, context: &str, retried_by_bulk: u64) {
        let bulk = self.finished().await;
        assert_eq!((bulk.examined, bulk.retried), (COUNT, retried_by_bulk), "{context}");
        invariants::check(&self.database.own.pool, context).await;
        for fixture in self.fixtures {
            fixture.end(context).await;
        }
    }
}

async fn first_waits_second_comes(
    bulk: &Bulk,
    breakpoint: Breakpoint,
    mut second: JoinHandle<bool>,
) {
    let early = tokio::select! {
        () = bulk.database.breakpoints.blocked("second") => None,
        done = &mut second => Some(done.unwrap()),
    };
    breakpoint.release().await;
    let done = match early {
        Some(done) => done,
        None => bounded("a single retry", second).await.unwrap(),
    };
    assert!(done, "a single retry is made in either order");
}

#[tokio::test]
async fn a_single_retry_during_a_bulk_retry_is_made_beside_it_or_after_it() {
    let points = [
        ("before statement transactions", COUNT - 1),
        ("before row transactions", COUNT),
        ("before row jobs", COUNT),
        ("after row transactions", COUNT),
        ("before row bulk_retries", COUNT),
    ];
    let cases = points.map(async |(point, retried)| {
        let bulk = Bulk::new().await;
        let breakpoint = bulk.database.breakpoints.set("first", point).await;
        let worker = Running::start(&bulk.database, 0);
        breakpoint.reached().await;
        let single = bulk.retry_one(1);
        first_waits_second_comes(&bulk, breakpoint, single).await;
        bulk.finished().await;
        worker.stop().await;
        bulk.end(point, retried).await;
    });
    futures::future::join_all(cases).await;
}

#[tokio::test]
async fn a_bulk_retry_skips_a_transaction_that_was_retried_singly_meanwhile() {
    for (point, retried) in
        [("before row transactions", COUNT - 1), ("after row transactions", COUNT - 1)]
    {
        let bulk = Bulk::new().await;
        let breakpoint = bulk.database.breakpoints.set("first", point).await;
        let single = bulk.retry_one(0);
        breakpoint.reached().await;
        let worker = Running::start(&bulk.database, 1);
        bulk.database.breakpoints.blocked("second").await;
        breakpoint.release().await;
        assert!(single.await.unwrap());
        bulk.finished().await;
        worker.stop().await;
        bulk.end(point, retried).await;
    }
}

/// apalis may deliver a job a second time.
async fn deliver_again(pool: &PgPool) {
    let text = "update apalis.jobs set status = 'Pending', lock_by = null, lock_at = null
        where job_type = 'bulk_retries'";
    assert_eq!(sqlx::query(text).execute(pool).await.unwrap().rows_affected(), 1);
}

#[tokio::test]
async fn two_workers_on_one_bulk_retry_retry_each_transaction_once() {
    for roll_back in [false, true] {
        let bulk = Bulk::new().await;
        let breakpoint = bulk.database.breakpoints.set("first", "before row transactions").await;
        let first = Running::start(&bulk.database, 0);
        breakpoint.reached().await;
        deliver_again(&bulk.database.own.pool).await;
        let second = Running::start(&bulk.database, 1);
        bulk.database.breakpoints.blocked("second").await;
        if roll_back {
            breakpoint.roll_back().await;
        } else {
            breakpoint.release().await;
        }
        bulk.finished().await;
        first.stop().await;
        second.stop().await;
        bulk.end(&format!("two workers, the first rolled back: {roll_back}"), COUNT).await;
    }
}
