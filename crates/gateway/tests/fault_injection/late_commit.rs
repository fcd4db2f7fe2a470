//! A claim that is committed after its execution has been abandoned.

use std::time::Duration;

use domain::State;
use gateway::{WakeUps, Worker, WorkerSettings};
use tokio_util::sync::CancellationToken;

use crate::{
    breakpoints::bounded,
    fixture::{Environment, Fixture, WORKER},
    invariants,
    support::{self, LIMITS},
};

/// The execution gives up when its connection breaks, and finds that it holds nothing. Then the
/// claim is committed, under a lease that keeps being renewed.
#[tokio::test]
async fn a_claim_that_is_committed_after_its_execution_gave_up_is_released() {
    let env = Environment::new().await;
    let breakpoint = env.breakpoints.set(WORKER, "before row transactions").await;
    let fixture = Fixture::new(&env, 3).await;
    let closing = CancellationToken::new();
    let worker = Worker {
        pool: env.connections(),
        heartbeat_pool: support::another(env.pool()),
        apalis_pool: support::another(env.pool()),
        posting: fixture.worker.client.clone(),
        settings: WorkerSettings {
            policy: fixture.policy,
            limits: LIMITS,
            grace: Duration::from_secs(1),
        },
        wake_ups: WakeUps::default(),
    };
    let running = tokio::spawn(worker.run(closing.clone()));
    breakpoint.reached().await;
    env.proxy.cut();
    // The next execution waits behind the abandoned claim.
    env.breakpoints.blocked_by_another(WORKER).await;
    breakpoint.release().await;
    let released = async {
        while fixture.is_claimed().await
            || fixture.ledger.posts(fixture.id) > 0
            || !was_claimed_and_released(&fixture).await
        {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    bounded("the claim is released", released).await;
    assert_eq!(fixture.losses().await, 0, "it does not count as a lost worker");
    closing.cancel();
    bounded("the end of the worker", running).await.unwrap();
    invariants::check(env.pool(), "an abandoned claim").await;
    assert_eq!(fixture.end("an abandoned claim").await, State::Completed);
}

/// Whether it was claimed and reclaimed.
async fn was_claimed_and_released(fixture: &Fixture<'_>) -> bool {
    let text = "select fence >= 2 from transactions where id = $1";
    sqlx::query_scalar(text).bind(fixture.id).fetch_one(fixture.env.pool()).await.unwrap()
}
