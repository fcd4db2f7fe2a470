//! A bulk retry against a single one, and against another worker that carries it on.

use std::{sync::Arc, time::Duration};

use domain::{Intervention, Principal};
use gateway::{BulkRetry, Filter, HttpPosting, Worker, WorkerSettings};
use sqlx::PgPool;
use tokio::{sync::Notify, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    breakpoints::{Stop, bounded},
    fixture::{Scene, Start, Theatre},
    invariants,
    support::{self, LIMITS, POLICY},
};

/// Workers fetch nothing but bulk retries.
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
    /// A worker whose changes are made over this session.
    fn start(theatre: &Theatre, session: usize) -> Self {
        let worker = Worker {
            pool: theatre.sessions[session].pool.clone(),
            upkeep_pool: support::another(&theatre.own.pool),
            apalis_pool: support::another(&theatre.own.pool),
            posting: Arc::new(HttpPosting::new("http://127.0.0.1:9", POLICY.timeout).unwrap()),
            settings: WorkerSettings { policy: POLICY, limits: LIMITS, grace: Duration::ZERO },
            wake: Arc::new(Notify::new()),
        };
        let stop = CancellationToken::new();
        Self { task: tokio::spawn(worker.run(stop.clone())), stop }
    }

    async fn stop(self) {
        self.stop.cancel();
        bounded("the end of a worker", self.task).await.unwrap();
    }
}

/// Failed transactions, and a bulk retry of them all.
struct Bulk {
    theatre: Theatre,
    scenes: Vec<Scene>,
    id: Uuid,
}

const COUNT: u64 = 4;

impl Bulk {
    async fn new() -> Self {
        let theatre = Theatre::new().await;
        sqlx::raw_sql(BULK_RETRIES_ONLY).execute(&theatre.own.pool).await.unwrap();
        let mut scenes = Vec::new();
        for _ in 0..COUNT {
            scenes.push(Scene::new(&theatre, Start::Failed, 0).await);
        }
        let gateway = &theatre.own.gateway;
        let all =
            gateway.retry_all(&Principal::anonymous(), Filter::default(), None).await.unwrap();
        Self { theatre, scenes, id: all.bulk_retry_id }
    }

    async fn finished(&self) -> BulkRetry {
        let finished = async {
            loop {
                let found = self.theatre.own.gateway.bulk_retry(self.id).await.unwrap().unwrap();
                if found.finished_at.is_some() {
                    return found;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        bounded("the end of a bulk retry", finished).await
    }

    /// Retries one of them, over this session.
    fn retry_one(&self, session: usize) -> JoinHandle<bool> {
        let (gateway, id) = (self.theatre.sessions[session].gateway.clone(), self.scenes[0].id);
        tokio::spawn(async move {
            let principal = Principal::anonymous();
            gateway.intervene(&principal, id, Intervention::Retry, None).await.is_ok()
        })
    }

    /// Every one of them was retried; the one by the bulk retry too, where that came first.
    async fn end(self, context: &str, retried_by_bulk: u64) {
        let bulk = self.finished().await;
        assert_eq!((bulk.examined, bulk.retried), (COUNT, retried_by_bulk), "{context}");
        invariants::check(&self.theatre.own.pool, context).await;
        for scene in self.scenes {
            scene.end(context).await;
        }
    }
}

async fn first_waits_second_comes(bulk: &Bulk, stop: Stop, mut second: JoinHandle<bool>) {
    let early = tokio::select! {
        () = bulk.theatre.stage.blocked("second") => None,
        done = &mut second => Some(done.unwrap()),
    };
    stop.release().await;
    let done = match early {
        Some(done) => done,
        None => bounded("a single retry", second).await.unwrap(),
    };
    assert!(done, "a single retry is made, whoever is first");
}

#[tokio::test]
async fn a_single_retry_that_comes_into_a_bulk_retry_is_made_beside_it_or_after_it() {
    let points = [
        ("before statement transactions", COUNT - 1),
        ("before row transactions", COUNT),
        ("before row jobs", COUNT),
        ("after row transactions", COUNT),
        ("before row bulk_retries", COUNT),
    ];
    let cases = points.map(async |(point, retried)| {
        let bulk = Bulk::new().await;
        let stop = bulk.theatre.stage.stop("first", point).await;
        let worker = Running::start(&bulk.theatre, 0);
        stop.reached().await;
        let single = bulk.retry_one(1);
        first_waits_second_comes(&bulk, stop, single).await;
        bulk.finished().await;
        worker.stop().await;
        bulk.end(point, retried).await;
    });
    futures::future::join_all(cases).await;
}

#[tokio::test]
async fn a_bulk_retry_passes_over_what_a_single_one_has_retried_meanwhile() {
    for (point, retried) in
        [("before row transactions", COUNT - 1), ("after row transactions", COUNT - 1)]
    {
        let bulk = Bulk::new().await;
        let stop = bulk.theatre.stage.stop("first", point).await;
        let single = bulk.retry_one(0);
        stop.reached().await;
        let worker = Running::start(&bulk.theatre, 1);
        bulk.theatre.stage.blocked("second").await;
        stop.release().await;
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
async fn two_workers_that_carry_on_one_bulk_retry_retry_each_transaction_once() {
    for roll_back in [false, true] {
        let bulk = Bulk::new().await;
        let stop = bulk.theatre.stage.stop("first", "before row transactions").await;
        let first = Running::start(&bulk.theatre, 0);
        stop.reached().await;
        deliver_again(&bulk.theatre.own.pool).await;
        let second = Running::start(&bulk.theatre, 1);
        bulk.theatre.stage.blocked("second").await;
        if roll_back {
            stop.roll_back().await;
        } else {
            stop.release().await;
        }
        bulk.finished().await;
        first.stop().await;
        second.stop().await;
        bulk.end(&format!("two workers, the first rolled back: {roll_back}"), COUNT).await;
    }
}
