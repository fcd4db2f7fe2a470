//! Clients that ask for too much, or send or read too slowly: they hold up nobody else.
#![allow(clippy::unwrap_used)]

mod support;

use reqwest::StatusCode;
use serde_json::{Value, json};
use support::{Program, command, database};
use tokio::{io::AsyncWriteExt, net::TcpStream};

async fn start(settings: &[(&str, &str)]) -> Program {
    let mut command = command(&["web"]);
    command.env("DATABASE_URL", database().await).envs(settings.iter().copied());
    Program::start(command).await
}

/// A connection that has sent this.
async fn connection(program: &Program, text: &str) -> TcpStream {
    let addr = program.url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    stream
}

#[tokio::test]
async fn slow_writers_and_slow_readers_hold_up_nobody() {
    let program = start(&[]).await;
    let mut slow = Vec::new();
    for path in ["/api/transactions/batch", "/api/transactions", "/api/posting/pause"] {
        for _ in 0..100 {
            let head = format!(
                "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
                 content-length: 60000\r\n\r\n["
            );
            slow.push(connection(&program, &head).await);
        }
    }
    for _ in 0..100 {
        let head = "GET /api/docs/swagger-ui-bundle.js HTTP/1.1\r\nhost: localhost\r\n\r\n";
        slow.push(connection(&program, head).await);
    }
    let one = json!({"amount": 1, "currency": "USD"});
    for _ in 0..10 {
        let batch = program.post_json("/api/transactions/batch", &json!([one, one])).await;
        assert_eq!(batch.json::<Value>().await.unwrap()["data"][1]["status"], 202);
        program.submit_one(1).await;
        assert_eq!(program.get("/api/health").send().await.unwrap().status(), 200);
        assert_eq!(program.get("/api/transactions").send().await.unwrap().status(), 200);
    }
    drop(slow);
}

#[tokio::test]
async fn a_principal_has_only_so_many_streams_and_gets_a_place_back_when_one_ends() {
    let program = start(&[("STREAMS_PER_PRINCIPAL", "3")]).await;
    let open = async || program.get("/api/stream").send().await.unwrap();
    let streams = [open().await, open().await, open().await];
    assert!(streams.iter().all(|stream| stream.status() == StatusCode::OK));
    let refused = open().await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused.headers()["retry-after"], "10");
    assert_eq!(refused.json::<Value>().await.unwrap()["code"], "rate_limited");
    drop(streams);
    let is_open = async || open().await.status() == StatusCode::OK;
    program.until("a stream has a place again", is_open).await;
}

#[tokio::test]
async fn requests_beyond_the_limits_are_refused_and_probes_are_not() {
    let program = start(&[
        ("RATE_LIMIT_PER_PRINCIPAL", "admin=3/h,viewer=1/h"),
        ("RATE_LIMIT_PER_ADDRESS", "5/h"),
        ("ONCEWARD_TRUSTED_PROXIES", "127.0.0.1"),
    ])
    .await;
    let ask = async |address: &str| {
        let request = program.get("/api/transactions").header("x-forwarded-for", address);
        request.send().await.unwrap()
    };
    for (address, status, left) in [
        ("192.0.2.1", 200, "\"default\";r=2;t=1200"),
        ("192.0.2.1", 200, "\"default\";r=1;t=2400"),
        ("192.0.2.2", 200, "\"default\";r=0;t=3600"),
        ("192.0.2.3", 429, "\"default\";r=0;t=3600"),
    ] {
        let answer = ask(address).await;
        assert_eq!(answer.status(), status, "{address}");
        let mut headers = answer.headers().get_all("ratelimit").iter();
        assert!(headers.any(|value| value == left), "{address}: {:?}", answer.headers());
    }
    let refused = ask("192.0.2.4").await;
    let wait: u64 = refused.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=1200).contains(&wait), "{wait}");
    let problem: Value = refused.json().await.unwrap();
    assert_eq!(problem["code"], "rate_limited");
    let statuses = futures::future::join_all((0..7).map(|_| ask("192.0.2.9"))).await;
    let of_address = |answer: &reqwest::Response| {
        answer.headers().get_all("ratelimit").iter().any(|value| value == "\"address\";r=0;t=3600")
    };
    assert!(statuses.iter().any(of_address));
    // Health costs statements, so it counts like any other page of the API.
    for (path, status) in
        [("/livez", 200), ("/readyz", 200), ("/metrics", 200), ("/api/health", 429)]
    {
        assert_eq!(program.get(path).send().await.unwrap().status(), status, "{path}");
    }
}

#[tokio::test]
async fn the_metrics_of_web_and_worker_need_the_token_if_there_is_one() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "0123456789abcdef0123\n").unwrap();
    let database = database().await;
    for role in ["web", "worker"] {
        let mut command = command(&[role]);
        command.env("DATABASE_URL", &database).env("POSTING_URL", "http://127.0.0.1:9");
        command.env("METRICS_ADDR", "127.0.0.1:0").env("METRICS_TOKEN_FILE", &file);
        let program = Program::start(command).await;
        let refused = program.get("/metrics").send().await.unwrap();
        assert_eq!(refused.status(), 401, "{role}");
        assert!(refused.headers()["www-authenticate"].to_str().unwrap().starts_with("Bearer"));
        let request =
            program.get("/metrics").header("authorization", "Bearer 0123456789abcdef0123");
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 200, "{role}");
        assert_eq!(program.get("/livez").send().await.unwrap().status(), 200, "{role}");
    }
    let mut command = command(&["web"]);
    command.env("DATABASE_URL", &database).env("METRICS_ACCESS", "off");
    let program = Program::start(command).await;
    assert_eq!(program.get("/metrics").send().await.unwrap().status(), 404);
}
