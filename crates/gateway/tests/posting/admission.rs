//! What admission control holds back, and what continues meanwhile, on a real PostgreSQL.

use std::sync::Arc;

use domain::{Actor, Circuit, Ending, Finding, Principal, State, protocol::Step};
use gateway::{Admission, ExecutionResult, Executor, Purpose};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::support::{
    self, LIMITS, POLICY, Scripted, database, gateway, jobs, let_time_pass, purpose, stored,
};

struct Fixture {
    pool: sqlx::PgPool,
    gateway: gateway::Gateway,
    service: Arc<Scripted>,
    admission: Arc<Admission>,
    executor: Executor,
}

async fn fixture() -> Fixture {
    let pool = database().await;
    let (gateway, service) = (gateway(&pool), Scripted::new());
    let admission = Arc::new(Admission::new(LIMITS, CancellationToken::new()));
    let executor =
        Executor::new(pool.clone(), service.clone(), admission.clone(), POLICY, Uuid::now_v7());
    Fixture { pool, gateway, service, admission, executor }
}

impl Fixture {
    async fn execute(&self, id: Uuid) -> ExecutionResult {
        support::execute(&self.executor, &self.pool, id).await.unwrap()
    }

    async fn attempts(&self, id: Uuid) -> usize {
        self.gateway.attempts(id, 0, 100).await.unwrap().len()
    }

    /// Makes failing attempts until the circuit breaker opens.
    async fn open_the_breaker(&self) {
        while self.admission.circuit() == Circuit::Closed {
            let id = stored(&self.gateway).await;
            self.service.answers(Ending::NotWritten);
            self.execute(id).await;
        }
    }
}

#[tokio::test]
async fn while_the_breaker_is_open_nothing_is_claimed_and_no_attempt_is_used_up() {
    let fixture = fixture().await;
    fixture.open_the_breaker().await;
    let id = stored(&fixture.gateway).await;
    assert_eq!(fixture.execute(id).await, ExecutionResult::NotAdmitted);
    // The execution leaves its job for a worker that can post.
    fixture.executor.run_job(id, Purpose::Post, ()).await;
    assert_eq!((fixture.attempts(id).await, jobs(&fixture.pool, id).await), (0, 1));
    assert_eq!(support::state(&fixture.gateway, id).await, State::Pending);
}

#[tokio::test]
async fn a_successful_probe_closes_the_breaker() {
    let fixture = fixture().await;
    fixture.open_the_breaker().await;
    fixture.admission.wait_until_open().await; // a probe is due
    let id = stored(&fixture.gateway).await;
    fixture.service.answers_status(201);
    assert_eq!(fixture.execute(id).await, ExecutionResult::Took(Step::Complete));
    assert_eq!(fixture.admission.circuit(), Circuit::Closed);
}

#[tokio::test]
async fn verifications_continue_while_posting_is_stopped() {
    let fixture = fixture().await;
    let id = stored(&fixture.gateway).await;
    fixture.service.answers(Ending::TimedOut).shows(Finding::Failed);
    assert!(matches!(fixture.execute(id).await, ExecutionResult::Took(Step::Retry { .. })));
    fixture.open_the_breaker().await;
    fixture.gateway.pause(&Actor::anonymous(), None).await.unwrap();
    let_time_pass(&fixture.pool, id, 60).await;
    assert_eq!(purpose(&fixture.pool, id).await, Purpose::Verify);
    fixture.service.shows(Finding::Found);
    assert_eq!(fixture.execute(id).await, ExecutionResult::Took(Step::Complete));
}

fn named(name: &str) -> Actor {
    Actor { principal: Principal::named(name.to_owned()), ..Actor::anonymous() }
}

#[tokio::test]
async fn from_the_commit_of_a_pause_no_worker_claims_to_post() {
    let fixture = fixture().await;
    let id = stored(&fixture.gateway).await;
    let [ann, bob] = ["ann", "bob"].map(named);
    fixture.gateway.pause(&ann, Some("the service is moving house")).await.unwrap();
    // A second pause does not replace the first.
    fixture.gateway.pause(&bob, None).await.unwrap();
    let pause = fixture.gateway.posting().await.unwrap().paused.unwrap();
    assert_eq!(pause.paused_by, "ann");
    assert_eq!(pause.reason.as_deref(), Some("the service is moving house"));
    // This worker's admission control has not polled the pause yet.
    assert_eq!(fixture.execute(id).await, ExecutionResult::NotDue);
    assert_eq!(fixture.attempts(id).await, 0);

    fixture.gateway.resume(&ann, None).await.unwrap();
    assert!(fixture.gateway.posting().await.unwrap().paused.is_none());
    fixture.service.answers_status(201);
    assert_eq!(fixture.execute(id).await, ExecutionResult::Took(Step::Complete));
    let recorded: Vec<(String, String)> =
        sqlx::query_as("select principal, action from audit where object = 'posting' order by id")
            .fetch_all(&fixture.pool)
            .await
            .unwrap();
    let names = [("ann", "pause"), ("ann", "resume")];
    assert_eq!(recorded, names.map(|(who, what)| (who.to_owned(), what.to_owned())));
}
