//! One transaction, brought to the state in which two contenders compete for it, and afterwards
//! driven to its end.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use domain::{Actor, Intervention, backoff::Backoff, protocol::Policy};
use gateway::{Admission, EngineError, ExecutionResult, Executor, Gateway, Purpose};
use sqlx::PgPool;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    breakpoints::{Breakpoints, bounded},
    drive,
    posting_service::{Ledger, LedgerClient, Post, Verification},
    support::{self, LIMITS, POLICY},
};

/// The state of the transaction when the contenders come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// Submitted.
    Due,
    /// Postponed: due within the next hour.
    Later,
    /// Pending and due, with an attempt that may have arrived.
    Doubtful,
    /// In doubt and due, with no attempts left.
    InDoubt,
    /// Refused by the posting service.
    Failed,
    /// Claimed by a dead run, with an attempt in flight.
    Orphaned,
    /// Reclaimed from the holder, whose POST is still in flight, and claimed by the other to verify
    /// it.
    Overtaken,
    /// Claimed, with a POST in flight that will end like this.
    Posting(Post),
    /// The same, after an attempt that is proven not to have arrived.
    PostingAgain(Post),
    /// After a POST that broke, with a verification in flight that will find this.
    VerifyingAfterPost(Post, Verification),
    /// [`Start::Doubtful`], claimed, with a verification in flight that will find this.
    Verifying(Post, Verification),
    /// [`Start::InDoubt`], claimed, with a verification in flight that will find this.
    VerifyingInDoubt(Post, Verification),
}

impl Start {
    pub fn is_claimed(self) -> bool {
        use Start::{Doubtful, Due, Failed, InDoubt, Later};
        !matches!(self, Due | Later | Doubtful | InDoubt | Failed)
    }

    fn policy(self) -> Policy {
        let max_attempts = match self {
            Self::InDoubt | Self::VerifyingInDoubt(..) => 1,
            _ => 3,
        };
        // So long that no retry becomes due by chance.
        let none = Backoff { base: Duration::from_secs(3600), max: Duration::from_secs(3600) };
        Policy { max_attempts, backoff: none, ..POLICY }
    }
}

/// A session of PostgreSQL, and the engine on it.
pub struct Session {
    pub pool: PgPool,
    pub gateway: Gateway,
}

/// The database of one test, with two sessions that can be stopped and one that is not.
pub struct TestDatabase {
    pub breakpoints: Breakpoints,
    pub sessions: [Arc<Session>; 2],
    pub own: Arc<Session>,
}

impl TestDatabase {
    pub async fn new() -> Self {
        let breakpoints = Breakpoints::new(support::database().await).await;
        let session = |name| {
            let pool = breakpoints.connections(name, 1);
            Arc::new(Session { gateway: support::gateway(&pool), pool })
        };
        let own = Arc::new(Session {
            gateway: support::gateway(&breakpoints.pool),
            pool: breakpoints.pool.clone(),
        });
        Self { sessions: [session("first"), session("second")], own, breakpoints }
    }
}

/// A contender for the transaction, with its own session and lease.
pub struct Contender {
    pub session: Arc<Session>,
    pub client: Arc<LedgerClient>,
    pub run: Uuid,
    pub executor: Arc<Executor>,
    /// A executor that admits nothing.
    pub closed_executor: Executor,
    pub execution: Mutex<Option<JoinHandle<Result<ExecutionResult, EngineError>>>>,
}

impl Contender {
    async fn new(
        session: &Arc<Session>,
        ledger: &Arc<Ledger>,
        policy: Policy,
        own: &PgPool,
    ) -> Self {
        let (run, client) = (Uuid::now_v7(), LedgerClient::new(ledger));
        sqlx::query("insert into workers (id, expires_at) values ($1, now() + interval '1 hour')")
            .bind(run)
            .execute(own)
            .await
            .unwrap();
        let executor = |closing: CancellationToken| {
            let admission = Arc::new(Admission::new(LIMITS, closing));
            Executor::new(session.pool.clone(), client.clone(), admission, policy, run)
        };
        let closed = CancellationToken::new();
        closed.cancel();
        Self {
            session: session.clone(),
            run,
            executor: Arc::new(executor(CancellationToken::new())),
            closed_executor: executor(closed),
            client,
            execution: Mutex::default(),
        }
    }

    /// Begins an execution. Returns how it ended, or nothing if it is stopped at a barrier.
    pub async fn begin(
        &self,
        id: Uuid,
        purpose: Purpose,
    ) -> Option<Result<ExecutionResult, EngineError>> {
        let barrier = match purpose {
            Purpose::Post => &self.client.before_post,
            Purpose::Verify => &self.client.before_verification,
        };
        barrier.close();
        let executor = self.executor.clone();
        let mut execution = tokio::spawn(async move { executor.execute(id, purpose, ()).await });
        let ended = tokio::select! {
            () = barrier.reached() => None,
            ended = &mut execution => Some(ended.unwrap()),
        };
        if ended.is_none() {
            *self.execution.lock().unwrap() = Some(execution);
        }
        ended
    }

    /// Opens the barriers at which the execution is stopped, and returns how it ended.
    pub async fn finish(&self) -> Option<Result<ExecutionResult, EngineError>> {
        self.client.open_reached();
        let execution = self.execution.lock().unwrap().take();
        match execution {
            Some(execution) => Some(bounded("the end of an execution", execution).await.unwrap()),
            None => None,
        }
    }
}

/// One transaction and its contenders.
pub struct Fixture {
    pub id: Uuid,
    pub policy: Policy,
    pub ledger: Arc<Ledger>,
    pub contenders: [Contender; 2],
    /// Connections that break; see [`crate::action::Action::Release`].
    pub breaking: Option<PgPool>,
    own: Contender,
    pool: PgPool,
}

impl Fixture {
    /// A new transaction in its start state. Whatever is in flight there belongs to `holder`.
    pub async fn new(database: &TestDatabase, start: Start, holder: usize) -> Self {
        let (ledger, policy) = (Ledger::new(), start.policy());
        let pool = database.breakpoints.pool.clone();
        let contender = async |session| Contender::new(session, &ledger, policy, &pool).await;
        let [first, second] = &database.sessions;
        let fixture = Self {
            id: drive::stored(&database.own.gateway).await,
            contenders: [contender(first).await, contender(second).await],
            own: contender(&database.own).await,
            policy,
            ledger: ledger.clone(),
            breaking: None,
            pool: pool.clone(),
        };
        fixture.reach(start, &fixture.contenders[holder], &fixture.contenders[1 - holder]).await;
        fixture
    }

    async fn reach(&self, start: Start, holder: &Contender, other: &Contender) {
        let own = &self.own;
        match start {
            Start::Due => {}
            Start::Later => {
                own.client.script_posts([Post::NotWritten]);
                self.execute(Purpose::Post).await;
            }
            Start::Doubtful | Start::InDoubt => self.doubt(Post::Broken).await,
            Start::Failed => {
                own.client.script_posts([Post::Refused]);
                self.execute(Purpose::Post).await;
            }
            Start::Orphaned => {
                assert!(own.begin(self.id, Purpose::Post).await.is_none());
                let execution = own.execution.lock().unwrap().take().unwrap();
                execution.abort();
                let _ = execution.await;
                own.client.open();
                self.expire(own.run).await;
            }
            Start::Overtaken => {
                assert!(holder.begin(self.id, Purpose::Post).await.is_none());
                self.expire(holder.run).await;
                assert_eq!(gateway::reclaim_expired(&self.pool, &self.policy).await.unwrap(), 1);
                assert!(other.begin(self.id, Purpose::Verify).await.is_none());
            }
            Start::Posting(post) => {
                holder.client.script_posts([post]);
                assert!(holder.begin(self.id, Purpose::Post).await.is_none());
            }
            Start::PostingAgain(post) => {
                self.doubt(Post::Broken).await;
                self.execute(Purpose::Verify).await;
                drive::let_windows_pass(&self.pool, self.id).await;
                holder.client.script_posts([post]);
                assert!(holder.begin(self.id, Purpose::Post).await.is_none());
            }
            Start::VerifyingAfterPost(post, finding) => {
                holder.client.script_posts([post]);
                holder.client.script_verifications([finding]);
                holder.client.before_verification.close();
                assert!(holder.begin(self.id, Purpose::Post).await.is_none());
                holder.client.before_post.open();
                holder.client.before_verification.reached().await;
            }
            Start::Verifying(post, finding) | Start::VerifyingInDoubt(post, finding) => {
                self.doubt(post).await;
                holder.client.script_verifications([finding]);
                assert!(holder.begin(self.id, Purpose::Verify).await.is_none());
            }
        }
    }

    async fn doubt(&self, post: Post) {
        self.own.client.script_posts([post]);
        self.own.client.script_verifications([Verification::Failed]);
        self.execute(Purpose::Post).await;
        drive::let_windows_pass(&self.pool, self.id).await;
    }

    async fn execute(&self, purpose: Purpose) {
        let execution = self.own.executor.execute(self.id, purpose, ()).await.unwrap();
        assert!(matches!(execution, ExecutionResult::Took(_)), "{execution:?}");
    }

    /// Lets the lease of this run expire.
    pub async fn expire(&self, run: Uuid) {
        drive::expire(&self.pool, run).await;
    }

    pub async fn fence(&self) -> i64 {
        let query =
            sqlx::query_scalar("select fence from transactions where id = $1").bind(self.id);
        query.fetch_one(&self.pool).await.unwrap()
    }

    pub async fn interventions(&self) -> i64 {
        let text = "select count(*) from audit where object = 'transaction:' || $1";
        sqlx::query_scalar(text).bind(self.id).fetch_one(&self.pool).await.unwrap()
    }

    /// How the attempts that have ended did so: the fence of each, and what was recorded at its
    /// end. What a later verification finds is not included.
    pub async fn ends(&self) -> Vec<(i64, String)> {
        let text =
            "select fence, concat_ws(' ', ended_at, http_status, transport_error, answer_excerpt)
            from attempts where transaction_id = $1 and ended_at is not null order by fence";
        sqlx::query_as(text).bind(self.id).fetch_all(&self.pool).await.unwrap()
    }

    /// Ends everything in flight and drives the transaction to its end, which must be a permitted
    /// one.
    pub async fn end(&self, context: &str) {
        for contender in self.contenders.iter().chain([&self.own]) {
            contender.client.open();
            let _ = contender.finish().await;
            self.expire(contender.run).await;
        }
        gateway::reclaim_expired(&self.pool, &self.policy).await.unwrap();
        drive::to_the_end(&self.pool, &self.own.executor, &self.ledger, self.id, context).await;
    }

    /// Removes it, so that later checks need not read it.
    pub async fn forget(&self) {
        let query = sqlx::query("delete from transactions where id = $1").bind(self.id);
        query.execute(&self.pool).await.unwrap();
    }

    /// Intervenes as an operator does.
    pub async fn intervene(&self, contender: usize, intervention: Intervention) -> &'static str {
        use gateway::InterventionError::{Changing, Engine, NoSuchTransaction, NotPermitted};
        let gateway = &self.contenders[contender].session.gateway;
        match gateway.intervene(&Actor::anonymous(), self.id, intervention, None).await {
            Ok(_) => "done",
            Err(NotPermitted(_)) => "not permitted",
            Err(Changing) => "changing",
            Err(NoSuchTransaction) => "not found",
            Err(Engine(_)) => "error",
        }
    }
}
