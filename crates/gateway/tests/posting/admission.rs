//! What the gate keeps back, and what goes on meanwhile, on a real PostgreSQL.

use std::sync::Arc;

use domain::{Circuit, Ending, Finding, Principal, State, protocol::Step};
use gateway::{Gate, Poster, Purpose, Turn};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::support::{
    self, LIMITS, POLICY, Scripted, database, gateway, jobs, let_pass, purpose, stored,
};

struct Scene {
    pool: sqlx::PgPool,
    gateway: gateway::Gateway,
    service: Arc<Scripted>,
    gate: Arc<Gate>,
    poster: Poster,
}

async fn scene() -> Scene {
    let pool = database().await;
    let (gateway, service) = (gateway(&pool), Scripted::new());
    let gate = Arc::new(Gate::new(LIMITS, CancellationToken::new()));
    let poster = Poster::new(pool.clone(), service.clone(), gate.clone(), POLICY, Uuid::now_v7());
    Scene { pool, gateway, service, gate, poster }
}

impl Scene {
    async fn turn(&self, id: Uuid) -> Turn {
        support::turn(&self.poster, &self.pool, id).await.unwrap()
    }

    async fn attempts(&self, id: Uuid) -> usize {
        self.gateway.attempts(id).await.unwrap().len()
    }

    /// Makes so many attempts in vain that the breaker opens.
    async fn nothing_gets_through(&self) {
        while self.gate.circuit() == Circuit::Closed {
            let id = stored(&self.gateway).await;
            self.service.answers(Ending::NotWritten);
            self.turn(id).await;
        }
    }
}

#[tokio::test]
async fn while_the_breaker_is_open_nothing_is_claimed_and_no_attempt_used_up() {
    let scene = scene().await;
    scene.nothing_gets_through().await;
    let id = stored(&scene.gateway).await;
    assert_eq!(scene.turn(id).await, Turn::Held);
    // The whole turn leaves its job for whoever can post.
    scene.poster.turn(id, Purpose::Post, ()).await;
    assert_eq!((scene.attempts(id).await, jobs(&scene.pool, id).await), (0, 1));
    assert_eq!(support::state(&scene.gateway, id).await, State::Pending);
}

#[tokio::test]
async fn a_probe_that_gets_through_lets_the_others_go() {
    let scene = scene().await;
    scene.nothing_gets_through().await;
    scene.gate.opened().await; // a probe is due
    let id = stored(&scene.gateway).await;
    scene.service.answers_status(201);
    assert_eq!(scene.turn(id).await, Turn::Took(Step::Complete));
    assert_eq!(scene.gate.circuit(), Circuit::Closed);
}

#[tokio::test]
async fn verification_goes_on_while_nothing_is_posted() {
    let scene = scene().await;
    let id = stored(&scene.gateway).await;
    scene.service.answers(Ending::TimedOut).shows(Finding::Failed);
    assert!(matches!(scene.turn(id).await, Turn::Took(Step::Retry { .. })));
    scene.nothing_gets_through().await;
    scene.gateway.pause(&Principal::anonymous(), None).await.unwrap();
    let_pass(&scene.pool, id, 60).await;
    assert_eq!(purpose(&scene.pool, id).await, Purpose::Verify);
    scene.service.shows(Finding::Found);
    assert_eq!(scene.turn(id).await, Turn::Took(Step::Complete));
}

#[tokio::test]
async fn from_the_pause_on_no_worker_claims_what_it_would_post() {
    let scene = scene().await;
    let id = stored(&scene.gateway).await;
    let ann = Principal::named("ann".to_owned());
    scene.gateway.pause(&ann, Some("the service is moving house")).await.unwrap();
    // Whoever pauses a second time does not take the first one's place.
    scene.gateway.pause(&Principal::named("bob".to_owned()), None).await.unwrap();
    let pause = scene.gateway.posting().await.unwrap().paused.unwrap();
    assert_eq!(pause.paused_by, "ann");
    assert_eq!(pause.reason.as_deref(), Some("the service is moving house"));
    // This worker's gate has not heard of it yet.
    assert_eq!(scene.turn(id).await, Turn::NotDue);
    assert_eq!(scene.attempts(id).await, 0);

    scene.gateway.resume(&ann, None).await.unwrap();
    assert!(scene.gateway.posting().await.unwrap().paused.is_none());
    scene.service.answers_status(201);
    assert_eq!(scene.turn(id).await, Turn::Took(Step::Complete));
    let recorded: Vec<(String, String)> =
        sqlx::query_as("select principal, action from interventions order by id")
            .fetch_all(&scene.pool)
            .await
            .unwrap();
    let names = [("ann", "pause"), ("ann", "resume")];
    assert_eq!(recorded, names.map(|(who, what)| (who.to_owned(), what.to_owned())));
}
