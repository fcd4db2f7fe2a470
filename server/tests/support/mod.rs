//! The real program, started for a test and stopped after it.
#![allow(dead_code, clippy::unwrap_used)]

use std::{
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use reqwest::{Client, RequestBuilder, Response};
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    process::{Child, Command},
    time::sleep,
};

/// Replaces the fields that differ from run to run.
pub fn redacted(mut value: Value, fields: &[&str]) -> String {
    for field in fields {
        *value.pointer_mut(field).unwrap() = json!("[redacted]");
    }
    serde_json::to_string_pretty(&value).unwrap()
}

/// The status, the headers that are part of the contract, and the body.
pub async fn contract(response: Response) -> Value {
    let header =
        |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    let mut contract =
        json!({ "status": response.status().as_u16(), "contentType": header("content-type") });
    for name in ["location", "idempotent-replayed", "retry-after", "allow"] {
        if let Some(value) = header(name) {
            contract[name] = json!(value);
        }
    }
    assert!(header("x-request-id").is_some());
    let text = response.text().await.unwrap();
    contract["body"] = serde_json::from_str(&text).unwrap_or(json!(text));
    if contract["body"]["requestId"].is_string() {
        contract["body"]["requestId"] = json!("[request id]");
    }
    contract
}

/// The workspace's folder.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// Runs a command until it ends, and returns whether it succeeded, and its log.
pub async fn run_to_end(mut command: Command) -> (bool, String) {
    let output = command.output().await.unwrap();
    (output.status.success(), String::from_utf8(output.stderr).unwrap())
}

/// An empty database for one test.
pub async fn database() -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let server = std::env::var("ONCEWARD_TEST_DATABASE_URL")
        .expect("ONCEWARD_TEST_DATABASE_URL must name a PostgreSQL: run `make test`");
    let name = format!("program_{}_{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
    let mut connection = PgConnection::connect(&server).await.unwrap();
    let statement = format!("create database {name}");
    sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&mut connection).await.unwrap();
    let (start, query) = server.split_once('?').unwrap();
    let (server, _) = start.rsplit_once('/').unwrap();
    format!("{server}/{name}?{query}")
}

/// A command that runs the program with its defaults, except for what tests must not share.
pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_onceward"));
    command.args(arguments).current_dir(root()).kill_on_drop(true).stdin(Stdio::null());
    for (name, _) in std::env::vars() {
        let ours = [
            "POSTING_",
            "ONCEWARD_",
            "SIMULATOR_",
            "LEPTOS_",
            "METRICS_",
            "WEBHOOK_",
            "IDEMPOTENCY_",
            "RATE_LIMIT_",
            "STREAMS_",
            "TLS_",
        ];
        if ours.iter().any(|prefix| name.starts_with(prefix)) || name == "DATABASE_URL" {
            command.env_remove(name);
        }
    }
    command.env("LEPTOS_SITE_ADDR", "127.0.0.1:0").env("SIMULATOR_ADDR", "127.0.0.1:0");
    // Short windows that the simulator keeps, so that a test need not wait for them.
    command.env("POSTING_SETTLE_MS", "1500").env("POSTING_TIMEOUT_MS", "1000");
    command.env("POSTING_RETRY_BASE_MS", "50").env("POSTING_RETRY_MAX_MS", "500");
    command
}

/// A folder that the account of PostgreSQL can reach when the tests run as root.
pub struct Data(tempfile::TempDir);

impl Data {
    pub fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("onceward").tempdir_in("/tmp").unwrap();
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(folder.path(), open).unwrap();
        Self(folder)
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// The process of the PostgreSQL in it.
    pub fn postmaster(&self) -> nix::unistd::Pid {
        let text = std::fs::read_to_string(self.pid_file()).unwrap();
        nix::unistd::Pid::from_raw(text.lines().next().unwrap().parse().unwrap())
    }

    pub fn pid_file(&self) -> PathBuf {
        self.path().join("postgres/cluster/postmaster.pid")
    }
}

impl Drop for Data {
    /// A failed test leaves a PostgreSQL running that no later start stops.
    fn drop(&mut self) {
        for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
            let working_folder = std::fs::read_link(entry.path().join("cwd"));
            let pid = entry.file_name().to_string_lossy().parse().ok();
            if let (Ok(folder), Some(pid)) = (working_folder, pid)
                && folder.starts_with(self.path())
            {
                let pid = nix::unistd::Pid::from_raw(pid);
                let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGQUIT);
            }
        }
    }
}

/// A running program.
pub struct Program {
    pub url: String,
    child: Child,
    client: Client,
}

impl Program {
    /// Starts it and waits until it prints its address.
    pub async fn start(command: Command) -> Self {
        Self::start_logging_to(command, Stdio::piped()).await
    }

    /// The same, with another standard error.
    pub async fn start_logging_to(command: Command, log: Stdio) -> Self {
        let started = Self::try_start_logging_to(command, log).await;
        started.unwrap_or_else(|text| panic!("the program ended before it was up: {text}"))
    }

    /// Starts it; what it printed if it ends instead.
    pub async fn try_start(command: Command) -> Result<Self, String> {
        Self::try_start_logging_to(command, Stdio::piped()).await
    }

    async fn try_start_logging_to(mut command: Command, log: Stdio) -> Result<Self, String> {
        let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut log = child.stderr.take();
        let Some(line) = lines.next_line().await.unwrap() else {
            let mut text = String::new();
            if let Some(log) = &mut log {
                log.read_to_string(&mut text).await.unwrap();
            }
            return Err(text);
        };
        let url = line.rsplit(' ').next().unwrap().to_owned();
        // Its log is forwarded to the test's own, which is shown when the test fails.
        tokio::spawn(async move {
            let Some(log) = log else { return };
            let mut lines = BufReader::new(log).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                eprintln!("{line}");
            }
        });
        Ok(Self::of(url, child))
    }

    /// Starts it at a free port, and waits until it listens, but not until it is up.
    pub async fn start_listening(mut command: Command) -> Self {
        let addr = {
            let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            free.local_addr().unwrap()
        };
        let child = command.env("LEPTOS_SITE_ADDR", addr.to_string()).spawn().unwrap();
        let program = Self::of(format!("http://{addr}"), child);
        program.until("it listens", async || program.get("/livez").send().await.is_ok()).await;
        program
    }

    fn of(url: String, child: Child) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self { url, child, client: Client::builder().no_proxy().build().unwrap() }
    }

    /// Polls until something holds, for a minute at most.
    pub async fn until(&self, what: &str, holds: impl AsyncFn() -> bool) {
        let begun = Instant::now();
        while !holds().await {
            assert!(begun.elapsed() < Duration::from_secs(60), "not after a minute: {what}");
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until it serves requests.
    pub async fn ready(&self) {
        let is_ready =
            async || self.get("/readyz").send().await.is_ok_and(|answer| answer.status() == 200);
        self.until("it is ready", is_ready).await;
    }

    pub fn pid(&self) -> nix::unistd::Pid {
        nix::unistd::Pid::from_raw(i32::try_from(self.child.id().unwrap()).unwrap())
    }

    /// Ends it with a signal, and returns how it ended.
    pub async fn end(mut self, signal: nix::sys::signal::Signal) -> ExitStatus {
        nix::sys::signal::kill(self.pid(), signal).unwrap();
        self.child.wait().await.unwrap()
    }

    /// Waits for its end, which is to come by itself.
    pub async fn ended(mut self) -> ExitStatus {
        let ended = tokio::time::timeout(Duration::from_secs(120), self.child.wait()).await;
        ended.expect("the program goes on").unwrap()
    }

    pub fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(format!("{}{path}", self.url))
    }

    pub fn post(&self, path: &str) -> RequestBuilder {
        self.client.post(format!("{}{path}", self.url))
    }

    pub fn put(&self, path: &str) -> RequestBuilder {
        self.client.put(format!("{}{path}", self.url))
    }

    /// The JSON at a path.
    pub async fn read(&self, path: &str) -> Value {
        self.get(path).send().await.unwrap().json().await.unwrap()
    }

    /// The text at a path.
    pub async fn read_text(&self, path: &str) -> String {
        self.get(path).send().await.unwrap().text().await.unwrap()
    }

    /// Polls the JSON at a path until it is as wanted, for a minute at most.
    pub async fn read_until(&self, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            let value = self.read(path).await;
            if wanted(&value) {
                return value;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "after a minute, {path}: {value}");
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until it is healthy: its worker takes a moment to start.
    pub async fn healthy(&self) -> Value {
        self.read_until("/api/health", |health| health["status"] == "healthy").await
    }

    /// Posts a body as JSON.
    pub async fn post_json(&self, path: &str, body: &Value) -> Response {
        let request = self.post(path).header("content-type", "application/json");
        request.body(body.to_string()).send().await.unwrap()
    }

    /// Submits a transaction of this amount in dollars, and returns its id.
    pub async fn submit_one(&self, amount: u32) -> String {
        let body = json!({"amount": amount, "currency": "USD"});
        let submitted = self.post_json("/api/transactions", &body).await;
        assert_eq!(submitted.status(), 202);
        submitted.json::<Value>().await.unwrap()["transactionId"].as_str().unwrap().to_owned()
    }

    pub async fn submit(&self, body: &str) -> Response {
        let request = self.post("/api/transactions").header("content-type", "application/json");
        request.body(body.to_owned()).send().await.unwrap()
    }

    /// Follows the program's own stream until a transaction has a status. Fails after two minutes,
    /// so that a stuck test does not hang.
    pub async fn wait_for(&self, id: &str, status: &str) -> Value {
        let waiting = tokio::time::timeout(Duration::from_secs(120), self.follow(id, status));
        waiting.await.unwrap_or_else(|_| panic!("{id} is not {status} after two minutes"))
    }

    async fn follow(&self, id: &str, status: &str) -> Value {
        let mut stream = self.get("/api/stream").send().await.unwrap();
        loop {
            let text = self.get(&format!("/api/transactions/{id}")).send().await.unwrap();
            let transaction: Value = text.json().await.unwrap();
            if transaction["status"] == status {
                return transaction;
            }
            // The stream ends when the database is too slow, as on a busy machine.
            if stream.chunk().await.unwrap().is_none() {
                stream = self.get("/api/stream").send().await.unwrap();
            }
        }
    }
}

/// The posting service of a test: a simulator in a process of its own, without faults or latency.
pub struct Service {
    program: Program,
    _data: tempfile::TempDir,
}

impl Service {
    pub async fn start() -> Self {
        let data = tempfile::tempdir().unwrap();
        let mut command = command(&["simulator"]);
        command.env("ONCEWARD_DATA", data.path());
        let service = Self { program: Program::start(command).await, _data: data };
        service
            .faults(json!({
                "latencyMedianMs": 0, "verificationLatencyMedianMs": 0,
                "preWriteFailureRate": 0, "postWriteFailureRate": 0,
            }))
            .await;
        service
    }

    /// A command that runs the program with this posting service.
    pub fn command(&self, role: &str, database: &str) -> Command {
        let mut command = command(&[role]);
        command.env("DATABASE_URL", database).env("POSTING_URL", &self.program.url);
        command.env("POSTING_VISIBILITY_MS", "100");
        command
    }

    pub fn url(&self) -> &str {
        &self.program.url
    }

    /// Changes some of the faults.
    pub async fn faults(&self, changes: Value) {
        let changed = self.program.put("/admin/faults").body(changes.to_string()).send().await;
        assert_eq!(changed.unwrap().status(), 200);
    }

    /// Writes an entry directly to the posting service.
    pub async fn write(&self, id: &str, amount: u32) {
        let entry = json!({
            "id": id, "amount": amount, "currency": "USD", "description": "",
            "timestamp": "2026-01-01T00:00:00Z", "metadata": {},
        });
        assert!(self.program.post_json("/transactions", &entry).await.status().is_success());
    }

    /// What its ledger holds, and what has arrived.
    pub async fn audit(&self) -> Value {
        self.program.read("/admin/audit").await
    }

    /// How many POSTs and verifications have arrived.
    pub async fn requests(&self) -> (u64, u64) {
        let audit = self.audit().await;
        let count = |name: &str| audit["requests"][name].as_u64().unwrap();
        (count("post"), count("get"))
    }

    /// Waits for so many more verifications.
    pub async fn wait_for_verifications(&self, more: u64) {
        let (_, before) = self.requests().await;
        let arrived = |audit: &Value| audit["requests"]["get"].as_u64() >= Some(before + more);
        self.program.read_until("/admin/audit", arrived).await;
    }
}
