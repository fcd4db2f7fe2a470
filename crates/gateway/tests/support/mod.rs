//! A database for each test, and a posting service that follows a script.
#![allow(dead_code, clippy::unwrap_used)]

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use domain::{
    AnswerBody, Ending, Finding, Scope, State, Submission, TraceParent, TraceState,
    backoff::Backoff, protocol::Policy,
};
use futures::future::BoxFuture;
use gateway::{
    Admission, AdmissionLimits, BootInstant, CredentialError, EngineError, ExecutionResult,
    Executor, Gateway, LookupAnswer, PostAnswer, PostingRequest, PostingService, Purpose, WakeUps,
    database::{self, WORKER_ACQUIRE_TIMEOUT},
};
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub const POLICY: Policy = Policy {
    max_attempts: 3,
    timeout: Duration::from_secs(10),
    settle: Duration::from_secs(30),
    visibility: Duration::from_secs(1),
    backoff: Backoff { base: Duration::from_millis(500), max: Duration::from_secs(60) },
    in_doubt_backoff: Backoff { base: Duration::from_secs(5), max: Duration::from_secs(600) },
    doubt_after: Duration::from_secs(300),
    confirms_posts: false,
};

pub const LIMITS: AdmissionLimits =
    AdmissionLimits { posts: 16, verifications: 4, requests_per_second: None };

fn server_url() -> String {
    std::env::var("ONCEWARD_TEST_DATABASE_URL")
        .expect("ONCEWARD_TEST_DATABASE_URL must name a PostgreSQL: run `make test`")
}

fn url_of(database: &str) -> String {
    let url = server_url();
    let (start, query) = url.split_once('?').map_or((url.as_str(), ""), |(a, b)| (a, b));
    let (server, _) = start.rsplit_once('/').unwrap();
    format!("{server}/{database}?{query}")
}

/// An empty migrated database for one test, copied from a template that is migrated once per test
/// program.
pub async fn database() -> PgPool {
    static MIGRATED: tokio::sync::Mutex<bool> = tokio::sync::Mutex::const_new(false);
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let server = database::pool(&server_url(), None, 2, WORKER_ACQUIRE_TIMEOUT).unwrap();
    let template = format!("template_{}", std::process::id());
    // Copying needs exclusive access to the template.
    let mut migrated = MIGRATED.lock().await;
    if !*migrated {
        run_sql(&server, &format!("create database {template}")).await;
        let pool = database::pool(&url_of(&template), None, 2, WORKER_ACQUIRE_TIMEOUT).unwrap();
        database::migrate(&pool).await.unwrap();
        pool.close().await;
        *migrated = true;
    }
    let name = format!("test_{}_{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
    run_sql(&server, &format!("create database {name} template {template}")).await;
    server.close().await;
    database::pool(&url_of(&name), None, 10, WORKER_ACQUIRE_TIMEOUT).unwrap()
}

/// Separate connections to the same database.
pub fn another(pool: &PgPool) -> PgPool {
    pool.options().clone().connect_lazy_with(pool.connect_options().as_ref().clone())
}

async fn run_sql(pool: &PgPool, statement: &str) {
    sqlx::query(sqlx::AssertSqlSafe(statement.to_owned())).execute(pool).await.unwrap();
}

pub fn submission(body: Value) -> Submission {
    Submission::from_json(&body).unwrap()
}

pub fn gateway(pool: &PgPool) -> Gateway {
    Gateway::new(pool.clone(), WakeUps::default())
}

/// Stores a plain transaction and returns its id.
pub async fn stored(gateway: &Gateway) -> Uuid {
    let submission = submission(json!({"amount": "100.50", "currency": "USD"}));
    let principal = domain::Principal::anonymous();
    gateway.submit(&principal, submission).await.unwrap().transaction.transaction_id
}

/// A executor for a new run with a valid lease.
pub async fn executor(pool: &PgPool, service: &Arc<Scripted>) -> (Executor, Uuid) {
    let run = Uuid::now_v7();
    sqlx::query("insert into workers (id, expires_at) values ($1, now() + interval '1 hour')")
        .bind(run)
        .execute(pool)
        .await
        .unwrap();
    let admission = Arc::new(Admission::new(LIMITS, CancellationToken::new()));
    (Executor::new(pool.clone(), service.clone(), admission, POLICY, run), run)
}

/// The purpose of the transaction's job; `Post` if it has none.
pub async fn purpose(pool: &PgPool, id: Uuid) -> Purpose {
    let queue: Option<String> =
        sqlx::query_scalar("select job_type from apalis.jobs where convert_from(job, 'UTF8') = $1")
            .bind(format!("\"{id}\""))
            .fetch_optional(pool)
            .await
            .unwrap();
    match queue {
        Some(queue) if queue == Purpose::Verify.queue() => Purpose::Verify,
        _ => Purpose::Post,
    }
}

/// Executes the transaction as its job asks.
pub async fn execute(
    executor: &Executor,
    pool: &PgPool,
    id: Uuid,
) -> Result<ExecutionResult, EngineError> {
    executor.execute(id, purpose(pool, id).await, ()).await
}

/// Moves a transaction's doubt into the past by so many seconds and makes the transaction due.
pub async fn let_time_pass(pool: &PgPool, id: Uuid, seconds: i32) {
    sqlx::query(
        "update transactions set
            doubt_since = doubt_since - $2 * interval '1 second',
            next_attempt_at = now()
         where id = $1",
    )
    .bind(id)
    .bind(seconds)
    .execute(pool)
    .await
    .unwrap();
}

pub async fn state(gateway: &Gateway, id: Uuid) -> State {
    gateway.transaction(&Scope::All, id).await.unwrap().unwrap().status
}

/// How many jobs the transaction has: one until it is final.
pub async fn jobs(pool: &PgPool, id: Uuid) -> i64 {
    sqlx::query_scalar("select count(*) from apalis.jobs where convert_from(job, 'UTF8') = $1")
        .bind(format!("\"{id}\""))
        .fetch_one(pool)
        .await
        .unwrap()
}

/// A posting service that returns scripted answers, and fails the test when the script is
/// exhausted.
#[derive(Default)]
pub struct Scripted {
    answers: Mutex<VecDeque<PostAnswer>>,
    sightings: Mutex<VecDeque<LookupAnswer>>,
    requests: Mutex<Vec<&'static str>>,
    /// The trace of each request, and its state.
    pub traces: Mutex<Vec<(TraceParent, Option<TraceState>)>>,
    /// Notified when a POST has arrived.
    pub arrived: Notify,
    /// While set, a POST waits for it before it is answered.
    pub hold: Mutex<Option<Arc<Notify>>>,
    /// While set, there is no credential for any request.
    pub no_credential: Mutex<Option<CredentialError>>,
}

impl Scripted {
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Scripts how the next POST ends.
    pub fn answers(self: &Arc<Self>, ending: Ending) -> &Arc<Self> {
        let excerpt = matches!(ending, Ending::Answered { .. }).then(|| "what it said".to_owned());
        let transport_error = excerpt.is_none().then(|| "no answer".to_owned());
        let credentials_renewed = false;
        let answer = PostAnswer { ending, transport_error, excerpt, credentials_renewed };
        self.answers.lock().unwrap().push_back(answer);
        self
    }

    /// Scripts an answer with this status and a body that agrees for the next POST.
    pub fn answers_status(self: &Arc<Self>, status: u16) -> &Arc<Self> {
        self.answers(Ending::Answered { status, body: AnswerBody::Agrees, retry_after: None })
    }

    /// Scripts the finding of the next verification.
    pub fn shows(self: &Arc<Self>, finding: Finding) -> &Arc<Self> {
        let error = (finding == Finding::Failed).then(|| "answered 500".to_owned());
        self.sightings.lock().unwrap().push_back(LookupAnswer {
            finding,
            http_status: None,
            error,
            retry_after: None,
            credentials_renewed: false,
        });
        self
    }

    /// Scripts a verification that is answered with this status and proves nothing.
    pub fn refuses_verification(self: &Arc<Self>, status: u16) -> &Arc<Self> {
        let failed = LookupAnswer::failed(format!("answered {status}"));
        let answer = LookupAnswer { http_status: Some(status), ..failed };
        self.sightings.lock().unwrap().push_back(answer);
        self
    }

    /// The requests so far, in order: `post` and `verify`.
    pub fn requests(&self) -> Vec<&'static str> {
        self.requests.lock().unwrap().clone()
    }
}

impl PostingService for Scripted {
    fn prepare(&self) -> BoxFuture<'_, Result<(), CredentialError>> {
        let error = self.no_credential.lock().unwrap().clone();
        Box::pin(async move { error.map_or(Ok(()), Err) })
    }

    fn post<'a>(
        &'a self,
        posting: &'a PostingRequest,
        _: BootInstant,
    ) -> BoxFuture<'a, PostAnswer> {
        Box::pin(async move {
            self.requests.lock().unwrap().push("post");
            self.traces.lock().unwrap().push((posting.trace_parent, posting.trace_state.clone()));
            self.arrived.notify_one();
            let hold = self.hold.lock().unwrap().clone();
            if let Some(hold) = hold {
                hold.notified().await;
            }
            self.answers.lock().unwrap().pop_front().expect("a POST beyond the script")
        })
    }

    fn verify<'a>(&'a self, posting: &'a PostingRequest) -> BoxFuture<'a, LookupAnswer> {
        Box::pin(async move {
            self.requests.lock().unwrap().push("verify");
            self.traces.lock().unwrap().push((posting.trace_parent, posting.trace_state.clone()));
            let sighting = self.sightings.lock().unwrap().pop_front();
            sighting.expect("a verification beyond the script")
        })
    }
}
