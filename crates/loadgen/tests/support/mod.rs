//! A stub of Onceward and of the posting service, which misbehaves as its script says.
#![allow(dead_code, unreachable_pub, reason = "each test program uses a part of it")]

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use loadgen::{LoadConfig, Report};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// The answer to a submission.
pub enum Reply {
    Accept,
    Status(u16),
    RetryAfter(u16, u64),
    /// No answer: the connection breaks.
    Break,
}

/// The answer to a poll of an accepted transaction.
pub enum Shown {
    Status(&'static str),
    Failed(&'static str),
    Answer(u16),
    Break,
}

/// The rows that an accepted transaction adds to the ledger.
type Rows = Box<dyn Fn(usize, &Value) -> Vec<Value> + Send + Sync>;

/// The behaviour at each step. `number` is the transaction's number in the run, `nth` how many
/// requests for the same transaction came before.
pub struct Script {
    pub reply: Box<dyn Fn(usize, usize) -> Reply + Send + Sync>,
    pub shown: Box<dyn Fn(usize, usize) -> Shown + Send + Sync>,
    pub rows: Rows,
    /// The error status for the `nth` list request; `None` to return the list.
    pub list: Box<dyn Fn(usize) -> Option<u16> + Send + Sync>,
    /// The late writes of the service, if it reports any.
    pub late_writes: Option<LateWrites>,
    /// How long the answer to a submission takes.
    pub hold: Duration,
    /// How many submissions must have arrived before the first one is answered.
    pub gather: usize,
}

/// A row that is added once the audit has been read this many times.
pub struct LateWrites {
    pub after_audits: usize,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            reply: Box::new(|_, _| Reply::Accept),
            shown: Box::new(|_, _| Shown::Status("completed")),
            rows: Box::new(|_, body| vec![row(body)]),
            list: Box::new(|_| None),
            late_writes: None,
            hold: Duration::ZERO,
            gather: 0,
        }
    }
}

/// The posting service's row of a transaction.
pub fn row(body: &Value) -> Value {
    json!({"id": body["id"], "amount": body["amount"], "currency": body["currency"]})
}

#[derive(Default)]
struct Seen {
    submissions: Vec<Value>,
    numbers: HashMap<String, usize>,
    polls: HashMap<String, usize>,
    ledger: Vec<Value>,
    times_listed: usize,
    times_audited: usize,
}

pub struct Stub {
    pub url: String,
    world: Arc<World>,
}

struct World {
    script: Script,
    seen: Mutex<Seen>,
    gathered: tokio::sync::watch::Sender<usize>,
}

impl Stub {
    pub async fn start(script: Script) -> Self {
        let world = Arc::new(World {
            script,
            seen: Mutex::default(),
            gathered: tokio::sync::watch::Sender::new(0),
        });
        let router = Router::new()
            .route("/api/transactions", post(submit))
            .route("/api/transactions/{id}", get(show))
            .route("/transactions", get(list))
            .route("/admin/audit", get(audit))
            .with_state(Arc::clone(&world));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, world }
    }

    /// A run of this many requests at 1,000 per second, with plenty of time to become final.
    pub fn config(&self, requests: u32) -> LoadConfig {
        LoadConfig {
            rate: 1000.0,
            duration: Duration::from_millis(u64::from(requests)),
            wait: Duration::from_secs(60),
            ..LoadConfig::new(&self.url, &self.url)
        }
    }

    /// The bodies of all submissions, in the order of arrival.
    pub fn submissions(&self) -> Vec<Value> {
        self.world.seen.lock().unwrap().submissions.clone()
    }

    /// The bodies of the submissions of one transaction.
    pub fn submissions_of(&self, number: usize) -> Vec<Value> {
        self.submissions().into_iter().filter(|body| number_of(body) == number).collect()
    }

    pub fn id_of(&self, number: usize) -> String {
        self.submissions_of(number)[0]["id"].as_str().unwrap().to_owned()
    }
}

/// Runs this many requests against a script.
pub async fn run(requests: u32, script: Script) -> (Report, Stub) {
    let stub = Stub::start(script).await;
    let report = loadgen::run(stub.config(requests)).await.unwrap();
    (report, stub)
}

fn number_of(body: &Value) -> usize {
    body["metadata"]["order_id"].as_str().unwrap().parse().unwrap()
}

/// Ends the connection without an answer, as a crash does, and prints nothing to standard error.
fn break_connection() -> ! {
    std::panic::resume_unwind(Box::new("as the script says"))
}

async fn submit(State(world): State<Arc<World>>, Json(body): Json<Value>) -> Response {
    let number = number_of(&body);
    let reply = {
        let mut seen = world.seen.lock().unwrap();
        let nth = seen.submissions.iter().filter(|earlier| number_of(earlier) == number).count();
        seen.submissions.push(body.clone());
        (world.script.reply)(number, nth)
    };
    world.gathered.send_modify(|count| *count += 1);
    let mut gathered = world.gathered.subscribe();
    gathered.wait_for(|count| *count >= world.script.gather).await.unwrap();
    tokio::time::sleep(world.script.hold).await;
    match reply {
        Reply::Accept => {
            let mut seen = world.seen.lock().unwrap();
            let id = body["id"].as_str().unwrap().to_owned();
            if seen.numbers.insert(id, number).is_none() {
                seen.ledger.extend((world.script.rows)(number, &body));
            }
            StatusCode::ACCEPTED.into_response()
        }
        Reply::Status(status) => StatusCode::from_u16(status).unwrap().into_response(),
        Reply::RetryAfter(status, seconds) => {
            let header = [("retry-after", seconds.to_string())];
            (StatusCode::from_u16(status).unwrap(), header).into_response()
        }
        Reply::Break => break_connection(),
    }
}

async fn show(State(world): State<Arc<World>>, Path(id): Path<String>) -> Response {
    let shown = {
        let mut seen = world.seen.lock().unwrap();
        let Some(number) = seen.numbers.get(&id).copied() else {
            return StatusCode::NOT_FOUND.into_response();
        };
        let times = seen.polls.entry(id.clone()).or_default();
        *times += 1;
        (world.script.shown)(number, *times - 1)
    };
    let body = match shown {
        Shown::Status(status) => json!({"transactionId": id, "status": status, "error": null}),
        Shown::Failed(code) => {
            json!({"transactionId": id, "status": "failed", "error": {"code": code}})
        }
        Shown::Answer(status) => return StatusCode::from_u16(status).unwrap().into_response(),
        Shown::Break => break_connection(),
    };
    Json(body).into_response()
}

async fn list(State(world): State<Arc<World>>) -> Response {
    let mut seen = world.seen.lock().unwrap();
    seen.times_listed += 1;
    match (world.script.list)(seen.times_listed - 1) {
        Some(status) => StatusCode::from_u16(status).unwrap().into_response(),
        None => Json(json!({"data": seen.ledger})).into_response(),
    }
}

/// The late write is applied when the audit is read for the last of those times.
async fn audit(State(world): State<Arc<World>>) -> Response {
    let Some(late) = &world.script.late_writes else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let mut seen = world.seen.lock().unwrap();
    seen.times_audited += 1;
    let pending = late.after_audits.saturating_sub(seen.times_audited);
    if seen.times_audited == late.after_audits {
        let again = seen.ledger[0].clone();
        seen.ledger.push(again);
    }
    Json(json!({"lateWritesPending": pending})).into_response()
}
