//! Every way a verification can end, and what it then proves.

use std::time::Duration;

use domain::Finding;
use futures::future::join_all;
use gateway::{LookupAnswer, PostingRequest, PostingService, RequiredFields};
use tokio::net::TcpListener;

use crate::{
    LONG, SHORT, answer, client, posting,
    scripted_server::{Action, ScriptedServer},
};

async fn verify(
    posting: &PostingRequest,
    script: Vec<Action>,
    timeout: Duration,
) -> (LookupAnswer, ScriptedServer) {
    let server = ScriptedServer::start(script).await;
    let sighting = client(&server.url(), timeout).verify(posting).await;
    assert!(server.requests() <= 1, "asked more than once: {:?}", server.received());
    (sighting, server)
}

#[tokio::test]
async fn each_answer_yields_the_finding_that_it_proves() {
    let posting = posting();
    let id = posting.id;
    let entry = |amount: &str, currency: &str| {
        format!(r#"{{"id": "{id}", "amount": {amount}, "currency": {currency}}}"#)
    };
    let ok = "200 OK";
    let other_id = entry("100.50", r#""USD""#).replace(&id.to_string(), "another");
    let capitals =
        entry("100.50", r#""USD""#).replace(&id.to_string(), &id.to_string().to_uppercase());
    let another =
        entry("100.50", r#""USD""#).replace(&id.to_string(), &uuid::Uuid::now_v7().to_string());
    let named = |name: &str| format!(r#"{{"$serde_json::private::{name}": "100.50"}}"#);
    let twice = entry("1", r#""USD""#).replace("amount", r#"amount": 100.50, "amount"#);
    let raw = entry("100.50", r#""USD""#).replace('\\', r"\\").replace('"', r#"\""#);
    let raw = format!(r#"{{"$serde_json::private::RawValue": "{raw}"}}"#);
    let more = entry("100.50", r#""USD", "more": [{"a": 1, "a": {}}]"#);
    let cases = [
        ("found", ok, entry("100.50", r#""USD""#), Finding::Found),
        ("other digits", ok, entry("100.5", r#""USD""#), Finding::Found),
        ("an exponent", ok, entry("1.005e2", r#""USD""#), Finding::Found),
        ("a text", ok, entry(r#""100.50""#, r#""USD""#), Finding::Found),
        ("in data", ok, format!(r#"{{"data": {}}}"#, entry("100.50", r#""USD""#)), Finding::Found),
        ("other amount", ok, entry("100.51", r#""USD""#), Finding::Mismatch),
        ("an amount nearby", ok, entry("100.50000000000001", r#""USD""#), Finding::Mismatch),
        ("other currency", ok, entry("100.50", r#""EUR""#), Finding::Mismatch),
        ("more zeros", ok, entry("100.5000000000000000000000", r#""USD""#), Finding::Found),
        ("currency in small letters", ok, entry("100.50", r#""usd""#), Finding::Found),
        ("id in capitals", ok, capitals, Finding::Found),
        ("id without dashes", ok, format!(r#"{{"id": "{}"}}"#, id.simple()), Finding::Found),
        (
            "after a byte order mark",
            ok,
            format!("\u{feff}{}", entry("100.50", r#""USD""#)),
            Finding::Found,
        ),
        (
            "a rounded amount",
            ok,
            entry("100.50000000000000000000000000000000001", r#""USD""#),
            Finding::Mismatch,
        ),
        ("the id alone", ok, format!(r#"{{"id": "{id}"}}"#), Finding::Found),
        ("no amount", ok, format!(r#"{{"id": "{id}", "currency": "USD"}}"#), Finding::Found),
        ("null amount", ok, entry("null", r#""USD""#), Finding::Found),
        ("no currency", ok, format!(r#"{{"id": "{id}", "amount": 100.50}}"#), Finding::Found),
        ("only another amount", ok, format!(r#"{{"id": "{id}", "amount": 1}}"#), Finding::Mismatch),
        ("a negative amount", ok, entry("-100.50", r#""USD""#), Finding::Mismatch),
        ("other id", ok, other_id, Finding::Failed),
        ("another's id", ok, another, Finding::Failed),
        ("no id", ok, r#"{"amount": 100.50, "currency": "USD"}"#.to_owned(), Finding::Failed),
        ("nothing", ok, "{}".to_owned(), Finding::Failed),
        ("an error", ok, format!(r#"{{"id": "{id}", "error": "not found"}}"#), Finding::Failed),
        ("no error", ok, format!(r#"{{"id": "{id}", "error": null}}"#), Finding::Found),
        ("a list of fields", ok, format!(r#"[null, "{id}", 100.50, "USD"]"#), Finding::Failed),
        ("a list", ok, format!("[{}]", entry("100.50", r#""USD""#)), Finding::Failed),
        ("no number", ok, entry(&named("Number"), r#""USD""#), Finding::Failed),
        ("an amount in a string", ok, entry(&named("RawValue"), r#""USD""#), Finding::Failed),
        ("an entry in a string", ok, raw.clone(), Finding::Failed),
        ("data in a string", ok, format!(r#"{{"data": {raw}}}"#), Finding::Failed),
        ("two amounts", ok, twice, Finding::Failed),
        ("fields that are not read", ok, more, Finding::Found),
        ("empty", ok, String::new(), Finding::Failed),
        ("null", ok, "null".to_owned(), Finding::Failed),
        ("garbage", ok, "<html>It works!</html>".to_owned(), Finding::Failed),
        ("too long", ok, format!("{}{}", entry("1", "2"), " ".repeat(70_000)), Finding::Failed),
        ("absent", "404 Not Found", r#"{"error": "no such entry"}"#.to_owned(), Finding::Absent),
        ("gone", "410 Gone", "{}".to_owned(), Finding::Failed),
        ("created", "201 Created", entry("100.50", r#""USD""#), Finding::Failed),
        ("moved", "302 Found", "{}".to_owned(), Finding::Failed),
        ("refused", "401 Unauthorized", "{}".to_owned(), Finding::Failed),
        ("forbidden", "403 Forbidden", "{}".to_owned(), Finding::Failed),
        ("too many", "429 Too Many Requests", "{}".to_owned(), Finding::Failed),
        ("broken", "500 Internal Server Error", "{}".to_owned(), Finding::Failed),
        ("behind a gateway", "502 Bad Gateway", "{}".to_owned(), Finding::Failed),
        ("down", "503 Service Unavailable", "{}".to_owned(), Finding::Failed),
    ];
    join_all(cases.iter().map(async |(what, status, body, finding)| {
        let script = vec![Action::ReadRequest, answer(status, "location: /\r\n", body)];
        let (sighting, server) = verify(&posting, script, LONG).await;
        assert_eq!(sighting.finding, *finding, "{what}: {sighting:?}");
        assert_eq!(sighting.http_status, status.split(' ').next().unwrap().parse().ok(), "{what}");
        let trouble = matches!(finding, Finding::Failed | Finding::Mismatch);
        assert_eq!(sighting.error.is_some(), trouble, "{what}: {sighting:?}");
        assert!(server.received()[0].starts_with(&format!("GET /transactions/{id} HTTP/1.1\r\n")));
    }))
    .await;
}

#[tokio::test]
async fn a_verification_finds_an_entry_only_with_the_fields_that_are_required() {
    let posting = posting();
    let id = posting.id;
    let (amount, currency) = (r#", "amount": 100.5"#, r#", "currency": "USD""#);
    let required = |amount, currency| RequiredFields { amount, currency };
    let cases = [
        (required(true, false), "", Finding::Failed),
        (required(true, false), currency, Finding::Failed),
        (required(true, false), amount, Finding::Found),
        (required(false, true), amount, Finding::Failed),
        (required(false, true), currency, Finding::Found),
        (required(true, true), amount, Finding::Failed),
        (required(true, true), r#", "amount": 100.5, "currency": "USD""#, Finding::Found),
        (required(true, true), r#", "amount": 1, "currency": "USD""#, Finding::Mismatch),
    ];
    for (required, fields, finding) in cases {
        let body = format!(r#"{{"id": "{id}"{fields}}}"#);
        let reply = answer("200 OK", "", &body);
        let server = ScriptedServer::start([Action::ReadRequest, reply]).await;
        let client = client(&server.url(), LONG).requiring(required);
        let found = client.verify(&posting).await;
        assert_eq!(found.finding, finding, "{required:?} {body}: {found:?}");
    }
}

/// Services answer a 404 with JSON, with a page, or with no body.
#[tokio::test]
async fn a_404_counts_as_absent_whatever_its_body() {
    for body in ["", "<h1>Not Found</h1>", r#"{"error": "no such entry"}"#] {
        let reply = answer("404 Not Found", "content-type: text/html\r\n", body);
        let (sighting, _) = verify(&posting(), vec![Action::ReadRequest, reply], LONG).await;
        assert_eq!((sighting.finding, sighting.http_status), (Finding::Absent, Some(404)));
    }
}

#[tokio::test]
async fn a_verification_without_an_answer_proves_nothing() {
    let half = Action::Send("HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{\"id\":".to_owned());
    let cases = [
        ("closed unread", vec![], LONG),
        ("closed", vec![Action::ReadRequest], LONG),
        ("reset", vec![Action::ReadRequest, Action::Reset], LONG),
        ("silent", vec![Action::ReadRequest, Action::Hold], SHORT),
        ("no HTTP", vec![Action::ReadRequest, Action::Send("hello\r\n\r\n".to_owned())], LONG),
        ("half an answer", vec![Action::ReadRequest, half.clone()], LONG),
        ("half an answer, then silent", vec![Action::ReadRequest, half, Action::Hold], SHORT),
    ];
    join_all(cases.map(async |(what, script, timeout)| {
        let (sighting, _) = verify(&posting(), script, timeout).await;
        assert_eq!(sighting.finding, Finding::Failed, "{what}: {sighting:?}");
        assert!(sighting.error.is_some(), "{what}");
    }))
    .await;
    let unused = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let sighting = client(&format!("http://{unused}"), LONG).verify(&posting()).await;
    assert_eq!((sighting.finding, sighting.http_status), (Finding::Failed, None));
}

#[tokio::test]
async fn a_verification_reads_retry_after_too() {
    for status in ["429 Too Many Requests", "503 Service Unavailable", "404 Not Found"] {
        let script = vec![Action::ReadRequest, answer(status, "retry-after: 7\r\n", "{}")];
        let (sighting, _) = verify(&posting(), script, LONG).await;
        assert_eq!(sighting.retry_after, Some(Duration::from_secs(7)), "{status}");
    }
}
