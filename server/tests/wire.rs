//! What belongs to HTTP, not to a route: the header `Host`, compressed bodies and answers.
#![allow(clippy::unwrap_used)]

mod support;

use async_compression::tokio::write::{BrotliEncoder, GzipEncoder};
use serde_json::{Value, json};
use support::{Program, command, contract, database};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// A web process without a worker.
async fn web() -> Program {
    let mut command = command(&["web"]);
    command.env("DATABASE_URL", database().await);
    Program::start(command).await
}

async fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzipEncoder::new(Vec::new());
    encoder.write_all(text.as_bytes()).await.unwrap();
    encoder.shutdown().await.unwrap();
    encoder.into_inner()
}

async fn brotli(text: &str) -> Vec<u8> {
    let mut encoder = BrotliEncoder::new(Vec::new());
    encoder.write_all(text.as_bytes()).await.unwrap();
    encoder.shutdown().await.unwrap();
    encoder.into_inner()
}

/// Sends a body that is said to have these codings.
async fn send(web: &Program, path: &str, codings: &[&str], body: Vec<u8>) -> Value {
    let mut request = web.post(path).header("content-type", "application/json");
    for coding in codings {
        request = request.header("content-encoding", *coding);
    }
    let response = request.body(body).send().await.unwrap();
    let accepted = response.headers().get("accept-encoding").cloned();
    let mut answer = contract(response).await;
    answer["acceptEncoding"] = json!(accepted.map(|value| value.to_str().unwrap().to_owned()));
    answer
}

async fn stored(web: &Program) -> usize {
    web.read("/api/transactions").await["data"].as_array().unwrap().len()
}

const ONE: &str = r#"{"amount": 5, "currency": "USD"}"#;

#[tokio::test]
async fn a_compressed_body_is_read_like_any_other() {
    let web = web().await;
    let path = "/api/transactions";
    for (coding, body) in [
        ("gzip", gzip(ONE).await),
        ("GZIP", gzip(ONE).await),
        ("x-gzip", gzip(ONE).await),
        ("br", brotli(ONE).await),
        ("identity", ONE.into()),
        ("", ONE.into()),
    ] {
        let answer = send(&web, path, &[coding], body).await;
        assert_eq!(
            (answer["status"].as_u64(), &answer["body"]["amount"]),
            (Some(202), &json!(5)),
            "{coding}"
        );
    }
    let lines = gzip(&format!("[{ONE}, {ONE}]")).await;
    let batch = send(&web, "/api/transactions/batch", &["gzip"], lines).await;
    assert_eq!(batch["body"]["data"][1]["status"], 202, "{batch}");
    assert_eq!(stored(&web).await, 8);
}

#[tokio::test]
async fn a_body_that_decompresses_to_more_than_the_limit_is_refused_and_a_broken_one_too() {
    let web = web().await;
    // 256 MiB in some 250 KB.
    let bomb = gzip(&"0".repeat(256 << 20)).await;
    assert!(bomb.len() < 1 << 20, "{}", bomb.len());
    let dense = brotli(&format!(r#"{{"description": "{}"}}"#, "x".repeat(64 << 10))).await;
    assert!(dense.len() < 1 << 10, "{}", dense.len());
    let whole = gzip(ONE).await;
    for (path, coding, body, status, code) in [
        ("/api/transactions", "gzip", bomb.clone(), 413, "too_large"),
        ("/api/transactions/batch", "gzip", bomb, 413, "too_large"),
        ("/api/transactions", "br", dense, 413, "too_large"),
        ("/api/transactions", "gzip", ONE.into(), 400, "malformed"),
        ("/api/transactions", "gzip", whole[..whole.len() - 4].to_vec(), 400, "malformed"),
        ("/api/transactions", "br", ONE.into(), 400, "malformed"),
    ] {
        let answer = send(&web, path, &[coding], body).await;
        assert_eq!(
            (&answer["status"], &answer["body"]["code"]),
            (&json!(status), &json!(code)),
            "{path} {coding}"
        );
    }
    assert_eq!(stored(&web).await, 0);
}

#[tokio::test]
async fn a_coding_that_is_not_decoded_is_refused_with_those_that_are() {
    let web = web().await;
    for codings in [&["zstd"][..], &["deflate"], &["gzip, br"], &["gzip", "br"], &["aws-chunked"]] {
        let answer = send(&web, "/api/transactions", codings, ONE.into()).await;
        assert_eq!(
            (&answer["status"], &answer["body"]["code"], &answer["acceptEncoding"]),
            (&json!(415), &json!("unsupported_content_encoding"), &json!("gzip, br")),
            "{codings:?}"
        );
    }
    assert_eq!(stored(&web).await, 0);
}

#[tokio::test]
async fn a_compressed_file_varies_by_accept_encoding_and_no_file_claims_to_be_sent_in_ranges() {
    let site = tempfile::tempdir().unwrap();
    let text = "a file of the page, long enough to be worth compressing\n".repeat(50);
    std::fs::write(site.path().join("notes.txt"), &text).unwrap();
    std::fs::write(site.path().join("notes.txt.br"), brotli(&text).await).unwrap();
    std::fs::write(site.path().join("notes.txt.gz"), gzip(&text).await).unwrap();
    let mut command = command(&["web"]);
    command.env("DATABASE_URL", database().await).env("LEPTOS_SITE_ROOT", site.path());
    let web = Program::start(command).await;
    for (accepted, coding) in [("br", Some("br")), ("gzip", Some("gzip")), ("identity", None)] {
        let request = web.get("/notes.txt").header("accept-encoding", accepted);
        let answer = request.header("range", "bytes=0-9").send().await.unwrap();
        let header = |name| answer.headers().get(name).map(|value| value.to_str().unwrap());
        assert_eq!((answer.status().as_u16(), header("content-encoding")), (200, coding));
        assert_eq!((header("vary"), header("accept-ranges")), (Some("accept-encoding"), None));
    }
}

#[tokio::test]
async fn http_1_1_without_host_is_malformed_and_http_1_0_is_served() {
    let web = web().await;
    let addr = web.url.strip_prefix("http://").unwrap().to_owned();
    for (head, status) in [
        ("GET /livez HTTP/1.1\r\n", "HTTP/1.1 400"),
        ("GET /livez HTTP/1.1\r\nhost: localhost\r\nhost: example.com\r\n", "HTTP/1.1 400"),
        ("GET http://localhost/livez HTTP/1.1\r\n", "HTTP/1.1 400"),
        ("GET /livez HTTP/1.1\r\nhost: localhost\r\n", "HTTP/1.1 200"),
        ("GET /livez HTTP/1.0\r\n", "HTTP/1.0 200"),
        ("GET /livez HTTP/1.1\r\nhost: example.com\r\n", "HTTP/1.1 403"),
    ] {
        let mut stream = TcpStream::connect(&addr).await.unwrap();
        let request = format!("{head}connection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with(status), "{head} {answer}");
        assert!(status.ends_with("200") || answer.contains("application/problem+json"), "{answer}");
    }
}
