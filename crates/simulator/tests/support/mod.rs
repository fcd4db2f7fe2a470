//! A simulator on a free port with its own ledger, and a client for it.
#![allow(dead_code, unreachable_pub, reason = "each test program uses a part of it")]

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use reqwest::{Client, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use simulator::{Faults, Simulator, SimulatorConfig, SimulatorHandle, StartError};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Longer than any test runs.
pub const FOREVER_MS: u64 = 60 * 60 * 1000;

/// When a condition that should hold at once has failed.
const TIMEOUT: Duration = Duration::from_secs(30);

pub struct Lab {
    pub simulator: Simulator,
    pub client: Client,
    folder: TempDir,
}

impl Lab {
    pub async fn start(faults: Faults) -> Self {
        Self::start_with_seed(faults, 1).await
    }

    pub async fn start_with_seed(faults: Faults, seed: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let simulator = start_at(ledger_in(&folder), faults, seed).await.unwrap();
        // An error means that another test in this program has installed one already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder().timeout(TIMEOUT).build().unwrap();
        Self { simulator, client, folder }
    }

    /// A new simulator on the same ledger, after a graceful shutdown of the old one.
    pub async fn restart(self) -> Self {
        self.simulator.shutdown().await;
        let simulator = start_at(ledger_in(&self.folder), Faults::none(), 1).await.unwrap();
        Self { simulator, ..self }
    }

    /// A new simulator on the same ledger, after a crash of the old one.
    pub async fn crash_and_restart(self) -> Self {
        drop(self.simulator);
        let simulator = start_at(ledger_in(&self.folder), Faults::none(), 1).await.unwrap();
        Self { simulator, ..self }
    }

    pub fn ledger_path(&self) -> PathBuf {
        ledger_in(&self.folder)
    }

    pub fn handle(&self) -> SimulatorHandle {
        self.simulator.handle()
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.simulator.addr())
    }

    pub fn posting(&self, body: String) -> RequestBuilder {
        self.client
            .post(self.url("/transactions"))
            .header("content-type", "application/json")
            .body(body)
    }

    pub async fn post(&self, id: &str) -> Result<Response, reqwest::Error> {
        self.posting(body_of(id).to_string()).send().await
    }

    pub async fn post_status(&self, id: &str) -> StatusCode {
        self.post(id).await.unwrap().status()
    }

    pub async fn get(&self, path: &str) -> Result<Response, reqwest::Error> {
        self.client.get(self.url(path)).send().await
    }

    pub async fn get_status(&self, path: &str) -> StatusCode {
        self.get(path).await.unwrap().status()
    }

    pub async fn get_json(&self, path: &str) -> Value {
        self.get(path).await.unwrap().json().await.unwrap()
    }

    pub async fn rows(&self) -> usize {
        let list = self.get_json("/transactions").await;
        list["data"].as_array().unwrap().len()
    }

    pub fn injected(&self, kind: &str) -> u64 {
        self.handle().audit().faults_injected[kind]
    }

    /// Sends a POST over its own connection, and does not read the answer.
    pub async fn post_raw(&self, id: &str) -> TcpStream {
        let body = body_of(id).to_string();
        let mut stream = TcpStream::connect(self.simulator.addr()).await.unwrap();
        let head = format!(
            "POST /transactions HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(body.as_bytes()).await.unwrap();
        stream
    }
}

pub fn ledger_in(folder: &TempDir) -> PathBuf {
    folder.path().join("of/the/simulator/ledger.jsonl")
}

pub async fn start_at(
    ledger_path: PathBuf,
    faults: Faults,
    seed: u64,
) -> Result<Simulator, StartError> {
    let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    Simulator::start(SimulatorConfig { addr, ledger_path, faults, seed }).await
}

pub fn body_of(id: &str) -> Value {
    json!({
        "id": id,
        "amount": 100.5,
        "currency": "USD",
        "description": "Payment",
        "timestamp": "2026-01-01T00:00:00Z",
        "metadata": {"order_id": "12345"},
    })
}

/// Whether the other side reset the connection without any answer.
pub async fn is_reset(stream: &mut TcpStream) -> bool {
    let mut answer = Vec::new();
    let read = tokio::time::timeout(TIMEOUT, stream.read_to_end(&mut answer)).await;
    let error = read.expect("neither an answer nor a reset").unwrap_err();
    answer.is_empty() && error.kind() == std::io::ErrorKind::ConnectionReset
}

/// Waits until the condition holds; panics after a generous timeout.
pub async fn until(what: &str, condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(TIMEOUT, wait).await.unwrap_or_else(|_| panic!("never: {what}"));
}
