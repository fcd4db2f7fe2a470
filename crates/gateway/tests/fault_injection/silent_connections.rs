//! A statement of a worker that is carried out, and whose connection is silent from then on: as where a network
//! fails, or PostgreSQL's machine stops. Nobody waits for it for ever.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use domain::{Principal, State};
use gateway::{Purpose, Worker, WorkerSettings};
use sqlx::PgPool;
use tokio::{sync::Notify, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::{
    breakpoints::bounded,
    fixture::{Place, Scene},
    posting_service::Post,
    support::{self, LIMITS},
};

/// A worker whose upkeep goes through the proxy.
fn start(scene: &Scene<'_>, closing: &CancellationToken) -> JoinHandle<()> {
    let direct = support::another(scene.place.pool());
    start_with(scene, closing, scene.place.connections(), direct)
}

fn start_with(
    scene: &Scene<'_>,
    closing: &CancellationToken,
    upkeep_pool: PgPool,
    apalis_pool: PgPool,
) -> JoinHandle<()> {
    let worker = Worker {
        pool: support::another(scene.place.pool()),
        upkeep_pool,
        apalis_pool,
        posting: scene.other.clerk.clone(),
        settings: WorkerSettings {
            policy: scene.policy,
            limits: LIMITS,
            grace: Duration::from_secs(1),
        },
        wake: Arc::new(Notify::new()),
    };
    tokio::spawn(worker.run(closing.clone()))
}

async fn completed(place: &Place, count: u64) {
    let completed = async {
        while place.gateway.counts().await.unwrap().of(State::Completed) < count {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    bounded("what waits is posted", completed).await;
}

#[tokio::test]
async fn a_lease_is_renewed_after_a_renewal_that_was_not_answered() {
    let place = Place::new().await;
    let scene = Scene::new(&place, 3).await;
    let closing = CancellationToken::new();
    place.proxy.silence("insert into workers", 2);
    let running = start(&scene, &closing);
    bounded("a renewal without an answer", place.proxy.loses()).await;
    let expires_at = async || -> DateTime<Utc> {
        // Not those of the scene, which are never renewed.
        let text =
            "select expires_at from workers where expires_at < started_at + interval '1 hour'
            order by expires_at desc limit 1";
        sqlx::query_scalar(text).fetch_one(place.pool()).await.unwrap()
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
async fn a_pause_ends_after_a_look_for_it_that_was_not_answered() {
    let place = Place::new().await;
    let scene = Scene::new(&place, 3).await;
    place.gateway.pause(&Principal::anonymous(), None).await.unwrap();
    let closing = CancellationToken::new();
    // The first tells of the pause.
    place.proxy.silence("from posting_pause", 2);
    let running = start(&scene, &closing);
    bounded("a look without an answer", place.proxy.loses()).await;
    place.gateway.resume(&Principal::anonymous(), None).await.unwrap();
    completed(&place, 1).await;
    closing.cancel();
    bounded("the end of the worker", running).await.unwrap();
}

#[tokio::test]
async fn what_waits_is_posted_after_a_fetch_that_was_not_answered() {
    let place = Place::new().await;
    let scene = Scene::new(&place, 3).await;
    let closing = CancellationToken::new();
    place.proxy.silence("apalis.get_jobs", 1);
    let direct = support::another(place.pool());
    let running = start_with(&scene, &closing, direct, place.connections());
    // One of each of the three queues: what has no answer does not fetch again.
    for _ in 0..2 {
        bounded("a fetch without an answer", place.proxy.loses()).await;
        place.proxy.take_lost();
        place.proxy.silence("apalis.get_jobs", 1);
    }
    bounded("the last fetch without an answer", place.proxy.loses()).await;
    support::stored(&place.gateway).await;
    completed(&place, 2).await;
    closing.cancel();
    bounded("the end of the worker", running).await.unwrap();
}

#[tokio::test]
async fn a_turn_gives_its_claim_back_after_a_question_that_was_not_answered() {
    let place = Place::new().await;
    let scene = Scene::new(&place, 3).await;
    scene.worker.clerk.posts([Post::Panic]);
    place.proxy.silence("and claimed_by = $2", 1);
    bounded("the end of a turn", scene.turn(Purpose::Post)).await.unwrap();
    assert_eq!(place.proxy.take_lost(), 1);
    assert!(!scene.is_claimed().await);
    assert_eq!(scene.end("a question that was not answered").await, State::Completed);
}
