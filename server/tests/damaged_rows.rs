//! A row that cannot be read, and a commit that comes late, on the real program.
#![allow(clippy::unwrap_used)]

mod support;

use reqwest::Response;
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use support::{Program, command, contract, database};

/// The one that is damaged, or late.
const DAMAGED: &str = "00000000-0000-4000-8000-000000000001";
const SOUND: &str = "00000000-0000-4000-8000-000000000002";
const REASON: &str = "the stored value of amount cannot be read";

/// A web process that posts nothing, and a connection to its database.
async fn web() -> (Program, PgConnection) {
    let database = database().await;
    let mut command = command(&["web"]);
    command.env("DATABASE_URL", &database);
    (Program::start(command).await, PgConnection::connect(&database).await.unwrap())
}

async fn submit(program: &Program, id: &str) {
    let submission = json!({"id": id, "amount": 1, "currency": "USD"});
    assert_eq!(program.post_json("/api/transactions", &submission).await.status(), 202);
}

async fn run(connection: &mut PgConnection, statement: &'static str) {
    sqlx::raw_sql(statement).execute(connection).await.unwrap();
}

/// The stream's text until it contains this.
async fn read_until(stream: &mut Response, text: &str) -> String {
    let mut read = String::new();
    while !read.contains(text) {
        read += std::str::from_utf8(&stream.chunk().await.unwrap().unwrap()).unwrap();
    }
    read
}

#[tokio::test]
async fn a_damaged_row_is_shown_as_unreadable_wherever_transactions_are_shown() {
    let (program, mut connection) = web().await;
    let mut stream = program.get("/api/stream").send().await.unwrap();
    submit(&program, DAMAGED).await;
    run(&mut connection, "update transactions set amount = 'NaN', changed_in = current_change()")
        .await;
    submit(&program, SOUND).await;
    let unreadable = json!([{"transactionId": DAMAGED, "reason": REASON}]);
    for path in ["/api/transactions", "/api/transactions/changes?since=0"] {
        let list = program.read(path).await;
        assert_eq!(list["data"][0]["transactionId"], SOUND, "{path}");
        assert_eq!(list["unreadable"], unreadable, "{path}");
    }
    let export = program.read_text("/api/transactions/export?format=ndjson").await;
    let lines: Vec<Value> =
        export.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0]["transactionId"], SOUND);
    let line = json!({"transactionId": DAMAGED, "status": "unreadable", "error": REASON});
    assert_eq!(lines[1], line);
    let export = program.read_text("/api/transactions/export?format=csv").await;
    let record = format!("{DAMAGED},unreadable,,,,,,,,,,,,{REASON},,");
    assert_eq!(export.lines().nth(2), Some(&*record));
    let events = read_until(&mut stream, REASON).await;
    assert!(events.contains("event: unreadable"), "{events}");
    if !events.contains(SOUND) {
        read_until(&mut stream, SOUND).await;
    }

    let one = contract(program.get(&format!("/api/transactions/{DAMAGED}")).send().await.unwrap());
    let one = one.await;
    let detail = format!("transaction {DAMAGED} cannot be read: {REASON}");
    assert_eq!((&one["status"], &one["body"]["code"]), (&json!(500), &json!("unreadable")));
    assert_eq!(one["body"]["detail"], detail);
    let pages = [("/".to_owned(), SOUND), (format!("/transactions/{DAMAGED}"), REASON)];
    for (path, text) in pages {
        let page = program.get(&path).header("accept", "text/html").send().await.unwrap();
        let page = page.text().await.unwrap();
        assert!(page.contains(text) && page.contains(REASON), "{page}");
    }
    let health = program.read("/api/health").await;
    assert_eq!((&health["status"], &health["unreadable"]), (&json!("degraded"), &json!(1)));
    let reasons = health["reasons"].as_array().unwrap();
    assert!(reasons.contains(&json!("1 stored transaction cannot be read")), "{reasons:?}");
    let metrics = program.read_text("/metrics").await;
    assert!(metrics.contains("onceward_unreadable_transactions 1\n"), "{metrics}");
}

#[tokio::test]
async fn a_reader_that_polls_sees_a_transaction_whose_commit_comes_late() {
    let (program, mut connection) = web().await;
    let poll = async |since: &str| {
        let page = program.read(&format!("/api/transactions/changes{since}")).await;
        assert_eq!(page["hasMore"], false);
        let ids = page["data"].as_array().unwrap().iter();
        let ids: Vec<_> =
            ids.map(|one| one["transactionId"].as_str().unwrap().to_owned()).collect();
        (ids, format!("?since={}", page["nextSince"].as_str().unwrap()))
    };
    let (ids, since) = poll("").await;
    assert_eq!(ids, [""; 0]);
    run(
        &mut connection,
        "begin; insert into transactions (id, principal, amount, currency, fingerprint)
            values ('00000000-0000-4000-8000-000000000001', 'p', 1, 'USD', sha256(''))",
    )
    .await;
    submit(&program, SOUND).await;
    let (ids, since) = poll(&since).await;
    assert_eq!(ids, [SOUND]);
    let last_seen =
        program.read(&format!("/api/transactions/{SOUND}")).await["submittedAt"].clone();
    run(&mut connection, "commit").await;
    let (ids, since) = poll(&since).await;
    assert_eq!(ids, [DAMAGED]);
    assert_eq!(poll(&since).await.0, [""; 0]);
    // By its time it would have been missed.
    let from = format!("/api/transactions?from={}", last_seen.as_str().unwrap());
    assert_eq!(program.read(&from).await["data"].as_array().unwrap().len(), 1);

    // Whoever has a position that nobody can have given receives everything.
    for since in ["10-0", "1-2", "9-3-1", "99999999999999999999"] {
        assert_eq!(poll(&format!("?since={since}")).await.0, [DAMAGED, SOUND], "{since}");
    }
    for (query, pointer) in [("?since=x", "/since"), ("?since=", "/since"), ("?sinc=1", "/sinc")] {
        let path = format!("/api/transactions/changes{query}");
        let refused = contract(program.get(&path).send().await.unwrap()).await;
        assert_eq!(
            (&refused["status"], &refused["body"]["errors"][0]["pointer"]),
            (&json!(422), &json!(pointer))
        );
    }
}
