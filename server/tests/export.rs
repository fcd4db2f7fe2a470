//! The export, on the real program.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::HashSet;

use nix::sys::signal::Signal;
use reqwest::Response;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use support::{Program, command, contract, database};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const EXPORT: &str = "/api/transactions/export";

/// A web process that posts nothing, and its database.
async fn web() -> (Program, String) {
    let database = database().await;
    let mut command = command(&["web"]);
    command.env("DATABASE_URL", &database);
    (Program::start(command).await, database)
}

async fn execute(database: &str, statement: &str) {
    let mut connection = PgConnection::connect(database).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(&mut connection).await.unwrap();
}

/// Stores `count` transactions directly in the database, several at each instant; `description` is
/// SQL.
async fn store(database: &str, count: u32, description: &str) {
    let statement = format!(
        "insert into transactions
            (id, principal, amount, currency, description, fingerprint, submitted_at)
         select gen_random_uuid(), 'anonymous', n, 'USD', {description},
            sha256(''), now() - n / 7 * interval '1 millisecond'
         from generate_series(1, {count}) as n"
    );
    execute(database, &statement).await;
}

async fn submit(program: &Program, body: Value) {
    assert_eq!(program.post_json("/api/transactions", &body).await.status(), 202);
}

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers()[name].to_str().unwrap()
}

/// The records of a CSV, header first.
fn records(text: &str) -> Vec<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(text.as_bytes());
    let records =
        reader.records().map(|record| record.unwrap().iter().map(str::to_owned).collect());
    records.collect()
}

fn lines(text: &str) -> Vec<Value> {
    assert!(text.is_empty() || text.ends_with('\n'));
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn an_export_of_several_pages_contains_every_transaction_once_newest_first() {
    let (program, database) = web().await;
    store(&database, 2_345, "null").await;
    let text = program.read_text(&format!("{EXPORT}?format=ndjson")).await;
    let exported = lines(&text);
    let ids: HashSet<_> = exported.iter().map(|line| line["transactionId"].to_string()).collect();
    assert_eq!((exported.len(), ids.len()), (2_345, 2_345));
    let order: Vec<_> = exported
        .iter()
        .map(|line| {
            (line["submittedAt"].as_str().unwrap(), line["transactionId"].as_str().unwrap())
        })
        .collect();
    assert!(order.is_sorted_by(|one, next| one > next));
    let csv = records(&program.read_text(&format!("{EXPORT}?format=csv")).await);
    let of_csv: Vec<_> = csv[1..].iter().map(|record| record[0].as_str()).collect();
    assert_eq!(of_csv, order.iter().map(|(_, id)| *id).collect::<Vec<_>>());
}

#[tokio::test]
async fn an_export_has_the_filters_of_the_list() {
    let (program, database) = web().await;
    for (reference, currency) in [("a", "USD"), ("b", "EUR"), ("c", "USD")] {
        submit(&program, json!({"amount": 1, "currency": currency, "reference": reference})).await;
    }
    execute(
        &database,
        "update transactions set submitted_at = '2026-01-31T12:00:00Z' where reference = 'a';
         update transactions set attempts = 3 where reference = 'b';
         update transactions set state = 'cancelled', completed_at = now(), next_attempt_at = null
         where reference = 'c'",
    )
    .await;
    for (filter, references) in [
        ("", vec!["c", "b", "a"]),
        ("&status=cancelled", vec!["c"]),
        ("&currency=USD", vec!["c", "a"]),
        ("&reference=b", vec!["b"]),
        ("&from=2026-02-01T00:00:00Z", vec!["c", "b"]),
        ("&to=2026-02-01T00:00:00Z", vec!["a"]),
        ("&minAttempts=3&status=pending", vec!["b"]),
        ("&currency=JPY", vec![]),
    ] {
        let exported = lines(&program.read_text(&format!("{EXPORT}?format=ndjson{filter}")).await);
        let of: Vec<_> = exported.iter().map(|line| line["reference"].as_str().unwrap()).collect();
        assert_eq!(of, references, "{filter}");
        // Each line equals the list's entry.
        let list = program.read(&format!("/api/transactions?limit=200{filter}")).await;
        assert_eq!(list["data"], json!(exported), "{filter}");
    }
    let bad = "?format=xlsx&status=gone&minAttempts=-1";
    let bad = contract(program.get(&format!("{EXPORT}{bad}")).send().await.unwrap()).await;
    let pointers: Vec<_> = bad["body"]["errors"].as_array().unwrap().iter().collect();
    assert_eq!(bad["status"], 422);
    assert_eq!(
        pointers.iter().map(|error| &error["pointer"]).collect::<Vec<_>>(),
        ["/status", "/minAttempts", "/format"]
    );
}

#[tokio::test]
async fn the_csv_preserves_every_text() {
    let (program, _) = web().await;
    let texts = [
        "plain",
        "a,b",
        "she said \"no\"",
        "two\nlines",
        "two\r\nlines",
        "Überweisung ✓ 送金",
        " spaces ",
        "=1+1",
        "'=1+1",
        "+49 30 1234",
        "-",
        "@x",
        "\ttab",
        "a;b",
        "＝1+1",
        "＠x",
    ];
    for text in texts {
        submit(
            &program,
            json!({
                "amount": "100.50", "currency": "USD", "reference": text, "description": text,
                "sourceAccount": text, "metadata": {"text": text, "n": 1.10},
                "timestamp": "2026-01-31T12:00:00.5Z",
            }),
        )
        .await;
    }
    submit(&program, json!({"amount": "9999999999999.99", "currency": "USD"})).await;

    let text = program.read_text(EXPORT).await;
    let records = records(&text);
    assert!(text.ends_with("\r\n"));
    let column = |name: &str| records[0].iter().position(|column| column == name).unwrap();
    let list = program.read("/api/transactions?limit=200").await;
    let list = list["data"].as_array().unwrap();
    assert_eq!(records.len(), list.len() + 1);
    for (record, transaction) in records[1..].iter().zip(list) {
        for name in ["transactionId", "status", "amount", "currency", "timestamp", "submittedAt"] {
            let value = &transaction[name];
            let text = match value {
                Value::Null => String::new(),
                _ => value.as_str().map_or_else(|| value.to_string(), str::to_owned),
            };
            assert_eq!(record[column(name)], text, "{name}");
        }
        for name in ["reference", "description", "sourceAccount"] {
            let written = &record[column(name)];
            assert!(
                !written.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＠']),
                "{written}"
            );
            let text = written.strip_prefix('\'').unwrap_or(written);
            assert_eq!(text, transaction[name].as_str().unwrap_or_default(), "{name}");
        }
        let metadata = match record[column("metadata")].as_str() {
            "" => json!(null),
            text => serde_json::from_str(text).unwrap(),
        };
        assert_eq!(metadata, transaction["metadata"]);
    }
}

#[tokio::test]
async fn an_export_is_a_download_in_the_requested_format() {
    let (program, _) = web().await;
    let ask = |query: &str, accept: &'static str| {
        program.get(&format!("{EXPORT}{query}")).header("accept", accept).send()
    };
    let csv = "text/csv; charset=utf-8; header=present";
    let ndjson = "application/x-ndjson";
    for (query, accept, content_type, extension) in [
        ("", "*/*", csv, ".csv\""),
        ("", "text/csv", csv, ".csv\""),
        ("", "application/x-ndjson", ndjson, ".ndjson\""),
        ("?format=csv", "application/x-ndjson", csv, ".csv\""),
        ("?format=ndjson", "text/csv", ndjson, ".ndjson\""),
    ] {
        let answer = ask(query, accept).await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(header(&answer, "content-type"), content_type);
        let disposition = header(&answer, "content-disposition");
        assert!(disposition.starts_with("attachment; filename=\"transactions-"), "{disposition}");
        assert!(disposition.ends_with(extension), "{disposition}");
    }
    let empty = program.read_text(EXPORT).await;
    assert!(empty.starts_with("transactionId,status,amount,"), "{empty}");
    assert_eq!(records(&empty).len(), 1);
    assert_eq!(program.read_text(&format!("{EXPORT}?format=ndjson")).await, "");
}

#[tokio::test]
async fn the_page_links_to_a_csv_that_begins_with_a_byte_order_mark() {
    let (program, _) = web().await;
    submit(&program, json!({"amount": 1, "currency": "USD", "reference": "Überweisung"})).await;
    let plain = program.get(&format!("{EXPORT}?format=csv"));
    let plain = plain.send().await.unwrap().bytes().await.unwrap();
    assert!(plain.starts_with(b"transactionId,"));
    let page = program.get("/").header("accept", "text/html").send().await.unwrap();
    let page = page.text().await.unwrap();
    let link = page.split('"').find(|text| text.starts_with(EXPORT) && text.contains("csv"));
    let link = link.unwrap().replace("&amp;", "&");
    let marked = program.get(&link).send().await.unwrap().bytes().await.unwrap();
    assert_eq!(marked.strip_prefix("\u{feff}".as_bytes()), Some(&*plain), "{link}");
    for format in ["csv-bom", "csv", "ndjson"] {
        let answer = program.get(&format!("{EXPORT}?format={format}")).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{format}");
        let bytes = answer.bytes().await.unwrap();
        assert_eq!(bytes.starts_with("\u{feff}".as_bytes()), format == "csv-bom", "{format}");
    }
    let unknown = program.get(&format!("{EXPORT}?format=bom")).send().await.unwrap();
    assert_eq!(contract(unknown).await["body"]["errors"][0]["pointer"], "/format");
}

/// Reads a response to its end: whether it ended well, and after how many bytes.
async fn read_on(mut response: Response, mut read: usize) -> (bool, usize) {
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) => read += chunk.len(),
            Ok(None) => return (true, read),
            Err(_) => return (false, read),
        }
    }
}

/// Stores much more than socket buffers hold for a client that does not read, compressed or not: 20 MB of text that
/// cannot be compressed to less than three quarters of that.
async fn store_much(database: &str) {
    let noise = "encode(gen_random_bytes(1024), 'base64')";
    store(database, 2_000, &[noise; 7].join(" || ")).await;
}

#[tokio::test]
async fn an_export_cut_off_by_a_database_failure_does_not_look_complete() {
    let (program, database) = web().await;
    store_much(&database).await;
    for encoding in ["identity", "gzip"] {
        let ask = || program.get(EXPORT).header("accept-encoding", encoding).send();
        let whole = ask().await.unwrap();
        assert_eq!(whole.headers().contains_key("content-encoding"), encoding == "gzip");
        let (ended_well, bytes) = read_on(whole, 0).await;
        assert!(ended_well && bytes > 14_000_000, "{encoding}: {bytes}");

        let mut half = ask().await.unwrap();
        let first = half.chunk().await.unwrap().unwrap().len();
        execute(&database, "alter table transactions rename to gone").await;
        let (ended_well, bytes) = read_on(half, first).await;
        assert!(!ended_well, "{encoding}: it ended well after {bytes} bytes");

        let late = contract(program.get(EXPORT).send().await.unwrap()).await;
        assert_eq!((&late["status"], &late["body"]["code"]), (&json!(503), &json!("unavailable")));
        execute(&database, "alter table gone rename to transactions").await;
    }
}

/// Asks for an export over HTTP/1.0, in which a response ends with its connection, and reads the beginning.
async fn begun_over_http_1_0(program: &Program) -> TcpStream {
    let mut stream =
        TcpStream::connect(program.url.strip_prefix("http://").unwrap()).await.unwrap();
    stream.write_all(format!("GET {EXPORT} HTTP/1.0\r\n\r\n").as_bytes()).await.unwrap();
    let mut beginning = [0; 12];
    stream.read_exact(&mut beginning).await.unwrap();
    assert_eq!(&beginning, b"HTTP/1.0 200");
    stream
}

#[tokio::test]
async fn an_export_over_http_1_0_that_breaks_off_ends_with_a_reset_even_if_the_program_is_killed() {
    let (program, database) = web().await;
    store_much(&database).await;
    let read = async |mut stream: TcpStream| {
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.map(|_| rest.len())
    };
    let whole = read(begun_over_http_1_0(&program).await).await.unwrap();
    assert!(whole > 14_000_000, "{whole}");

    let half = begun_over_http_1_0(&program).await;
    execute(&database, "alter table transactions rename to gone").await;
    read(half).await.expect_err("it looks complete after a failure of the database");
    execute(&database, "alter table gone rename to transactions").await;

    let half = begun_over_http_1_0(&program).await;
    program.end(Signal::SIGKILL).await;
    read(half).await.expect_err("it looks complete although the program was killed");
}
