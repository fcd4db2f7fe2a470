//! The real program, started for a test and stopped after it.
#![allow(dead_code, clippy::unwrap_used)]

use std::{
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use reqwest::{Client, RequestBuilder, Response};
use serde_json::Value;
use sqlx::{Connection, PgConnection};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    process::{Child, Command},
};

/// The workspace's folder.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// An empty database of the test's own.
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

/// A command that runs the program with nothing configured but what a test must not share.
pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_onceward"));
    command.args(arguments).current_dir(root()).kill_on_drop(true).stdin(Stdio::null());
    for (name, _) in std::env::vars() {
        let ours = ["POSTING_", "ONCEWARD_", "SIMULATOR_", "LEPTOS_"];
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

/// A running program.
pub struct Program {
    pub url: String,
    child: Child,
    client: Client,
}

impl Program {
    /// Starts it and waits until it says where its page is.
    pub async fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut log = child.stderr.take().unwrap();
        let Some(line) = lines.next_line().await.unwrap() else {
            let mut text = String::new();
            log.read_to_string(&mut text).await.unwrap();
            panic!("the program ended before it was up: {text}");
        };
        let url = line.strip_prefix("Onceward is at ").unwrap_or(&line).to_owned();
        // Its log goes on to the test's own, which shows it where the test fails.
        tokio::spawn(async move {
            let mut lines = BufReader::new(log).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                eprintln!("{line}");
            }
        });
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self { url, child, client: Client::builder().no_proxy().build().unwrap() }
    }

    pub fn pid(&self) -> nix::unistd::Pid {
        nix::unistd::Pid::from_raw(i32::try_from(self.child.id().unwrap()).unwrap())
    }

    /// Ends it with a signal, and gives how it ended.
    pub async fn end(mut self, signal: nix::sys::signal::Signal) -> ExitStatus {
        nix::sys::signal::kill(self.pid(), signal).unwrap();
        self.child.wait().await.unwrap()
    }

    pub fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(format!("{}{path}", self.url))
    }

    pub fn post(&self, path: &str) -> RequestBuilder {
        self.client.post(format!("{}{path}", self.url))
    }

    pub async fn submit(&self, body: &str) -> Response {
        let request = self.post("/api/transactions").header("content-type", "application/json");
        request.body(body.to_owned()).send().await.unwrap()
    }

    /// Follows the program's own stream until a transaction has a status. Gives up after two minutes,
    /// so that what is stuck fails and does not hang.
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
            stream.chunk().await.unwrap().expect("the stream ended");
        }
    }
}
