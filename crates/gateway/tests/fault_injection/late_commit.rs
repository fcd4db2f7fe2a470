//! A claim that is committed when nobody waits for it any more.

use std::{sync::Arc, time::Duration};

use domain::State;
use gateway::{Worker, WorkerSettings};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::{
    breakpoints::bounded,
    fixture::{Place, Scene, WORKER},
    invariants,
    support::{self, LIMITS},
};

/// The turn gives up when its connection breaks, and finds nothing that it holds. Then the claim is
/// committed, under a lease that is renewed on and on.
#[tokio::test]
async fn a_claim_whose_commit_comes_after_its_turn_has_given_up_is_taken_back() {
    let place = Place::new().await;
    let stop = place.stage.stop(WORKER, "before row transactions").await;
    let scene = Scene::new(&place, 3).await;
    let closing = CancellationToken::new();
    let worker = Worker {
        pool: place.connections(),
        upkeep_pool: support::another(place.pool()),
        apalis_pool: support::another(place.pool()),
        posting: scene.worker.clerk.clone(),
        settings: WorkerSettings {
            policy: scene.policy,
            limits: LIMITS,
            grace: Duration::from_secs(1),
        },
        wake: Arc::new(Notify::new()),
    };
    let running = tokio::spawn(worker.run(closing.clone()));
    stop.reached().await;
    place.proxy.cut();
    // The next turn waits behind the claim that nobody waits for.
    place.stage.blocked_by_another(WORKER).await;
    stop.release().await;
    let taken_back = async {
        while scene.is_claimed().await
            || scene.ledger.posts(scene.id) > 0
            || !has_fence(&scene).await
        {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    bounded("the claim is taken back", taken_back).await;
    assert_eq!(scene.losses().await, 0, "nobody was lost over it");
    closing.cancel();
    bounded("the end of the worker", running).await.unwrap();
    invariants::check(place.pool(), "a forgotten claim").await;
    assert_eq!(scene.end("a forgotten claim").await, State::Completed);
}

/// Whether it was claimed and taken back.
async fn has_fence(scene: &Scene<'_>) -> bool {
    let text = "select fence >= 2 from transactions where id = $1";
    sqlx::query_scalar(text).bind(scene.id).fetch_one(scene.place.pool()).await.unwrap()
}
