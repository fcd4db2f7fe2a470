//! PostgreSQL accepts requests and answers none: every request of a client gets an answer, and the
//! right one when PostgreSQL answers again.
#![allow(clippy::unwrap_used)]

#[path = "chaos/testbed/proxy.rs"]
#[allow(dead_code)]
mod proxy;
mod support;

use std::{path::Path, time::Duration};

use futures::future::join_all;
use proxy::Proxy;
use reqwest::{RequestBuilder, Response};
use serde_json::{Value, json};
use support::{Program, command, contract, database, redacted};
use tokio::time::timeout;

type Fallible<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// The program, and the proxy between it and its database.
async fn program() -> (Program, Proxy, tempfile::TempDir) {
    let url = database().await;
    let (start, folder) = url.split_once("host=").unwrap();
    let folder = folder.split('&').next().unwrap();
    let name = start.trim_end_matches('?').rsplit('/').next().unwrap();
    let proxy = Proxy::start(&Path::new(folder).join(".s.PGSQL.5432")).await.unwrap();
    let data = tempfile::tempdir().unwrap();
    let mut command = command(&["serve"]);
    command.env("ONCEWARD_DATA", data.path());
    command.env("DATABASE_URL", proxy.url().replace("/onceward", &format!("/{name}")));
    (Program::start(command).await, proxy, data)
}

/// Every kind of request that needs the database, about a transaction.
fn requests(program: &Program, id: &str) -> Vec<(&'static str, RequestBuilder)> {
    let json = |path: &str, body: Value| {
        program.post(path).header("content-type", "application/json").body(body.to_string())
    };
    let page = |path: &str| program.get(path).header("accept", "text/html");
    let one = format!("/api/transactions/{id}");
    vec![
        ("submit", json("/api/transactions", json!({"id": id, "amount": 1, "currency": "USD"}))),
        ("get", program.get(&one)),
        ("list", program.get("/api/transactions?currency=USD")),
        ("attempts", program.get(&format!("{one}/attempts"))),
        ("interventions", program.get(&format!("{one}/interventions"))),
        ("cancel", program.post(&format!("{one}/cancel"))),
        ("retry", program.post(&format!("{one}/retry"))),
        ("resolve", json(&format!("{one}/resolve"), json!({"status": "failed", "reason": "none"}))),
        ("retry all", json("/api/bulk-retries", json!({"filter": {"status": "failed"}}))),
        ("bulk retry", program.get(&format!("/api/bulk-retries/{id}"))),
        ("posting", program.get("/api/posting")),
        ("resume", program.post("/api/posting/resume")),
        ("health", program.get("/api/health")),
        ("readyz", program.get("/readyz")),
        ("stream", program.get("/api/stream")),
        ("page", page("/")),
        ("page after a bulk retry", page(&format!("/?retry={id}"))),
        ("page of one", page(&format!("/transactions/{id}"))),
        ("server function", json("/fn/count_transactions", json!({}))),
    ]
}

async fn answers(requests: Vec<(&'static str, RequestBuilder)>) -> Vec<(&'static str, Response)> {
    let answers = requests.into_iter().map(|(name, request)| async move {
        // Without a deadline in the program there would be no answer at all.
        let answer = timeout(Duration::from_secs(120), request.send()).await;
        (name, answer.unwrap_or_else(|_| panic!("{name} is never answered")).unwrap())
    });
    join_all(answers).await
}

#[tokio::test]
async fn every_request_is_answered_while_postgresql_does_not_answer_and_served_when_it_does() {
    let (program, proxy, _data) = program().await;
    program.healthy().await;
    let id = program.submit_one(1).await;
    program.wait_for(&id, "completed").await;

    proxy.stall(true);
    // First over existing connections, then over new ones.
    for _ in 0..2 {
        for (name, answer) in answers(requests(&program, &id)).await {
            let status = answer.status();
            // Leptos answers every error of a server function with 500.
            let expected = if name == "server function" { 500 } else { 503 };
            assert_eq!(status, expected, "{name}");
            let is_page = name.starts_with("page");
            if !is_page && !["health", "server function"].contains(&name) {
                assert_eq!(answer.headers()["retry-after"], "1", "{name}");
            }
            let text = answer.text().await.unwrap();
            let wanted = match name {
                "health" => "unhealthy",
                "server function" => "does not answer",
                _ if is_page => "Try again",
                _ => r#""code":"unavailable""#,
            };
            assert!(text.contains(wanted), "{name}: {text}");
        }
    }
    // Pages that need no database.
    for path in ["/livez", "/", "/metrics"] {
        assert_eq!(program.get(path).send().await.unwrap().status(), 200, "{path}");
    }
    let cancelled = program.post(&format!("/api/transactions/{id}/cancel")).send().await.unwrap();
    insta::assert_snapshot!("cancel_without_database", redacted(contract(cancelled).await, &[]));

    proxy.stall(false);
    program.healthy().await;
    for (name, answer) in answers(requests(&program, &id)).await {
        let expected = match name {
            "submit" | "retry all" => 202,
            "cancel" | "retry" | "resolve" => 409,
            "bulk retry" => 404,
            _ => 200,
        };
        assert_eq!(answer.status(), expected, "{name}");
    }
    let list = program.read("/api/transactions").await;
    assert_eq!(list["data"].as_array().unwrap().len(), 1);
}
