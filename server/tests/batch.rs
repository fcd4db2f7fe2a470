//! Batches: an answer for each line, in order.
#![allow(clippy::unwrap_used)]

mod support;

use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use support::{Program, command, contract, database, redacted};

/// A web process without a worker, so that nothing changes the submitted transactions.
async fn web() -> Program {
    web_on(&database().await).await
}

async fn web_on(database: &str) -> Program {
    let mut command = command(&["web"]);
    command.env("DATABASE_URL", database);
    Program::start(command).await
}

async fn send(web: &Program, content_type: &str, body: String) -> Value {
    let request = web.post("/api/transactions/batch").header("content-type", content_type);
    contract(request.body(body).send().await.unwrap()).await
}

async fn json_batch(web: &Program, lines: &Value) -> Value {
    let mut answer = send(web, "application/json", lines.to_string()).await;
    assert_eq!(answer["status"], 200, "{answer}");
    answer["body"]["data"].take()
}

fn column(answers: &Value, pointer: &str) -> Vec<Value> {
    let answers = answers.as_array().unwrap().iter();
    answers.map(|answer| answer.pointer(pointer).cloned().unwrap_or_default()).collect()
}

async fn stored(web: &Program) -> usize {
    web.read("/api/transactions?limit=200").await["data"].as_array().unwrap().len()
}

#[tokio::test]
async fn a_bad_line_does_not_affect_the_others() {
    let web = web().await;
    let earlier = "7c9e6679-7425-40de-944b-e07fc1f90ae7";
    web.submit(&json!({"id": earlier, "amount": 1, "currency": "USD"}).to_string()).await;
    let lines = json!([
        {"idempotencyKey": "k", "reference": "first", "amount": "100.50", "currency": "USD"},
        7,
        {"amount": "1.005", "currency": "USD", "idempotencyKey": "a b"},
        {"id": earlier, "amount": 2, "currency": "USD"},
        {"idempotencyKey": "k", "reference": "first", "amount": 100.5, "currency": "USD"},
        {"idempotencyKey": "k", "amount": 3, "currency": "USD"},
        {"reference": "last", "amount": 4, "currency": "JPY"},
    ]);
    let mut answers = json_batch(&web, &lines).await;
    assert_eq!(stored(&web).await, 3);
    for line in [0, 4, 6] {
        let path = answers[line]["transaction"]["transactionId"].as_str().unwrap();
        let transaction = web.read(&format!("/api/transactions/{path}")).await;
        assert_eq!(answers[line]["transaction"], transaction);
        for field in ["transactionId", "submittedAt", "nextAttemptAt"] {
            answers[line]["transaction"][field] = json!("[redacted]");
        }
    }
    for line in [1, 2, 3, 5] {
        let id = answers[line]["problem"]["requestId"].take();
        assert!(id.is_string(), "{answers}");
    }
    insta::assert_snapshot!("lines", redacted(answers, &[]));
}

#[tokio::test]
async fn json_lines_are_answered_line_by_line() {
    let web = web().await;
    for content_type in ["application/x-ndjson", "application/jsonl; charset=utf-8"] {
        let lines = "{\"amount\": 1, \"currency\": \"USD\"}\r\n\n{\"amount\": 1,\n  \n\
            {\"amount\": 100.50, \"currency\": \"USD\"}";
        let answer = send(&web, content_type, lines.to_owned()).await;
        assert_eq!(answer["contentType"], "application/x-ndjson");
        let text = answer["body"].as_str().unwrap();
        assert!(text.ends_with('\n') && text.contains(r#""amount":100.50,"#), "{text}");
        let answers: Value =
            text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).collect();
        assert_eq!(column(&answers, "/index"), [0, 1, 2]);
        assert_eq!(column(&answers, "/status"), [202, 400, 202]);
        assert_eq!(column(&answers, "/problem/code")[1], "malformed");
        let detail = answers[1]["problem"]["detail"].as_str().unwrap();
        assert!(detail.starts_with("the line is not JSON: "), "{detail}");
    }
    assert_eq!(stored(&web).await, 4);
    let empty = send(&web, "application/x-ndjson", String::new()).await;
    assert_eq!((&empty["status"], &empty["body"]), (&json!(200), &json!("")));
}

#[tokio::test]
async fn a_line_with_a_duplicate_or_reserved_member_is_refused_without_affecting_the_others() {
    let web = web().await;
    let good = r#"{"amount": 1, "currency": "USD"}"#;
    let twice = r#"{"amount": 1, "currency": "USD", "amount": 100}"#;
    let reserved =
        r#"{"$serde_json::private::RawValue": "{\"amount\": 1, \"currency\": \"USD\"}"}"#;
    let lines = [good, twice, reserved, good];
    let array = send(&web, "application/json", format!("[{}]", lines.join(","))).await;
    let by_line = send(&web, "application/jsonl", lines.join("\n")).await;
    let text = by_line["body"].as_str().unwrap();
    let by_line: Value =
        text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).collect();
    for answers in [&array["body"]["data"], &by_line] {
        assert_eq!(column(answers, "/status"), [202, 400, 400, 202]);
        let pointers = column(answers, "/problem/errors/0/pointer");
        assert_eq!(pointers[1..3], ["/amount", "/$serde_json::private::RawValue"]);
    }
    assert_eq!(stored(&web).await, 4);
}

#[tokio::test]
async fn a_byte_order_mark_before_a_body_is_skipped() {
    let web = web().await;
    let line = r#"{"amount": 1, "currency": "USD"}"#;
    let lines = send(&web, "application/x-ndjson", format!("\u{feff}{line}\n{line}\n")).await;
    for line in lines["body"].as_str().unwrap().lines() {
        assert_eq!(serde_json::from_str::<Value>(line).unwrap()["status"], 202, "{line}");
    }
    let array = send(&web, "application/json", format!("\u{feff}[{line},{line}]")).await;
    assert_eq!(column(&array["body"]["data"], "/status"), [202, 202]);
    assert_eq!(web.submit(&format!("\u{feff}{line}")).await.status(), 202);
    assert_eq!(stored(&web).await, 5);
}

#[tokio::test]
async fn a_body_that_is_not_a_batch_is_refused_as_a_whole() {
    let web = web().await;
    let line = json!({"amount": 1, "currency": "USD"});
    let many = Value::Array(vec![line.clone(); 1001]);
    let large = json!([line, {"description": "x".repeat(1 << 20)}]);
    for (name, content_type, body) in [
        ("no_json", "application/json", "[{\"amount\": 1, \"currency\": \"USD\"},".to_owned()),
        ("no_array", "application/json", line.to_string()),
        ("too_many", "application/json", many.to_string()),
        ("too_large", "application/json", large.to_string()),
        ("no_media_type_of_ours", "text/plain", json!([line]).to_string()),
    ] {
        let answer = send(&web, content_type, body).await;
        insta::assert_snapshot!(name, redacted(answer, &[]));
    }
    let lines = "{\"amount\": 1, \"currency\": \"USD\"}\n".repeat(1001);
    assert_eq!(send(&web, "application/jsonl", lines).await["status"], 422);
    let request = web.post("/api/transactions/batch").header("idempotency-key", "k");
    let request =
        request.header("content-type", "application/json").body(json!([line]).to_string());
    let answer = contract(request.send().await.unwrap()).await;
    insta::assert_snapshot!("key_for_a_batch", redacted(answer, &[]));
    assert_eq!(stored(&web).await, 0);
    assert_eq!(json_batch(&web, &json!([])).await, json!([]));
}

/// Sends the lines that were answered 503 again, as their answers ask.
async fn all_accepted(web: &Program, lines: &[Value]) -> Vec<Value> {
    let mut accepted = vec![Value::Null; lines.len()];
    loop {
        let open: Vec<_> = (0..lines.len()).filter(|line| accepted[*line].is_null()).collect();
        if open.is_empty() {
            return accepted;
        }
        let answers =
            json_batch(web, &open.iter().map(|line| lines[*line].clone()).collect()).await;
        assert_eq!(
            column(&answers, "/index"),
            (0..open.len()).map(Value::from).collect::<Vec<_>>()
        );
        for (line, answer) in open.into_iter().zip(answers.as_array().unwrap()) {
            assert!(answer["status"] == 202 || answer["status"] == 503, "{answer}");
            accepted[line] = answer["transaction"].clone();
        }
    }
}

#[tokio::test]
async fn a_thousand_lines_are_answered_in_order() {
    let web = web().await;
    let lines: Vec<_> = (0..1000)
        .map(|i| json!({"idempotencyKey": format!("k{i}"), "amount": i + 1, "currency": "JPY"}))
        .collect();
    let accepted = all_accepted(&web, &lines).await;
    for (line, accepted) in lines.iter().zip(&accepted) {
        assert_eq!(accepted["idempotencyKey"], line["idempotencyKey"]);
    }
    let health = web.read("/api/health").await;
    assert_eq!(health["queueDepth"], 1000);
}

/// The lines in flight when the database stops answering, and those that have not begun.
#[tokio::test]
async fn while_the_database_does_not_answer_every_line_is_a_503_and_can_be_sent_again() {
    let database = database().await;
    let web = web_on(&database).await;
    let mut lock = PgConnection::connect(&database).await.unwrap();
    let statement = "begin; lock table transactions in access exclusive mode";
    sqlx::raw_sql(statement).execute(&mut lock).await.unwrap();
    let lines: Vec<_> = (0..600)
        .map(|i| json!({"idempotencyKey": format!("k{i}"), "amount": i + 1, "currency": "JPY"}))
        .collect();
    let answers = json_batch(&web, &lines.iter().cloned().collect()).await;
    assert_eq!(column(&answers, "/status"), vec![json!(503); 600]);
    lock.close().await.unwrap();
    all_accepted(&web, &lines).await;
    assert_eq!(web.read("/api/health").await["queueDepth"], 600);
}

/// For each field that can name a transaction.
#[tokio::test]
async fn lines_with_the_same_name_are_one_transaction_the_first_one() {
    let web = web().await;
    for (name, value, code) in [
        ("idempotencyKey", "k", "idempotency_key_reused"),
        ("reference", "r", "conflict"),
        ("id", "7c9e6679-7425-40de-944b-e07fc1f90ae7", "conflict"),
    ] {
        let line = |amount: u32| json!({name: value, "amount": amount, "currency": "USD"});
        // More than are processed at once, so that the last come later.
        let lines: Vec<_> = (0..600).map(|i| line(u32::from(i > 0 && i % 2 == 0) + 1)).collect();
        let answers = json_batch(&web, &lines.iter().cloned().collect()).await;
        assert_eq!((&answers[0]["status"], &answers[0]["replayed"]), (&json!(202), &json!(false)));
        for (line, answer) in lines.iter().zip(answers.as_array().unwrap()).skip(1) {
            if answer["status"] == 503 {
                continue;
            }
            if line["amount"] == 1 {
                assert_eq!(answer["replayed"], true, "{answer}");
                assert_eq!(answer["transaction"], answers[0]["transaction"]);
            } else {
                assert_eq!(answer["problem"]["code"], code, "{answer}");
            }
        }
    }
    assert_eq!(stored(&web).await, 3);
}
