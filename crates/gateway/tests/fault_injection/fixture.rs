//! One transaction and one worker, whose connections to PostgreSQL can be made to break.

use std::{sync::Arc, time::Duration};

use domain::{State, backoff::Backoff, protocol::Policy};
use gateway::{Admission, Executor, Gateway, Purpose};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    breakpoints::{Breakpoints, bounded, pool},
    drive,
    posting_service::{Ledger, LedgerClient, Post, Verification},
    proxy::Proxy,
    support::{self, LIMITS, POLICY},
};

/// The name of the worker's sessions.
pub const WORKER: &str = "worker";

/// The database in which a test's transactions are executed one after another.
pub struct Environment {
    pub breakpoints: Breakpoints,
    pub proxy: Proxy,
    pub gateway: Gateway,
    connections: PgPool,
}

impl Environment {
    pub async fn new() -> Self {
        let breakpoints = Breakpoints::new(support::database().await).await;
        let proxy = Proxy::start(&breakpoints.pool).await;
        let connections = pool(proxy.options(&breakpoints.pool, WORKER), 4);
        Self { gateway: support::gateway(&breakpoints.pool), breakpoints, proxy, connections }
    }

    /// The worker's connections.
    pub fn connections(&self) -> PgPool {
        self.connections.clone()
    }

    pub fn pool(&self) -> &PgPool {
        &self.breakpoints.pool
    }
}

/// A worker with a lease of its own.
pub struct TestWorker {
    pub run: Uuid,
    pub client: Arc<LedgerClient>,
    pub executor: Arc<Executor>,
    /// A executor that admits nothing.
    pub closed_executor: Arc<Executor>,
}

impl TestWorker {
    async fn new(own: &PgPool, over: &PgPool, ledger: &Arc<Ledger>, policy: Policy) -> Self {
        let (run, client) = (Uuid::now_v7(), LedgerClient::new(ledger));
        sqlx::query("insert into workers (id, expires_at) values ($1, now() + interval '1 hour')")
            .bind(run)
            .execute(own)
            .await
            .unwrap();
        let executor = |closing: CancellationToken| {
            let admission = Arc::new(Admission::new(LIMITS, closing));
            Arc::new(Executor::new(over.clone(), client.clone(), admission, policy, run))
        };
        let closed = CancellationToken::new();
        closed.cancel();
        let (executor, closed_executor) = (executor(CancellationToken::new()), executor(closed));
        Self { run, client, executor, closed_executor }
    }
}

/// One transaction.
pub struct Fixture<'a> {
    pub env: &'a Environment,
    pub id: Uuid,
    pub policy: Policy,
    pub ledger: Arc<Ledger>,
    /// Works over connections that break.
    pub worker: TestWorker,
    /// Works over connections that do not break.
    pub other: TestWorker,
}

impl<'a> Fixture<'a> {
    pub async fn new(env: &'a Environment, max_attempts: u32) -> Self {
        // So long that no retry becomes due during the test.
        let backoff = Backoff { base: Duration::from_secs(600), max: Duration::from_secs(600) };
        // So that the windows can pass many times.
        let doubt_after = Duration::from_secs(86_400);
        let policy = Policy { max_attempts, backoff, doubt_after, ..POLICY };
        let (ledger, pool) = (Ledger::new(), env.pool());
        Self {
            env,
            id: drive::stored(&env.gateway).await,
            policy,
            worker: TestWorker::new(pool, &env.connections, &ledger, policy).await,
            other: TestWorker::new(pool, pool, &ledger, policy).await,
            ledger,
        }
    }

    /// Brings it to the state in which a verification is due.
    pub async fn doubt(&self, post: Post) {
        self.other.client.script_posts([post]);
        self.other.client.script_verifications([Verification::Failed]);
        self.other.executor.execute(self.id, Purpose::Post, ()).await.unwrap();
        drive::let_windows_pass(self.env.pool(), self.id).await;
    }

    /// Runs one execution of the worker in a task of its own.
    pub fn execute(&self, purpose: Purpose) -> tokio::task::JoinHandle<()> {
        let (executor, id) = (self.worker.executor.clone(), self.id);
        tokio::spawn(async move { executor.run_job(id, purpose, ()).await })
    }

    pub async fn is_claimed(&self) -> bool {
        let text = "select claimed_by is not null from transactions where id = $1";
        sqlx::query_scalar(text).bind(self.id).fetch_one(self.env.pool()).await.unwrap()
    }

    pub async fn losses(&self) -> i32 {
        let text = "select lost_claims from transactions where id = $1";
        sqlx::query_scalar(text).bind(self.id).fetch_one(self.env.pool()).await.unwrap()
    }

    /// Lets the worker's lease expire, reclaims what it held, and lets another worker drive the
    /// transaction to its end.
    pub async fn recover_and_end(&self, context: &str) -> State {
        let pool = self.env.pool();
        drive::expire(pool, self.worker.run).await;
        gateway::reclaim_expired(pool, &self.policy).await.unwrap();
        self.end(context).await
    }

    pub async fn end(&self, context: &str) -> State {
        let (pool, executor) = (self.env.pool(), &self.other.executor);
        let end = drive::to_the_end(pool, executor, &self.ledger, self.id, context);
        bounded(context, end).await
    }
}
