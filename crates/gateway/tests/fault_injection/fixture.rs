//! One transaction and one worker, whose connections to PostgreSQL can be made to break.

use std::{sync::Arc, time::Duration};

use domain::{State, backoff::Backoff, protocol::Policy};
use gateway::{Gate, Gateway, Poster, Purpose};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    breakpoints::{Stage, bounded, patient},
    drive,
    posting_service::{Clerk, Ledger, Look, Post},
    proxy::Proxy,
    support::{self, LIMITS, POLICY},
};

/// The name of the worker's sessions.
pub const WORKER: &str = "worker";

/// Where transactions are worked on, one after the other.
pub struct Place {
    pub stage: Stage,
    pub proxy: Proxy,
    pub gateway: Gateway,
    connections: PgPool,
}

impl Place {
    pub async fn new() -> Self {
        let stage = Stage::new(support::database().await).await;
        let proxy = Proxy::start(&stage.pool).await;
        let connections = patient(proxy.options(&stage.pool, WORKER), 4);
        Self { gateway: support::gateway(&stage.pool), stage, proxy, connections }
    }

    /// The worker's connections.
    pub fn connections(&self) -> PgPool {
        self.connections.clone()
    }

    pub fn pool(&self) -> &PgPool {
        &self.stage.pool
    }
}

/// Who works on transactions, under a lease of his own.
pub struct Hand {
    pub run: Uuid,
    pub clerk: Arc<Clerk>,
    pub poster: Arc<Poster>,
    /// Of a gate that lets nothing through.
    pub idle: Arc<Poster>,
}

impl Hand {
    async fn new(own: &PgPool, over: &PgPool, ledger: &Arc<Ledger>, policy: Policy) -> Self {
        let (run, clerk) = (Uuid::now_v7(), Clerk::new(ledger));
        sqlx::query("insert into workers (id, expires_at) values ($1, now() + interval '1 hour')")
            .bind(run)
            .execute(own)
            .await
            .unwrap();
        let poster = |closing: CancellationToken| {
            let gate = Arc::new(Gate::new(LIMITS, closing));
            Arc::new(Poster::new(over.clone(), clerk.clone(), gate, policy, run))
        };
        let closed = CancellationToken::new();
        closed.cancel();
        let (poster, idle) = (poster(CancellationToken::new()), poster(closed));
        Self { run, clerk, poster, idle }
    }
}

/// One transaction.
pub struct Scene<'a> {
    pub place: &'a Place,
    pub id: Uuid,
    pub policy: Policy,
    pub ledger: Arc<Ledger>,
    /// Works over connections that break.
    pub worker: Hand,
    /// Works over those that do not.
    pub other: Hand,
}

impl<'a> Scene<'a> {
    pub async fn new(place: &'a Place, max_attempts: u32) -> Self {
        // Nothing comes back by chance while it is looked at.
        let backoff = Backoff { base: Duration::from_secs(600), max: Duration::from_secs(600) };
        let policy = Policy { max_attempts, backoff, ..POLICY };
        let (ledger, pool) = (Ledger::new(), place.pool());
        Self {
            place,
            id: drive::stored(&place.gateway).await,
            policy,
            worker: Hand::new(pool, &place.connections, &ledger, policy).await,
            other: Hand::new(pool, pool, &ledger, policy).await,
            ledger,
        }
    }

    /// Brings it to where a verification is due.
    pub async fn doubt(&self, post: Post) {
        self.other.clerk.posts([post]);
        self.other.clerk.looks([Look::Failed]);
        self.other.poster.process(self.id, Purpose::Post, ()).await.unwrap();
        drive::let_pass(self.place.pool(), self.id).await;
    }

    /// One turn of the worker's, in a task of its own.
    pub fn turn(&self, purpose: Purpose) -> tokio::task::JoinHandle<()> {
        let (poster, id) = (self.worker.poster.clone(), self.id);
        tokio::spawn(async move { poster.turn(id, purpose, ()).await })
    }

    pub async fn is_claimed(&self) -> bool {
        let text = "select claimed_by is not null from transactions where id = $1";
        sqlx::query_scalar(text).bind(self.id).fetch_one(self.place.pool()).await.unwrap()
    }

    pub async fn losses(&self) -> i32 {
        let text = "select lost_claims from transactions where id = $1";
        sqlx::query_scalar(text).bind(self.id).fetch_one(self.place.pool()).await.unwrap()
    }

    /// The worker is lost, what it held is taken back, and another brings it to its end.
    pub async fn recover_and_end(&self, context: &str) -> State {
        let pool = self.place.pool();
        drive::expire(pool, self.worker.run).await;
        gateway::recover(pool, &self.policy).await.unwrap();
        self.end(context).await
    }

    pub async fn end(&self, context: &str) -> State {
        let (pool, poster) = (self.place.pool(), &self.other.poster);
        let end = drive::to_its_end(pool, poster, &self.ledger, self.id, context);
        bounded(context, end).await
    }
}
