//! Operations: pause, health and metrics, on the real program.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use support::{Program, Service, contract, database, redacted};

/// Onceward with one attempt for each transaction and four requests at once, its posting service,
/// and its database.
async fn start() -> (Program, Service, String) {
    let (service, database) = (Service::start().await, database().await);
    let mut command = service.command("serve", &database);
    command.env("POSTING_MAX_ATTEMPTS", "1").env("POSTING_CONCURRENCY", "4");
    let program = Program::start(command).await;
    program.healthy().await;
    (program, service, database)
}

async fn posting(program: &Program, action: &str, body: &Value) -> Value {
    contract(program.post_json(&format!("/api/posting/{action}"), body).await).await
}

#[tokio::test]
async fn a_pause_stops_posts_but_not_verifications_until_posting_resumes() {
    let (program, service, _) = start().await;
    let status = contract(program.get("/api/posting").send().await.unwrap()).await;
    insta::assert_snapshot!("posting", redacted(status, &[]));
    service.faults(json!({"preWriteFailureRate": 1, "verificationFailureRate": 1})).await;
    let doubtful = program.submit_one(1).await;
    program.wait_for(&doubtful, "in_doubt").await;
    service.faults(json!({"preWriteFailureRate": 0, "latencyMedianMs": 100})).await;
    let mut ids = Vec::new();
    for amount in 1..=60 {
        ids.push(program.submit_one(amount).await);
    }

    let paused = posting(&program, "pause", &json!({"reason": "they restore a backup"})).await;
    insta::assert_snapshot!("paused", redacted(paused, &["/body/paused/pausedAt"]));
    let again = posting(&program, "pause", &json!({"reason": "another"})).await;
    assert_eq!(again["body"]["paused"]["reason"], "they restore a backup");
    // What was in flight ends, and then only verifications arrive.
    let is_still = |health: &Value| health["inFlight"] == 0;
    let still = program.read_until("/api/health", is_still).await;
    let (posts, _) = service.requests().await;
    let late = program.submit_one(1).await;
    service.wait_for_verifications(2).await;
    assert_eq!(service.requests().await.0, posts);
    let degraded = |health: &Value| health["status"] == "degraded";
    let health = program.read_until("/api/health", degraded).await;
    assert_eq!(health["paused"], true);
    let reasons = health["reasons"].as_array().unwrap();
    assert!(reasons.contains(&json!("posting is paused")), "{reasons:?}");
    let waiting = still["queueDepth"].as_u64().unwrap();
    assert_eq!(health["queueDepth"], waiting + 1);
    assert!(waiting > 0, "the pause came too late to stop anything");

    let resumed = posting(&program, "resume", &Value::Null).await;
    assert_eq!(resumed["body"]["errors"][0]["pointer"], "");
    let resumed = program.post("/api/posting/resume").send().await.unwrap();
    insta::assert_snapshot!("resumed", redacted(contract(resumed).await, &[]));
    // A POST that times out on a busy machine is in doubt until a verification finds it.
    service.faults(json!({"verificationFailureRate": 0})).await;
    for id in ids.iter().chain([&late]) {
        program.wait_for(id, "completed").await;
    }
    program.wait_for(&doubtful, "failed").await;
    program.healthy().await;
    for action in ["pause", "resume"] {
        let answer = posting(&program, action, &json!({"reason": 1})).await;
        assert_eq!(answer["body"]["errors"][0]["pointer"], "/reason");
    }
}

#[tokio::test]
async fn health_says_why_it_is_not_healthy() {
    let (program, service, database) = start().await;
    service.faults(json!({"outage": true})).await;
    let mut ids = Vec::new();
    for amount in 1..=30 {
        ids.push(program.submit_one(amount).await);
    }
    let broken = |health: &Value| health["circuit"] != "closed";
    let health = program.read_until("/api/health", broken).await;
    assert_eq!(health["status"], "degraded");
    let reasons = health["reasons"].as_array().unwrap();
    assert!(reasons.contains(&json!("nothing gets through to the posting service")), "{reasons:?}");
    let metrics = Metrics::of(&program).await;
    assert_eq!(metrics.value("onceward_circuit_open", &[]), Some(1.0));
    service.faults(json!({"outage": false})).await;
    program.read_until("/api/health", |health| health["circuit"] == "closed").await;

    // The database is gone.
    let (server, query) = database.split_once('?').unwrap();
    let (server, name) = server.rsplit_once('/').unwrap();
    let mut connection =
        PgConnection::connect(&format!("{server}/postgres?{query}")).await.unwrap();
    let statement = format!("drop database {name} with (force)");
    sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&mut connection).await.unwrap();
    let gone = contract(program.get("/api/health").send().await.unwrap()).await;
    insta::assert_snapshot!("unhealthy", redacted(gone, &["/body/uptime", "/body/version"]));
    let unready = contract(program.get("/readyz").send().await.unwrap()).await;
    insta::assert_snapshot!("unready", redacted(unready, &[]));
    for path in ["/api/posting", "/api/bulk-retries/7c9e6679-7425-40de-944b-e07fc1f90ae7"] {
        assert_eq!(program.get(path).send().await.unwrap().status(), 503, "{path}");
    }
    // The process still reports what it knows by itself, and nothing else.
    let metrics = Metrics::of(&program).await;
    assert!(metrics.families.contains_key("onceward_attempts_total"));
    assert!(!metrics.families.contains_key("onceward_transactions"));
}

#[tokio::test]
async fn the_metrics_describe_the_process_and_the_database() {
    let (program, service, _) = start().await;
    let id = program.submit_one(7).await;
    program.wait_for(&id, "completed").await;
    let body = json!({"id": id, "amount": 7, "currency": "USD"});
    program.post_json("/api/transactions", &body).await;
    service.faults(json!({"preWriteFailureRate": 1, "verificationFailureRate": 1})).await;
    let doubtful = program.submit_one(8).await;
    program.wait_for(&doubtful, "in_doubt").await;
    // One of two posted; the worker reports that with its heartbeat.
    program.read_until("/api/health", |health| health["errorRate"] == 0.5).await;
    posting(&program, "pause", &json!({})).await;
    for amount in 1..=3 {
        program.submit_one(amount).await;
    }
    program.get("/no/such/page").send().await.unwrap();
    let reply = program.get("/metrics").send().await.unwrap();
    let kind = reply.headers()["content-type"].to_str().unwrap();
    assert_eq!(kind, "text/plain; version=0.0.4; charset=utf-8");
    let text = reply.text().await.unwrap();
    assert!(!text.contains(&id) && !text.contains("/no/such/page"), "{text}");
    let metrics = Metrics::parse(&text);

    let route = ("route", "/api/transactions");
    for (name, labels, value) in [
        ("onceward_accepted_total", &[("result", "new")][..], 5.0),
        ("onceward_accepted_total", &[("result", "replayed")], 1.0),
        ("onceward_http_requests_total", &[("method", "POST"), route, ("status", "202")], 6.0),
        (
            "onceward_http_requests_total",
            &[("method", "GET"), ("route", "unmatched"), ("status", "404")],
            1.0,
        ),
        ("onceward_http_request_duration_seconds_count", &[("method", "POST"), route], 6.0),
        ("onceward_accept_batch_rows_sum", &[], 6.0),
        ("onceward_attempts_total", &[("outcome", "posted")], 1.0),
        ("onceward_attempts_total", &[("outcome", "unknown")], 1.0),
        ("onceward_attempt_duration_seconds_count", &[("outcome", "posted")], 1.0),
        ("onceward_circuit_open", &[], 0.0),
        ("onceward_transactions", &[("state", "completed")], 1.0),
        ("onceward_transactions", &[("state", "in_doubt")], 1.0),
        ("onceward_transactions", &[("state", "pending")], 3.0),
        ("onceward_transactions", &[("state", "rejected")], 0.0),
        ("onceward_pending_due", &[], 3.0),
        ("onceward_pending_waiting", &[], 0.0),
        ("onceward_workers", &[("circuit", "closed")], 1.0),
        ("onceward_workers", &[("circuit", "half_open")], 0.0),
        ("onceward_posting_paused", &[], 1.0),
        ("onceward_jobs", &[("queue", "transactions")], 3.0),
        ("onceward_jobs", &[("queue", "bulk_retries")], 0.0),
    ] {
        assert_eq!(metrics.value(name, labels), Some(value), "{name} {labels:?} in\n{text}");
    }
    for (name, labels, least) in [
        ("onceward_verifications_total", &[("finding", "failed")][..], 1.0),
        ("onceward_oldest_due_age_seconds", &[], 0.0),
        ("onceward_table_live_tuples", &[("table", "apalis.jobs")], 0.0),
        ("onceward_table_dead_tuples", &[("table", "transactions")], 0.0),
        ("onceward_table_dead_tuples", &[("table", "attempts")], 0.0),
        ("onceward_table_dead_tuples", &[("table", "verifications")], 0.0),
        ("onceward_database_oldest_transaction_age_seconds", &[], 0.0),
        ("onceward_database_oldest_snapshot_age_seconds", &[], 0.0),
        ("onceward_database_oldest_snapshot_age_transactions", &[], 0.0),
        ("onceward_database_size_bytes", &[], 1_000_000.0),
    ] {
        let value = metrics.value(name, labels);
        assert!(value.is_some_and(|value| value >= least), "{name} {labels:?} in\n{text}");
    }
}

#[tokio::test]
async fn a_held_snapshot_shows_in_the_metrics() {
    let (program, _service, database) = start().await;
    let mut connection = PgConnection::connect(&database).await.unwrap();
    let begin = "begin isolation level repeatable read; select 1";
    sqlx::raw_sql(begin).execute(&mut connection).await.unwrap();
    for amount in 1..=20 {
        let id = program.submit_one(amount).await;
        program.wait_for(&id, "completed").await;
    }
    let metrics = Metrics::of(&program).await;
    let value =
        |name: &str| metrics.value(&format!("onceward_database_oldest_{name}"), &[]).unwrap();
    assert!(value("snapshot_age_transactions") >= 20.0);
    assert!(value("snapshot_age_seconds") > 0.0);
    assert!(value("transaction_age_seconds") >= value("snapshot_age_seconds"));
}

#[tokio::test]
async fn a_web_process_without_a_worker_is_degraded_and_a_worker_serves_its_own_metrics() {
    let (service, database) = (Service::start().await, database().await);
    let web = Program::start(service.command("web", &database)).await;
    let health = web.read("/api/health").await;
    assert_eq!((&health["status"], &health["workers"]), (&json!("degraded"), &json!(0)));
    assert_eq!(health["reasons"], json!(["no worker is alive"]));
    let mut beyond_loopback = service.command("worker", &database);
    beyond_loopback.env("METRICS_ADDR", "0.0.0.0:0").env("ONCEWARD_AUTH", "off");
    let refused = beyond_loopback.output().await.unwrap();
    let error = String::from_utf8(refused.stderr).unwrap();
    assert!(!refused.status.success() && error.contains("METRICS_ADDR"), "{error}");
    let mut worker = service.command("worker", &database);
    worker.env("METRICS_ADDR", "127.0.0.1:0");
    let worker = Program::start(worker).await;
    assert_eq!(web.healthy().await["workers"], 1);
    let id = web.submit_one(7).await;
    web.wait_for(&id, "completed").await;
    for path in ["/livez", "/readyz"] {
        let answer = worker.get(path).header("x-request-id", "probe-1").send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        assert_eq!(answer.headers()["x-request-id"], "probe-1");
    }
    assert_eq!(worker.get("/api/health").send().await.unwrap().status(), 404);
    let posted = [("outcome", "posted")];
    let (of_worker, of_web) = (Metrics::of(&worker).await, Metrics::of(&web).await);
    assert_eq!(of_worker.value("onceward_attempts_total", &posted), Some(1.0));
    assert_eq!(of_web.value("onceward_attempts_total", &posted), None);
    assert_eq!(of_web.value("onceward_transactions", &[("state", "completed")]), Some(1.0));
}

/// The content of `/metrics`, parsed as strictly as Prometheus does.
struct Metrics {
    /// The type of each family.
    families: BTreeMap<String, String>,
    /// By name and labels.
    samples: BTreeMap<(String, BTreeMap<String, String>), f64>,
}

impl Metrics {
    async fn of(program: &Program) -> Self {
        Self::parse(&program.get("/metrics").send().await.unwrap().text().await.unwrap())
    }

    fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        self.samples.get(&(name.to_owned(), labels.collect())).copied()
    }

    /// Each sample follows the help and the type of its family, once.
    fn parse(text: &str) -> Self {
        let mut metrics = Self { families: BTreeMap::new(), samples: BTreeMap::new() };
        let (mut help, mut family) = (None, None);
        assert!(text.ends_with('\n'));
        for line in text.lines().filter(|line| !line.is_empty()) {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, words) = rest.split_once(' ').unwrap();
                assert!(name.starts_with("onceward_") && words.ends_with('.'), "{line}");
                help = Some(name.to_owned());
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap();
                assert_eq!(help.as_deref(), Some(name), "{line}");
                assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
                assert_eq!(name.ends_with("_total"), kind == "counter", "{line}");
                let earlier = metrics.families.insert(name.to_owned(), kind.to_owned());
                assert_eq!(earlier, None, "{line}");
                family = Some((name.to_owned(), kind.to_owned()));
            } else {
                let (sample, value) = line.rsplit_once(' ').unwrap();
                let (name, labels) = match sample.split_once('{') {
                    Some((name, labels)) => (name, labels.strip_suffix('}').unwrap()),
                    None => (sample, ""),
                };
                let (family, kind) = family.as_ref().unwrap();
                let suffix = name.strip_prefix(family.as_str()).unwrap_or_else(|| panic!("{line}"));
                let suffixes: &[_] =
                    if kind == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
                assert!(suffixes.contains(&suffix), "{line}");
                let labels = labels.split(',').filter(|label| !label.is_empty()).map(|label| {
                    let (name, value) = label.split_once("=\"").unwrap_or_else(|| panic!("{line}"));
                    (name.to_owned(), value.strip_suffix('"').unwrap().to_owned())
                });
                let sample = (name.to_owned(), labels.collect());
                let earlier = metrics.samples.insert(sample, value.parse().unwrap());
                assert_eq!(earlier, None, "{line}");
            }
        }
        metrics
    }
}
