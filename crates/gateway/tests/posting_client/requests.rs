//! What a request contains, and that it is sent once.

use domain::{Amount, Currency, Ending, Finding, TraceParent};
use gateway::PostingService;
use serde_json::{Value, json};

use crate::{
    LONG, TRACE, answer, client, far_deadline, header, posting,
    scripted_server::{Action, ScriptedServer},
};

#[tokio::test]
async fn a_post_carries_the_transaction_id_everywhere_and_keeps_every_digit() {
    for (amount, currency) in [
        ("100.50", "USD"),
        ("0.10", "EUR"),
        ("1", "JPY"),
        ("0.001", "KWD"),
        ("9999999999999.99", "USD"),
        ("999999999999999", "JPY"),
    ] {
        let mut posting = posting();
        posting.amount = Amount::parse(amount).unwrap();
        posting.currency = Currency::parse(currency).unwrap();
        posting.metadata = json!({"order": 12345678901234567890_u64}).as_object().cloned();
        let server =
            ScriptedServer::start([Action::ReadRequest, answer("201 Created", "", "{}")]).await;
        // With a path and a trailing slash.
        let client = client(&format!("{}/ledger/", server.url()), LONG);
        client.post(&posting, far_deadline()).await;

        let received = server.received();
        let [request] = &received[..] else { panic!("{received:?}") };
        assert!(request.starts_with("POST /ledger/transactions HTTP/1.1\r\n"), "{request}");
        assert_eq!(header(request, "idempotency-key"), posting.id.to_string());
        assert_eq!(header(request, "content-type"), "application/json");

        let body = server.bodies();
        assert!(body.contains(&format!(r#""amount":{amount},"#)), "{body}");
        assert!(body.contains("12345678901234567890"), "{body}");
        let mut body: Value = serde_json::from_str(&body).unwrap();
        let body = body.as_object_mut().unwrap();
        assert_eq!(body["id"], posting.id.to_string());
        assert_eq!(body["currency"], currency);
        assert_eq!(body["description"], "rent");
        assert_eq!(body["timestamp"], "1970-01-01T00:00:00Z");
        let mut names: Vec<_> = body.keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["amount", "currency", "description", "id", "metadata", "timestamp"]);
    }
}

#[tokio::test]
async fn omitted_fields_are_sent_as_the_service_expects_them() {
    let mut posting = posting();
    posting.description = None;
    let server =
        ScriptedServer::start([Action::ReadRequest, answer("201 Created", "", "{}")]).await;
    client(&server.url(), LONG).post(&posting, far_deadline()).await;
    let body: Value = serde_json::from_str(&server.bodies()).unwrap();
    assert_eq!(body["description"], "");
    assert!(body.get("metadata").is_none());
}

#[tokio::test]
async fn every_request_continues_the_trace_with_a_span_of_its_own() {
    let mut posting = posting();
    posting.trace_state = "rojo=1,congo=t61".parse().ok();
    let post = [Action::ReadRequest, answer("500 Internal Server Error", "", "{}")];
    let verification = [Action::ReadRequest, answer("404 Not Found", "", "")];
    let server = ScriptedServer::start([post, verification].concat()).await;
    let client = client(&server.url(), LONG);
    client.post(&posting, far_deadline()).await;
    assert_eq!(client.verify(&posting).await.finding, Finding::Absent);

    let received = server.received().concat();
    let sent: Vec<_> =
        received.lines().filter_map(|line| line.strip_prefix("traceparent: ")).collect();
    let state = |line: &str| line.eq_ignore_ascii_case("tracestate: rojo=1,congo=t61");
    assert_eq!(received.lines().filter(|line| state(line)).count(), 2, "{received}");
    let [of_post, of_verification] = sent[..] else { panic!("{received}") };
    assert!(of_post != of_verification && of_post != TRACE && of_verification != TRACE, "{sent:?}");
    for sent in sent {
        let sent: TraceParent = sent.parse().unwrap();
        assert_eq!(sent.trace_id(), TRACE.parse::<TraceParent>().unwrap().trace_id());
        // The sampling flag is the client's decision.
        assert!(sent.to_string().ends_with("-00"), "{sent}");
    }
}

#[tokio::test]
async fn a_verification_asks_caches_on_the_way_not_to_answer() {
    let server =
        ScriptedServer::start([Action::ReadRequest, answer("404 Not Found", "", "")]).await;
    assert_eq!(client(&server.url(), LONG).verify(&posting()).await.finding, Finding::Absent);
    let received = server.received();
    assert_eq!(header(&received[0], "cache-control"), "no-cache", "{received:?}");
}

/// The HTTP library would send a request again when a kept connection closes during it.
#[tokio::test]
async fn a_request_is_not_repeated_when_its_kept_connection_closes() {
    for end in [vec![], vec![Action::Reset]] {
        let ok = answer("201 Created", "", "{}");
        let script = [vec![Action::ReadRequest, ok, Action::ReadRequest], end].concat();
        let server = ScriptedServer::start(script).await;
        let client = client(&server.url(), LONG);
        let first = client.post(&posting(), far_deadline()).await;
        assert!(matches!(first.ending, Ending::Answered { status: 201, .. }), "{first:?}");
        let second = posting();
        let answer = client.post(&second, far_deadline()).await;
        assert_eq!(answer.ending, Ending::Broken, "{answer:?}");
        assert_eq!((server.requests(), server.received().len()), (2, 1), "{:?}", server.received());
    }
}

/// The connection is closed while idle. Whether the client has noticed that when it sends the next
/// request is a race; either way nothing may be sent twice.
#[tokio::test]
async fn a_kept_connection_closed_while_idle_causes_no_second_request() {
    let server =
        ScriptedServer::start([Action::ReadRequest, answer("201 Created", "", "{}")]).await;
    let client = client(&server.url(), LONG);
    for _ in 0..50 {
        let posting = posting();
        let answer = client.post(&posting, far_deadline()).await;
        let key = format!("idempotency-key: {}", posting.id);
        let sent: usize = server.received().iter().map(|text| text.matches(&key).count()).sum();
        match answer.ending {
            Ending::Answered { status: 201, .. } => assert_eq!(sent, 1),
            Ending::Broken => assert!(sent <= 1),
            Ending::NotWritten => assert_eq!(sent, 0),
            other => panic!("{other:?}"),
        }
    }
}
