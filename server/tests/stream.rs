//! The stream of server-sent events, followed through a load with a public client, `sse-stream`.
#![allow(clippy::unwrap_used)]

mod support;

use std::{collections::HashMap, pin::Pin, time::Duration};

use futures::StreamExt;
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use sse_stream::{Sse, SseStream};
use support::{Program, Service, database};
use tokio::time::{sleep, timeout};

const BATCHES: u32 = 10;
/// More than the stream sends in one event.
const BATCH: u32 = 250;
/// How long to wait before a request that was answered with 503 is sent again: the machine may be busy.
const RETRY_DELAY: Duration = Duration::from_millis(100);
/// The transaction that changes after all others are final.
const LAST: &str = "00000000-0000-4000-8000-000000000001";

type Events = Pin<Box<SseStream<reqwest::Body>>>;

/// A client that keeps the last version of each transaction that it received.
#[derive(Default)]
struct Client {
    last_event_id: Option<String>,
    transactions: HashMap<String, Value>,
    gaps: Vec<Value>,
    connections: u32,
}

impl Client {
    async fn connect(&mut self, program: &Program) -> Events {
        loop {
            let mut request = program.get("/api/stream");
            if let Some(id) = &self.last_event_id {
                request = request.header("last-event-id", id);
            }
            let response = request.send().await.unwrap();
            if response.status() == 200 {
                self.connections += 1;
                return Box::pin(SseStream::new(reqwest::Body::from(response)));
            }
            assert_eq!(response.status(), 503);
            sleep(RETRY_DELAY).await;
        }
    }

    /// Takes an event. Returns whether it had transactions.
    fn take(&mut self, event: &Sse) -> bool {
        if let Some(id) = &event.id {
            self.last_event_id = Some(id.clone());
        }
        let data = || serde_json::from_str(event.data.as_deref().unwrap()).unwrap();
        match event.event.as_deref() {
            Some("transactions") => {
                let transactions: Vec<Value> = serde_json::from_value(data()).unwrap();
                for transaction in transactions {
                    let id = transaction["transactionId"].as_str().unwrap().to_owned();
                    self.transactions.insert(id, transaction);
                }
                true
            }
            Some("gap") => {
                self.gaps.push(data());
                false
            }
            _ => false,
        }
    }

    /// Follows the stream until the last transaction is final, and connects anew after so many events with
    /// transactions.
    async fn follow(&mut self, program: &Program, events_per_connection: usize) {
        while !is_final(self.transactions.get(LAST)) {
            let mut events = self.connect(program).await;
            let mut received = 0;
            while received < events_per_connection && !is_final(self.transactions.get(LAST)) {
                let Some(event) = events.next().await else { break };
                received += usize::from(self.take(&event.unwrap()));
            }
        }
    }
}

fn is_final(transaction: Option<&Value>) -> bool {
    transaction.is_some_and(|transaction| !transaction["completedAt"].is_null())
}

/// Submits some thousand transactions within moments, waits until all are final, and then submits the last.
async fn load(program: &Program, table: &mut PgConnection) {
    for number in 0..BATCHES {
        let one = |i| {
            let id = uuid::Uuid::from_u128(u128::from(number * BATCH + i + 2));
            json!({"id": id, "amount": 1, "currency": "USD"})
        };
        let mut lines: Vec<Value> = (0..BATCH).map(one).collect();
        while !lines.is_empty() {
            let batch = Value::Array(lines.clone());
            let answer = program.post_json("/api/transactions/batch", &batch).await;
            if answer.status() == 503 {
                sleep(RETRY_DELAY).await;
                continue;
            }
            let answers: Value = answer.json().await.unwrap();
            let mut answers = answers["data"].as_array().unwrap().iter();
            lines.retain(|_| {
                let answer = answers.next().unwrap();
                assert!(answer["status"] == 202 || answer["status"] == 503, "{answer}");
                answer["status"] == 503
            });
        }
    }
    let unfinished = "select count(*) from transactions where completed_at is null";
    while sqlx::query_scalar::<_, i64>(unfinished).fetch_one(&mut *table).await.unwrap() > 0 {
        sleep(Duration::from_millis(20)).await;
    }
    let last = json!({"id": LAST, "amount": 1, "currency": "USD"});
    while program.post_json("/api/transactions", &last).await.status() != 202 {
        sleep(RETRY_DELAY).await;
    }
}

/// Follows the stream through a load, and compares what the client has received with the table.
async fn follow_a_load(events_per_connection: usize) -> Client {
    let (service, database) = (Service::start().await, database().await);
    service.faults(json!({"refusalRate": 0.1})).await;
    let program = Program::start(service.command("serve", &database)).await;
    let mut table = PgConnection::connect(&database).await.unwrap();
    let mut client = Client::default();
    let loaded = async {
        let following = client.follow(&program, events_per_connection);
        tokio::join!(following, load(&program, &mut table));
    };
    timeout(Duration::from_secs(120), loaded).await.expect("not over after two minutes");

    let rows: Vec<(String, String, i32)> =
        sqlx::query_as("select id::text, state, attempts from transactions")
            .fetch_all(&mut table)
            .await
            .unwrap();
    assert_eq!(rows.len(), (BATCHES * BATCH + 1) as usize);
    let (mut missing, mut outdated) = (0, 0);
    for (id, state, attempts) in &rows {
        match client.transactions.get(id) {
            None => missing += 1,
            Some(last) => {
                outdated += u32::from(last["status"] != **state || last["attempts"] != *attempts)
            }
        }
    }
    assert_eq!((missing, outdated), (0, 0), "of {}: missing, outdated", rows.len());
    assert!(rows.iter().any(|(_, state, _)| state == "failed"));
    client
}

#[tokio::test]
async fn over_an_unbroken_connection_the_last_state_of_every_transaction_arrives() {
    let client = follow_a_load(usize::MAX).await;
    assert_eq!((client.connections, client.gaps), (1, vec![]));
}

#[tokio::test]
async fn over_a_connection_that_is_cut_and_resumed_the_last_state_of_every_transaction_arrives() {
    let client = follow_a_load(2).await;
    assert!(client.connections > 5, "{}", client.connections);
    assert_eq!(client.gaps, Vec::<Value>::new());
}
