//! A statement of a worker is executed, and its connection is silent from then on, as when a
//! network fails or PostgreSQL's machine stops. The worker does not wait forever.

use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::{Actor, Scope, State};
use gateway::{Purpose, WakeUps, Worker, WorkerSettings};
use sqlx::PgPool;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::{
    breakpoints::bounded,
    fixture::{Environment, Fixture},
    posting_service::Post,
    support::{self, LIMITS},
};

/// A worker whose housekeeping goes through the proxy.
fn start(fixture: &Fixture<'_>, closing: &CancellationToken) -> JoinHandle<()> {
    let direct = support::another(fixture.env.pool());
    start_with(fixture, closing, fixture.env.connections(), direct)
}

fn start_with(
    fixture: &Fixture<'_>,
    closing: &CancellationToken,
    heartbeat_pool: PgPool,
    apalis_pool: PgPool,
) -> JoinHandle<()> {
    let worker = Worker {
        pool: support::another(fixture.env.pool()),
        heartbeat_pool,
        apalis_pool,
        posting: fixture.other.client.clone(),
        settings: WorkerSettings {
            policy: fixture.policy,
            limits: LIMITS,
            grace: Duration::from_secs(1),
        },
        wake_ups: WakeUps::default(),
    };
    tokio::spawn(worker.run(closing.clone()))
}

async fn completed(env: &Environment, count: u64) {
    let completed = async {
        while env.gateway.counts(&Scope::All).await.unwrap().of(State::Completed) < count {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    bounded("the backlog is posted", completed).await;
}

#[tokio::test]
async fn a_lease_is_renewed_after_a_renewal_without_an_answer() {
    let env = Environment::new().await;
    let fixture = Fixture::new(&env, 3).await;
    let closing = CancellationToken::new();
    env.proxy.silence("insert into workers", 2);
    let running = start(&fixture, &closing);
    bounded("a renewal without an answer", env.proxy.wait_for_loss()).await;
    let expires_at = async || -> DateTime<Utc> {
        // Not those of the fixture, which are never renewed.
        let text =
            "select expires_at from workers where expires_at < started_at + interval '1 hour'
            order by expires_at desc limit 1";
        sqlx::query_scalar(text).fetch_one(env.pool()).await.unwrap()
    };
    let before = expires_at().await;
    let renewed = async {
        while expires_at().await == before {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    bounded("another renewal", renewed).await;
    closing.cancel();
    bounded("the end of the worker", running).await.unwrap();
}

#[tokio::test]
async fn a_pause_ends_after_a_poll_for_it_without_an_answer() {
    let env = Environment::new().await;
    let fixture = Fixture::new(&env, 3).await;
    env.gateway.pause(&Actor::anonymous(), None).await.unwrap();
    let closing = CancellationToken::new();
    // The first poll reports the pause.
    env.proxy.silence("from posting_pause", 2);
    let running = start(&fixture, &closing);
    bounded("a poll without an answer", env.proxy.wait_for_loss()).await;
    env.gateway.resume(&Actor::anonymous(), None).await.unwrap();
    completed(&env, 1).await;
    closing.cancel();
    bounded("the end of the worker", running).await.unwrap();
}

#[tokio::test]
async fn the_backlog_is_posted_after_fetches_without_an_answer() {
    let env = Environment::new().await;
    let fixture = Fixture::new(&env, 3).await;
    let closing = CancellationToken::new();
    env.proxy.silence("apalis.get_jobs", 1);
    let direct = support::another(env.pool());
    let running = start_with(&fixture, &closing, direct, env.connections());
    // One fetch of each of the three queues: a fetch without an answer is not repeated.
    for _ in 0..2 {
        bounded("a fetch without an answer", env.proxy.wait_for_loss()).await;
        env.proxy.take_lost();
        env.proxy.silence("apalis.get_jobs", 1);
    }
    bounded("the last fetch without an answer", env.proxy.wait_for_loss()).await;
    support::stored(&env.gateway).await;
    completed(&env, 2).await;
    closing.cancel();
    bounded("the end of the worker", running).await.unwrap();
}

#[tokio::test]
async fn an_execution_releases_its_claim_after_a_query_without_an_answer() {
    let env = Environment::new().await;
    let fixture = Fixture::new(&env, 3).await;
    fixture.worker.client.script_posts([Post::Panic]);
    env.proxy.silence("and claimed_by = $2", 1);
    bounded("the end of an execution", fixture.execute(Purpose::Post)).await.unwrap();
    assert_eq!(env.proxy.take_lost(), 1);
    assert!(!fixture.is_claimed().await);
    assert_eq!(fixture.end("a query that was not answered").await, State::Completed);
}
