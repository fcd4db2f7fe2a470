//! One transaction, and an executor whose posting service follows a script.

use std::sync::Arc;

use domain::{Finding, Outcome, State, protocol::Step};
use gateway::{ExecutionResult, Executor};
use sqlx::PgPool;
use uuid::Uuid;

use crate::support::{
    self, Scripted, database, executor, gateway, jobs, let_time_pass, state, stored,
};

pub struct Fixture {
    pub pool: PgPool,
    pub gateway: gateway::Gateway,
    pub service: Arc<Scripted>,
    pub executor: Arc<Executor>,
    pub run: Uuid,
    pub id: Uuid,
}

pub async fn fixture() -> Fixture {
    let pool = database().await;
    let gateway = gateway(&pool);
    let service = Scripted::new();
    let (executor, run) = executor(&pool, &service).await;
    let id = stored(&gateway).await;
    Fixture { pool, gateway, service, executor: Arc::new(executor), run, id }
}

impl Fixture {
    pub async fn execute(&self) -> ExecutionResult {
        support::execute(&self.executor, &self.pool, self.id).await.unwrap()
    }

    /// An attempt that is answered with an error and proven absent after its window.
    pub async fn fail_an_attempt(&self) {
        self.service.answers_status(500).shows(Finding::Absent);
        assert!(matches!(self.execute().await, ExecutionResult::Took(Step::Retry { .. })));
        let_time_pass(&self.pool, self.id, 60).await;
        self.service.shows(Finding::Absent);
        assert!(matches!(self.execute().await, ExecutionResult::Took(Step::PostAgain { .. })));
    }

    pub async fn state(&self) -> State {
        state(&self.gateway, self.id).await
    }

    pub async fn outcomes(&self) -> Vec<Option<Outcome>> {
        let attempts = self.gateway.attempts(self.id, 0, 100).await.unwrap();
        attempts.into_iter().map(|attempt| attempt.outcome).collect()
    }

    pub async fn jobs(&self) -> i64 {
        jobs(&self.pool, self.id).await
    }
}
