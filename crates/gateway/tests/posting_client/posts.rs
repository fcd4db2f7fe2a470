//! Every way a POST can end, and what is then known of the attempt.

use std::time::Duration;

use domain::{AnswerBody, Ending, Outcome, Window};
use futures::future::join_all;
use gateway::{PostAnswer, PostingService};
use tokio::net::TcpListener;

use crate::{
    LONG, SHORT, answer, client, far_deadline, posting,
    scripted_server::{Action, ScriptedServer},
};

type Known = (Outcome, Option<Window>);

const POSTED: Known = (Outcome::Posted, None);
const REFUSED: Known = (Outcome::Refused, None);
const NOT_SENT: Known = (Outcome::NotSent, None);
const UNKNOWN_SETTLE: Known = (Outcome::Unknown, Some(Window::Settle));
const UNKNOWN_VISIBLE: Known = (Outcome::Unknown, Some(Window::Visibility));

fn answered(status: u16, body: AnswerBody) -> Ending {
    Ending::Answered { status, body, retry_after: None }
}

/// Posts once to a server that follows the script and must see at most one request.
async fn post(script: Vec<Action>, timeout: Duration) -> (PostAnswer, ScriptedServer) {
    let server = ScriptedServer::start(script).await;
    let answer = client(&server.url(), timeout).post(&posting(), far_deadline()).await;
    assert!(server.requests() <= 1, "sent more than once: {:?}", server.received());
    (answer, server)
}

#[tokio::test]
async fn each_answer_proves_the_right_outcome() {
    let cases: &[(&[&str], Known)] = &[
        (&["200 OK", "201 Created", "203 Non-Authoritative Information"], POSTED),
        (&["202 Accepted"], UNKNOWN_SETTLE),
        (&["400 Bad Request", "402 Payment Required", "406 Not Acceptable", "410 Gone"], REFUSED),
        (&["413 Content Too Large", "418 Teapot", "422 Unprocessable Content"], REFUSED),
        (&["401 Unauthorized", "403 Forbidden", "404 Not Found"], NOT_SENT),
        (&["405 Method Not Allowed", "407 Proxy Authentication Required"], NOT_SENT),
        (&["408 Request Timeout", "502 Bad Gateway", "504 Gateway Timeout"], UNKNOWN_SETTLE),
        (&["503 Service Unavailable", "524 A Timeout Occurred", "599 ?"], UNKNOWN_SETTLE),
        (&["409 Conflict", "425 Too Early", "429 Too Many Requests"], UNKNOWN_VISIBLE),
        (&["500 Internal Server Error", "501 Not Implemented"], UNKNOWN_VISIBLE),
        (&["507 Insufficient Storage", "519 ?"], UNKNOWN_VISIBLE),
        (&["101 Switching Protocols"], UNKNOWN_VISIBLE),
        (&["301 Moved Permanently", "302 Found", "303 See Other"], UNKNOWN_VISIBLE),
        (&["304 Not Modified", "307 Temporary Redirect"], UNKNOWN_VISIBLE),
        (&["308 Permanent Redirect"], UNKNOWN_VISIBLE),
    ];
    let statuses = cases
        .iter()
        .flat_map(|(statuses, known)| statuses.iter().map(move |status| (*status, *known)));
    join_all(statuses.map(async |(status, known)| {
        // A redirect that is followed shows as a second request at the same server.
        let reply = answer(status, "location: /transactions\r\n", r#"{"reply": true}"#);
        let (answer, server) = post(vec![Action::ReadRequest, reply], LONG).await;
        let number: u16 = status.split(' ').next().unwrap().parse().unwrap();
        // These have no body by definition (RFC 9110), whatever follows them.
        let has_body = !matches!(number, 101 | 304);
        let body = if has_body { AnswerBody::Agrees } else { AnswerBody::Unclear };
        assert_eq!(answer.ending, answered(number, body), "{status}");
        assert_eq!(answer.ending.outcome(), known, "{status}");
        assert_eq!(server.requests(), 1, "{status}");
        if has_body {
            assert_eq!(answer.excerpt.as_deref(), Some(r#"{"reply": true}"#), "{status}");
        }
    }))
    .await;
}

#[tokio::test]
async fn a_success_is_believed_if_it_says_nothing_and_not_if_it_contradicts() {
    let posting = posting();
    let id = posting.id;
    let entry = |rest: &str| format!(r#"{{"id": "{id}"{rest}}}"#);
    let cases = [
        (POSTED, "{}".to_owned()),
        (POSTED, r#""ok""#.to_owned()),
        (POSTED, "true".to_owned()),
        (POSTED, r#"{"status": "created", "error": null, "errors": []}"#.to_owned()),
        (POSTED, r#"{"data": "created"}"#.to_owned()),
        (POSTED, entry("")),
        (POSTED, entry(r#", "amount": 100.5, "currency": "usd""#)),
        (POSTED, entry(r#", "amount": "100.50000000000000000000""#)),
        (POSTED, format!(r#"{{"data": {}}}"#, entry(r#", "amount": 100.50"#))),
        (POSTED, entry("").to_uppercase().replace("ID", "id")),
        (POSTED, format!("\u{feff}{}", entry(r#", "amount": 100.50"#))),
        // Another request's answer: this request may still be applied.
        (UNKNOWN_SETTLE, format!(r#"{{"id": "{}"}}"#, uuid::Uuid::now_v7())),
        (UNKNOWN_SETTLE, r#"{"id": 17}"#.to_owned()),
        (UNKNOWN_SETTLE, entry(r#", "amount": 1100.50"#)),
        (UNKNOWN_SETTLE, entry(r#", "amount": 100.50000000000000000000000000000000001"#)),
        (UNKNOWN_SETTLE, entry(r#", "amount": 100.50, "currency": "EUR""#)),
        (UNKNOWN_SETTLE, r#"{"currency": "EUR"}"#.to_owned()),
        (UNKNOWN_SETTLE, format!(r#"{{"data": {}}}"#, entry(r#", "amount": 1"#))),
        // No confirmation.
        (UNKNOWN_VISIBLE, r#"{"error": "nope"}"#.to_owned()),
        (UNKNOWN_VISIBLE, r#"{"errors": [{"code": 17}]}"#.to_owned()),
        (UNKNOWN_VISIBLE, format!(r#"{{"error": "nope", "data": {}}}"#, entry(""))),
        (UNKNOWN_VISIBLE, "[]".to_owned()),
        (UNKNOWN_VISIBLE, format!("[{}]", entry(""))),
        (UNKNOWN_VISIBLE, entry(r#", "amount": {"value": 100.50}"#)),
        (UNKNOWN_VISIBLE, entry(r#", "amount": "100,50""#)),
        (UNKNOWN_VISIBLE, r#"{"id": 1, "id": 2}"#.to_owned()),
    ];
    join_all(cases.iter().map(async |(known, body)| {
        let reply = answer("200 OK", "", body);
        let server = ScriptedServer::start([Action::ReadRequest, reply]).await;
        let answer = client(&server.url(), LONG).post(&posting, far_deadline()).await;
        assert_eq!(answer.ending.outcome(), *known, "{body}: {answer:?}");
    }))
    .await;
}

#[tokio::test]
async fn an_unreadable_success_proves_nothing() {
    let long = format!("\"{}\"", "x".repeat(64 * 1024));
    let just_short_enough = format!("\"{}\"", "x".repeat(64 * 1024 - 2));
    let raw = |text: &str| Action::Send(format!("HTTP/1.1 200 OK\r\n{text}"));
    let cases = [
        ("garbage", answer("200 OK", "", "<html>It works!</html>"), LONG, UNKNOWN_VISIBLE),
        ("nothing", answer("200 OK", "", ""), LONG, UNKNOWN_VISIBLE),
        ("no content", raw("\r\n").with_status("204 No Content"), LONG, UNKNOWN_VISIBLE),
        ("two values", answer("200 OK", "", "{} {}"), LONG, UNKNOWN_VISIBLE),
        ("half a body", raw("content-length: 20\r\n\r\n{\"id\":"), LONG, UNKNOWN_VISIBLE),
        (
            "a whole value in half a body",
            raw("content-length: 20\r\n\r\n{}"),
            LONG,
            UNKNOWN_VISIBLE,
        ),
        ("half a chunk", raw("transfer-encoding: chunked\r\n\r\n8\r\n{}"), LONG, UNKNOWN_VISIBLE),
        ("too much", answer("200 OK", "", &long), LONG, UNKNOWN_VISIBLE),
        ("not too much", answer("200 OK", "", &just_short_enough), LONG, POSTED),
    ];
    join_all(cases.map(async |(what, reply, timeout, known)| {
        let (answer, _) = post(vec![Action::ReadRequest, reply], timeout).await;
        assert!(matches!(answer.ending, Ending::Answered { .. }), "{what}: {answer:?}");
        assert_eq!(answer.ending.outcome(), known, "{what}: {answer:?}");
    }))
    .await;
}

#[tokio::test]
async fn a_stalled_body_is_given_up_at_the_request_timeout() {
    let head = Action::Send("HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\n{".to_owned());
    let (answer, _) = post(vec![Action::ReadRequest, head, Action::Hold], SHORT).await;
    assert_eq!(answer.ending, answered(200, AnswerBody::Unclear));
    assert_eq!(answer.ending.outcome(), UNKNOWN_VISIBLE);
    assert!(answer.transport_error.is_some());
}

#[tokio::test]
async fn a_connection_that_breaks_leaves_the_outcome_unknown_for_the_settle_window() {
    let say = |text: &str| Action::Send(text.to_owned());
    let cases = [
        ("closed", vec![Action::ReadRequest], LONG, Ending::Broken),
        ("reset", vec![Action::ReadRequest, Action::Reset], LONG, Ending::Broken),
        ("reset after the head", vec![Action::ReadHead, Action::Reset], LONG, Ending::Broken),
        ("silent", vec![Action::ReadRequest, Action::Hold], SHORT, Ending::TimedOut),
        ("never read", vec![Action::Hold], SHORT, Ending::TimedOut),
        (
            "no HTTP",
            vec![Action::ReadRequest, say("SSH-2.0-OpenSSH_9.9\r\n")],
            LONG,
            Ending::Broken,
        ),
        (
            "half a head",
            vec![Action::ReadRequest, say("HTTP/1.1 200 OK\r\nx")],
            LONG,
            Ending::Broken,
        ),
        (
            "no status",
            vec![Action::ReadRequest, say("HTTP/1.1 fine\r\n\r\n{}")],
            LONG,
            Ending::Broken,
        ),
        (
            "only an interim answer",
            vec![Action::ReadRequest, say("HTTP/1.1 100 Continue\r\n\r\n")],
            LONG,
            Ending::Broken,
        ),
        (
            "an interim answer, then silent",
            vec![Action::ReadRequest, say("HTTP/1.1 103 Early Hints\r\n\r\n"), Action::Hold],
            SHORT,
            Ending::TimedOut,
        ),
    ];
    join_all(cases.map(async |(what, script, timeout, ending)| {
        let (answer, _) = post(script, timeout).await;
        assert_eq!(answer.ending, ending, "{what}: {answer:?}");
        assert_eq!(answer.ending.outcome(), UNKNOWN_SETTLE, "{what}");
        assert!(answer.transport_error.is_some() && answer.excerpt.is_none(), "{what}: {answer:?}");
    }))
    .await;
}

#[tokio::test]
async fn the_answer_after_an_interim_one_counts() {
    let interim = Action::Send("HTTP/1.1 100 Continue\r\n\r\n".to_owned());
    let (answer, _) =
        post(vec![Action::ReadRequest, interim, answer("201 Created", "", "{}")], LONG).await;
    assert_eq!(answer.ending.outcome(), POSTED);
}

/// The body is larger than any socket buffer, and the server has read only the head.
#[tokio::test]
async fn a_request_that_breaks_in_the_middle_of_its_body_does_not_count_as_not_sent() {
    let mut posting = posting();
    let filling = serde_json::Value::from("x".repeat(32 << 20));
    posting.metadata = Some(serde_json::Map::from_iter([("filling".to_owned(), filling)]));
    for (script, timeout, ending) in [
        (vec![Action::ReadHead, Action::Reset], LONG, Ending::Broken),
        (vec![Action::ReadHead, Action::Hold], SHORT, Ending::TimedOut),
    ] {
        let server = ScriptedServer::start(script).await;
        let answer = client(&server.url(), timeout).post(&posting, far_deadline()).await;
        assert_eq!(answer.ending, ending, "{answer:?}");
        assert_eq!(server.requests(), 1);
    }
}

#[tokio::test]
async fn a_post_without_a_connection_was_not_sent() {
    let unused = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let plain = ScriptedServer::start([answer("400 Bad Request", "", "no TLS here")]).await;
    let refusing_tls = ScriptedServer::start([]).await;
    let cases = [
        ("connection refused", format!("http://{unused}")),
        ("name not found", "http://posting.invalid".to_owned()),
        ("no TLS", plain.url().replace("http:", "https:")),
        ("closed instead of TLS", refusing_tls.url().replace("http:", "https:")),
    ];
    join_all(cases.map(async |(what, url)| {
        let answer = client(&url, LONG).post(&posting(), far_deadline()).await;
        assert_eq!(answer.ending, Ending::NotWritten, "{what}: {answer:?}");
        assert_eq!(answer.ending.outcome(), NOT_SENT, "{what}");
        let error = answer.transport_error.unwrap();
        assert!(!error.contains("//"), "{what}: the error shows the URL: {error}");
    }))
    .await;
    assert_eq!(plain.requests() + refusing_tls.requests(), 0);
}

/// Whether the request is in flight when the client notices the closed connection is a race; either
/// way it was not read. It must never count as answered and never be sent again.
#[tokio::test]
async fn a_connection_closed_unread_is_broken_or_not_written() {
    for script in [vec![], vec![Action::Reset]] {
        for _ in 0..20 {
            let (answer, _) = post(script.clone(), LONG).await;
            assert!(matches!(answer.ending, Ending::Broken | Ending::NotWritten), "{answer:?}");
        }
    }
}

#[tokio::test]
async fn retry_after_is_read_as_seconds_and_as_a_date() {
    let in_seconds = |text: &str| (text.to_owned(), Some(120.0));
    let date = chrono::Utc::now() + chrono::TimeDelta::seconds(120);
    let date = date.format("%a, %d %b %Y %H:%M:%S GMT").to_string();
    let cases = [
        in_seconds("120"),
        in_seconds(&date),
        ("Wed, 21 Oct 2015 07:28:00 GMT".to_owned(), None),
        ("soon".to_owned(), None),
        ("-1".to_owned(), None),
        ("99999999999999999999999".to_owned(), None),
        (String::new(), None),
    ];
    for status in ["429 Too Many Requests", "503 Service Unavailable"] {
        join_all(cases.iter().map(async |(text, expected)| {
            let reply = answer(status, &format!("retry-after: {text}\r\n"), "{}");
            let (answer, _) = post(vec![Action::ReadRequest, reply], LONG).await;
            let seconds = answer.ending.retry_after().map(|time| time.as_secs_f64());
            match (expected, seconds) {
                (None, None) => {}
                // A date has no fractions of a second, and time passes.
                (Some(most), Some(seconds)) if (most - 30.0..=*most).contains(&seconds) => {}
                _ => panic!("{text:?}: {seconds:?}"),
            }
        }))
        .await;
    }
}

impl Action {
    fn with_status(self, status: &str) -> Self {
        match self {
            Self::Send(text) => Self::Send(text.replace("200 OK", status)),
            other => other,
        }
    }
}
