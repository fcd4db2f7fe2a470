//! A posting service that refuses our credentials, on a real PostgreSQL: it costs no transaction an attempt, and nothing
//! is lost or posted twice.

use std::{sync::Arc, time::Duration};

use domain::{
    Circuit, Ending, Finding, Outcome, State,
    breaker::Report,
    protocol::{Policy, Step},
};
use gateway::{
    Admission, AuthorizationSettings, CredentialError, CredentialSettings, ExecutionResult,
    Executor, Gateway, HttpPostingClient, OAuthSettings, Purpose, SettingFile, TlsFiles, WakeUps,
};
use simulator::{Faults, Simulator};
use tempfile::{TempDir, tempdir};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    support::{
        self, LIMITS, POLICY, Scripted, database, gateway, jobs, let_time_pass, purpose, stored,
    },
    worker::{POLICY as WORKER_POLICY, all_final, simulator, submit, worker_of},
};

/// One attempt that counts is the last.
const FRUGAL: Policy = Policy { max_attempts: 1, ..POLICY };

struct Fixture {
    pool: sqlx::PgPool,
    gateway: Gateway,
    service: Arc<Scripted>,
    admission: Arc<Admission>,
    executor: Executor,
}

async fn fixture() -> Fixture {
    let pool = database().await;
    let (gateway, service) = (gateway(&pool), Scripted::new());
    let admission = Arc::new(Admission::new(LIMITS, CancellationToken::new()));
    let executor =
        Executor::new(pool.clone(), service.clone(), admission.clone(), FRUGAL, Uuid::now_v7());
    Fixture { pool, gateway, service, admission, executor }
}

impl Fixture {
    async fn execute(&self, id: Uuid) -> ExecutionResult {
        support::execute(&self.executor, &self.pool, id).await.unwrap()
    }

    async fn outcomes(&self, id: Uuid) -> Vec<Option<Outcome>> {
        let attempts = self.gateway.attempts(id, 0, 100).await.unwrap();
        attempts.into_iter().map(|attempt| attempt.outcome).collect()
    }
}

const REFUSED: Report = Report { circuit: Circuit::Open, credentials_refused: true };

#[tokio::test]
async fn refused_credentials_use_up_no_attempt_and_open_the_breaker_at_once() {
    for status in [401, 403] {
        let fixture = fixture().await;
        let (id, other) = (stored(&fixture.gateway).await, stored(&fixture.gateway).await);
        fixture.service.answers_status(status);
        assert!(matches!(fixture.execute(id).await, ExecutionResult::Took(Step::Retry { .. })));
        assert_eq!(fixture.admission.breaker_report(), REFUSED);
        // Nobody else tries.
        assert_eq!(fixture.execute(other).await, ExecutionResult::NotAdmitted);
        // Probes that are refused use up no attempt either.
        for _ in 0..2 {
            let_time_pass(&fixture.pool, id, 0).await;
            fixture.service.answers_status(status);
            fixture.admission.wait_until_open().await;
            assert!(matches!(fixture.execute(id).await, ExecutionResult::Took(Step::Retry { .. })));
        }
        let transaction =
            fixture.gateway.transaction(&domain::Scope::All, id).await.unwrap().unwrap();
        assert_eq!((transaction.status, transaction.attempts), (State::Pending, 0));
        let error = transaction.error.unwrap();
        assert!(error.contains(&status.to_string()), "{error}");
        let outcomes = fixture.outcomes(id).await;
        assert!(outcomes.iter().all(|outcome| *outcome == Some(Outcome::NotSent)), "{outcomes:?}");

        let_time_pass(&fixture.pool, id, 0).await;
        fixture.admission.wait_until_open().await;
        fixture.service.answers_status(201);
        assert_eq!(fixture.execute(id).await, ExecutionResult::Took(Step::Complete));
        assert_eq!(fixture.admission.breaker_report(), Report::default());
    }
}

#[tokio::test]
async fn a_verification_that_is_refused_proves_nothing_and_opens_the_breaker_for_posts() {
    let fixture = fixture().await;
    let (id, other) = (stored(&fixture.gateway).await, stored(&fixture.gateway).await);
    let is_in_doubt =
        |result| matches!(result, ExecutionResult::Took(Step::InDoubt { at: Some(_), .. }));
    fixture.service.answers(Ending::TimedOut).refuses_verification(403);
    assert!(is_in_doubt(fixture.execute(id).await));
    assert_eq!(fixture.admission.breaker_report(), REFUSED);
    assert_eq!(fixture.execute(other).await, ExecutionResult::NotAdmitted);
    // However long it goes on, there is no POST and no final state without an answer.
    let_time_pass(&fixture.pool, id, 100_000).await;
    fixture.service.refuses_verification(401);
    assert!(is_in_doubt(fixture.execute(id).await));
    let_time_pass(&fixture.pool, id, 0).await;
    assert_eq!(purpose(&fixture.pool, id).await, Purpose::Verify);
    fixture.service.shows(Finding::Found);
    assert_eq!(fixture.execute(id).await, ExecutionResult::Took(Step::Complete));
    assert_eq!(fixture.service.requests(), ["post", "verify", "verify", "verify"]);
}

#[tokio::test]
async fn without_a_credential_nothing_is_claimed_and_no_attempt_is_written() {
    let fixture = fixture().await;
    let id = stored(&fixture.gateway).await;
    let error = CredentialError::NoToken("no answer in time".to_owned());
    *fixture.service.no_credential.lock().unwrap() = Some(error);
    assert_eq!(fixture.execute(id).await, ExecutionResult::NotAdmitted);
    let report = Report { circuit: Circuit::Open, credentials_refused: false };
    assert_eq!(fixture.admission.breaker_report(), report);
    fixture.executor.run_job(id, Purpose::Post, ()).await;
    assert_eq!((fixture.outcomes(id).await.len(), jobs(&fixture.pool, id).await), (0, 1));

    *fixture.service.no_credential.lock().unwrap() = None;
    fixture.admission.wait_until_open().await;
    fixture.service.answers_status(201);
    assert_eq!(fixture.execute(id).await, ExecutionResult::Took(Step::Complete));
}

/// How many attempts the posting service refused because of their credentials.
async fn refused_attempts(pool: &sqlx::PgPool) -> i64 {
    sqlx::query_scalar(
        "select count(*) from attempts where http_status = 401 and outcome = 'not_sent'",
    )
    .fetch_one(pool)
    .await
    .unwrap()
}

/// The attempts that the transactions have used up, each number once.
async fn used_up(pool: &sqlx::PgPool) -> Vec<i32> {
    sqlx::query_scalar("select distinct attempts from transactions").fetch_all(pool).await.unwrap()
}

fn secret(folder: &TempDir, content: &str) -> SettingFile {
    let (path, new) = (folder.path().join("secret"), folder.path().join("new"));
    std::fs::write(&new, content).unwrap();
    std::fs::rename(new, &path).unwrap();
    SettingFile { setting: "A_FILE", path }
}

fn client(
    simulator: &Simulator,
    policy: Policy,
    authorization: AuthorizationSettings,
) -> HttpPostingClient {
    let url = format!("http://{}", simulator.addr());
    let credentials = CredentialSettings { authorization, ..CredentialSettings::default() };
    HttpPostingClient::through(None, &url, TlsFiles::default(), credentials, policy.timeout)
        .unwrap()
}

/// No fault but the tokens, so that each transaction needs exactly one attempt. A timeout would be one.
const PATIENT: Policy = Policy { timeout: Duration::from_secs(30), ..WORKER_POLICY };

#[tokio::test(flavor = "multi_thread")]
async fn tokens_that_expire_under_load_lose_nothing_use_up_nothing_and_duplicate_nothing() {
    let (pool, folder) = (database().await, tempdir().unwrap());
    let wake_ups = WakeUps::default();
    let gateway = Gateway::new(pool.clone(), wake_ups.clone());
    // The token endpoint says that its tokens live for an hour.
    let faults = Faults {
        token_lifetime_ms: 200,
        latency_median_ms: 20,
        latency_sigma: 0.5,
        ..Faults::none()
    };
    let (simulator, _folder) = simulator(faults).await;
    let authorization = AuthorizationSettings::OAuth(OAuthSettings {
        token_url: format!("http://{}/oauth/token", simulator.addr()),
        client_id: "onceward".to_owned(),
        client_secret: secret(&folder, "s3cret"),
        scope: None,
        audience: None,
        proxy: None,
    });
    let running = worker_of(PATIENT, client(&simulator, PATIENT, authorization), &pool, wake_ups);
    submit(&gateway, 600).await;
    assert_eq!(all_final(&gateway).await, 600);
    running.stop().await;
    assert!(refused_attempts(&pool).await > 0, "no token expired while it was used");
    assert_eq!(used_up(&pool).await, [1]);
    let audit = simulator.handle().audit();
    assert_eq!((audit.entries, audit.distinct_ids, audit.duplicated_count), (600, 600, 0));
    simulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn health_says_that_credentials_are_refused_until_their_file_holds_others() {
    let (pool, folder) = (database().await, tempdir().unwrap());
    let wake_ups = WakeUps::default();
    let gateway = Gateway::new(pool.clone(), wake_ups.clone());
    let faults = Faults { token_lifetime_ms: 60 * 60 * 1000, ..Faults::none() };
    let (simulator, _folder) = simulator(faults).await;
    let authorization = AuthorizationSettings::Bearer(secret(&folder, "stale"));
    let running = worker_of(PATIENT, client(&simulator, PATIENT, authorization), &pool, wake_ups);
    submit(&gateway, 50).await;
    let refused = async {
        let expected = "the posting service refuses our credentials";
        while !gateway.health().await.unwrap().reasons.iter().any(|reason| reason == expected) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), refused).await.expect("health does not say so");
    assert_eq!(gateway.posting().await.unwrap().circuits.credentials_refused, 1);
    assert!(refused_attempts(&pool).await > 0);
    // As an operator does it.
    let token = reqwest::Client::new()
        .post(format!("http://{}/oauth/token", simulator.addr()))
        .basic_auth("operator", Some("s3cret"))
        .body("grant_type=client_credentials")
        .send()
        .await
        .unwrap();
    let token: serde_json::Value = token.json().await.unwrap();
    secret(&folder, token["access_token"].as_str().unwrap());
    assert_eq!(all_final(&gateway).await, 50);
    running.stop().await;
    assert_eq!(used_up(&pool).await, [1]);
    assert_eq!(simulator.handle().audit().entries, 50);
    simulator.shutdown().await;
}
