//! What is sent, and that it is sent once.

use domain::{Amount, Currency, Ending, Finding, TraceParent};
use gateway::PostingService;
use serde_json::{Value, json};

use crate::{
    LONG, TRACE, answer, client, in_time, posting,
    scripted_server::{Act, Wire},
};

fn header<'a>(request: &'a str, name: &str) -> &'a str {
    let mut lines = request.lines().filter_map(|line| line.split_once(": "));
    lines.find(|(found, _)| found.eq_ignore_ascii_case(name)).unwrap().1
}

#[tokio::test]
async fn a_post_names_its_transaction_everywhere_and_keeps_every_digit() {
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
        let wire = Wire::start([Act::ReadRequest, answer("201 Created", "", "{}")]).await;
        // With a path of its own, and a slash too many.
        let client = client(&format!("{}/ledger/", wire.url()), LONG);
        client.post(&posting, in_time()).await;

        let seen = wire.seen();
        let [request] = &seen[..] else { panic!("{seen:?}") };
        assert!(request.starts_with("POST /ledger/transactions HTTP/1.1\r\n"), "{request}");
        assert_eq!(header(request, "idempotency-key"), posting.id.to_string());
        assert_eq!(header(request, "content-type"), "application/json");

        let body = wire.bodies();
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
async fn what_the_client_left_out_is_sent_as_the_service_expects_it() {
    let mut posting = posting();
    posting.description = None;
    let wire = Wire::start([Act::ReadRequest, answer("201 Created", "", "{}")]).await;
    client(&wire.url(), LONG).post(&posting, in_time()).await;
    let body: Value = serde_json::from_str(&wire.bodies()).unwrap();
    assert_eq!(body["description"], "");
    assert!(body.get("metadata").is_none());
}

#[tokio::test]
async fn every_request_goes_on_in_the_trace_as_a_span_of_its_own() {
    let posting = posting();
    let post = [Act::ReadRequest, answer("500 Internal Server Error", "", "{}")];
    let question = [Act::ReadRequest, answer("404 Not Found", "", "")];
    let wire = Wire::start([post, question].concat()).await;
    let client = client(&wire.url(), LONG);
    client.post(&posting, in_time()).await;
    assert_eq!(client.verify(&posting).await.finding, Finding::Absent);

    let seen = wire.seen().concat();
    let sent: Vec<_> = seen.lines().filter_map(|line| line.strip_prefix("traceparent: ")).collect();
    let [of_post, of_question] = sent[..] else { panic!("{seen}") };
    assert!(of_post != of_question && of_post != TRACE && of_question != TRACE, "{sent:?}");
    for sent in sent {
        let sent: TraceParent = sent.parse().unwrap();
        assert_eq!(sent.trace_id(), TRACE.parse::<TraceParent>().unwrap().trace_id());
        // Whether it is recorded is not ours to say.
        assert!(sent.to_string().ends_with("-00"), "{sent}");
    }
}

/// The client of the HTTP library would send a request again where a connection that it had kept is
/// closed over it.
#[tokio::test]
async fn a_kept_connection_that_closes_over_a_request_does_not_get_it_sent_again() {
    for end in [vec![], vec![Act::Reset]] {
        let ok = answer("201 Created", "", "{}");
        let script = [vec![Act::ReadRequest, ok, Act::ReadRequest], end].concat();
        let wire = Wire::start(script).await;
        let client = client(&wire.url(), LONG);
        let first = client.post(&posting(), in_time()).await;
        assert!(matches!(first.ending, Ending::Answered { status: 201, .. }), "{first:?}");
        let second = posting();
        let answer = client.post(&second, in_time()).await;
        assert_eq!(answer.ending, Ending::Broken, "{answer:?}");
        assert_eq!((wire.requests(), wire.seen().len()), (2, 1), "{:?}", wire.seen());
    }
}

/// Closed while nothing was under way: whether the client has noticed that when it sends the next
/// request is a race, in which nothing may be sent twice either.
#[tokio::test]
async fn a_kept_connection_that_was_closed_in_between_costs_no_second_request() {
    let wire = Wire::start([Act::ReadRequest, answer("201 Created", "", "{}")]).await;
    let client = client(&wire.url(), LONG);
    for _ in 0..50 {
        let posting = posting();
        let answer = client.post(&posting, in_time()).await;
        let key = format!("idempotency-key: {}", posting.id);
        let sent: usize = wire.seen().iter().map(|text| text.matches(&key).count()).sum();
        match answer.ending {
            Ending::Answered { status: 201, .. } => assert_eq!(sent, 1),
            Ending::Broken => assert!(sent <= 1),
            Ending::NotWritten => assert_eq!(sent, 0),
            other => panic!("{other:?}"),
        }
    }
}
