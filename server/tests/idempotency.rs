//! Idempotency keys over HTTP: two web processes and a worker on one database.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::HashSet;

use futures::future::join_all;
use reqwest::Response;
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use support::{Program, Service, contract, database, redacted};

const KEY: &str = "8e03978e-40d5-43e8-bc93-6894a57f9324";

/// Two web processes, which post nothing.
async fn two_webs(service: &Service, database: &str) -> [Program; 2] {
    let one = Program::start(service.command("web", database)).await;
    [one, Program::start(service.command("web", database)).await]
}

async fn submit(program: &Program, keys: &[&str], body: &Value) -> Response {
    let mut request = program.post("/api/transactions").header("content-type", "application/json");
    for key in keys {
        request = request.header("idempotency-key", *key);
    }
    request.body(body.to_string()).send().await.unwrap()
}

async fn rows(database: &str) -> i64 {
    let mut connection = PgConnection::connect(database).await.unwrap();
    let count = sqlx::query_scalar("select count(*) from transactions");
    count.fetch_one(&mut connection).await.unwrap()
}

#[tokio::test]
async fn a_hundred_identical_submissions_with_one_key_make_one_row_one_posting_and_one_answer() {
    let (service, database) = (Service::start().await, database().await);
    let webs = two_webs(&service, &database).await;
    let _worker = Program::start(service.command("worker", &database)).await;
    webs[0].healthy().await;
    let body = json!({"amount": 100.5, "currency": "USD", "metadata": {"order": 7}});
    let send = async |i: usize| {
        let answer = submit(&webs[i % 2], &[KEY], &body).await;
        assert_eq!(answer.status(), 202);
        let replayed = answer.headers().contains_key("idempotent-replayed");
        let location = answer.headers()["location"].to_str().unwrap().to_owned();
        (replayed, location, answer.text().await.unwrap())
    };
    let answers = join_all((0..100).map(send)).await;
    let bodies: HashSet<_> = answers.iter().map(|(_, location, body)| (location, body)).collect();
    assert_eq!(bodies.len(), 1, "{bodies:?}");
    assert_eq!(answers.iter().filter(|(replayed, ..)| !replayed).count(), 1);
    assert_eq!(rows(&database).await, 1);

    let (_, location, first) = &answers[0];
    let is_final = |transaction: &Value| transaction["status"] == "completed";
    let transaction = webs[1].read_until(location, is_final).await;
    assert_eq!(transaction["idempotencyKey"], KEY);
    assert_eq!(service.requests().await.0, 1);
    // Later, a replay still gets the first answer; the current state is at its location.
    let (replayed, _, again) = send(1).await;
    assert_eq!((replayed, &again), (true, first));
    assert!(again.contains(r#""status":"pending""#), "{again}");
}

#[tokio::test]
async fn of_two_bodies_with_one_key_one_is_stored_and_every_other_is_refused() {
    let (service, database) = (Service::start().await, database().await);
    let webs = two_webs(&service, &database).await;
    // Each body is sent to each process.
    let body = |i: usize| json!({"amount": i / 2 % 2 + 1, "currency": "USD"});
    let answers = join_all((0..100).map(async |i| {
        let answer = submit(&webs[i % 2], &[KEY], &body(i)).await;
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
    }))
    .await;
    assert_eq!(rows(&database).await, 1);
    let stored = answers.iter().find(|(status, _)| *status == 202).unwrap().1.clone();
    for (i, (status, answer)) in answers.iter().enumerate() {
        if body(i)["amount"] == stored["amount"] {
            assert_eq!((*status, answer), (202, &stored));
        } else {
            assert_eq!((*status, &answer["code"]), (422, &json!("idempotency_key_reused")));
        }
    }
}

#[tokio::test]
async fn a_key_is_read_quoted_as_in_the_draft_and_unquoted() {
    let (service, database) = (Service::start().await, database().await);
    let web = Program::start(service.command("web", &database)).await;
    let body = json!({"amount": 1, "currency": "USD"});
    let quoted = format!("\"{KEY}\"");
    let first = contract(submit(&web, &[KEY], &body).await).await;
    let mut with_key = body.clone();
    with_key["idempotencyKey"] = json!(KEY);
    for (keys, body) in [(&[quoted.as_str()][..], &body), (&[], &with_key), (&[&quoted], &with_key)]
    {
        let again = contract(submit(&web, keys, body).await).await;
        assert_eq!(
            (&again["idempotent-replayed"], &again["body"]),
            (&json!("true"), &first["body"])
        );
    }
    let found = web.read(&format!("/api/transactions?idempotencyKey={KEY}")).await;
    assert_eq!(found, json!({"data": [first["body"]], "unreadable": [], "nextCursor": null}));
    let none = web.read("/api/transactions?idempotencyKey=another").await;
    assert_eq!(none["data"], json!([]));

    let long = "k".repeat(256);
    for keys in [&[""][..], &["a b"], &["\"a"], &["schlüssel"], &[&long], &["a", "a"]] {
        let refused = contract(submit(&web, keys, &body).await).await;
        assert_eq!(refused["status"], 400, "{keys:?}");
        assert_eq!(refused["body"]["code"], "idempotency_key_invalid", "{keys:?}");
    }
    let two = contract(submit(&web, &["another"], &with_key).await).await;
    insta::assert_snapshot!("two_keys", redacted(two, &[]));
    let mut other = body.clone();
    other["amount"] = json!(2);
    let reused = contract(submit(&web, &[KEY], &other).await).await;
    insta::assert_snapshot!("key_reused", redacted(reused, &[]));
    other["idempotencyKey"] = json!("a b");
    let bad_field = contract(submit(&web, &[], &other).await).await;
    insta::assert_snapshot!("bad_key_in_the_body", redacted(bad_field, &[]));
    assert_eq!(rows(&database).await, 1);
}

#[tokio::test]
async fn a_name_that_is_probably_meant_as_a_field_or_the_key_is_refused_and_nothing_is_stored() {
    let (service, database) = (Service::start().await, database().await);
    let web = Program::start(service.command("web", &database)).await;
    let amount = json!({"amount": 5, "currency": "USD"});
    let send = async |path: &str, header: Option<&str>, body: &Value| {
        let mut request = web.post(path).header("content-type", "application/json");
        if let Some(name) = header {
            request = request.header(name, "order-1");
        }
        contract(request.body(body.to_string()).send().await.unwrap()).await
    };
    for (path, body) in [
        ("/api/transactions", amount.clone()),
        ("/api/transactions/batch", json!([amount.clone()])),
    ] {
        for header in ["x-idempotency-key", "idempotency-token", "idempotencykey"] {
            let answer = send(path, Some(header), &body).await;
            assert_eq!(answer["status"], 400, "{header}");
            assert_eq!(answer["body"]["code"], "idempotency_key_misnamed", "{header}");
        }
        for query in ["?idempotencyKey=k", "?Idempotency-Key=k"] {
            let answer = send(&format!("{path}{query}"), None, &body).await;
            assert_eq!(answer["body"]["code"], "idempotency_key_misnamed", "{query}");
        }
    }
    let with = |name: &str| {
        let mut body = amount.clone();
        body[name] = json!("a");
        body
    };
    let misspelt = send("/api/transactions", None, &with("idempotency_key")).await;
    insta::assert_snapshot!("misspelt_field", redacted(misspelt, &[]));
    let lines = send("/api/transactions/batch", None, &json!([with("source_account")])).await;
    let problem = &lines["body"]["data"][0]["problem"];
    assert_eq!(
        problem["errors"],
        json!([{"pointer": "/source_account", "message": "is not a field; did you mean sourceAccount?"}])
    );
    assert_eq!(rows(&database).await, 0);
    let answer = send("/api/transactions", Some("x-api-key"), &with("user_id")).await;
    assert_eq!((answer["status"].as_u64(), rows(&database).await), (Some(202), 1));
    let of_sender = json!({
        "transaction_id": "t", "source_account": "a", "destination_account": "b",
        "amount": 1500, "currency": "USD", "idempotency_key": "k", "sourceAccount": "x",
    });
    let announced = send("/v1/webhooks/transactions", Some("x-idempotency-key"), &of_sender).await;
    assert_eq!((announced["status"].as_u64(), rows(&database).await), (Some(202), 2));
}

#[tokio::test]
async fn where_a_key_is_required_nothing_is_stored_without_one() {
    let (service, database) = (Service::start().await, database().await);
    let mut command = service.command("web", &database);
    command.env("IDEMPOTENCY_KEY_REQUIRED", "true");
    let web = Program::start(command).await;
    let body = json!({"amount": 1, "currency": "USD"});
    let missing = contract(submit(&web, &[], &body).await).await;
    insta::assert_snapshot!("key_missing", redacted(missing, &[]));
    let with_key = json!({"amount": 1, "currency": "USD", "idempotencyKey": "k"});
    let batch = web.post_json("/api/transactions/batch", &json!([body, with_key])).await;
    let batch: Value = batch.json().await.unwrap();
    assert_eq!(batch["data"][0]["problem"]["code"], "idempotency_key_missing");
    assert_eq!(
        (&batch["data"][0]["status"], &batch["data"][1]["status"]),
        (&json!(400), &json!(202))
    );
    assert_eq!(submit(&web, &["k"], &body).await.headers()["idempotent-replayed"], "true");
    assert_eq!(rows(&database).await, 1);
}

#[tokio::test]
async fn a_valid_trace_and_request_id_are_taken_from_the_client() {
    let (service, database) = (Service::start().await, database().await);
    let web = Program::start(service.command("web", &database)).await;
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
    let body = json!({"amount": 1, "currency": "USD"});
    let send = async |headers: &[(&str, &str)], body: &Value| {
        let mut request = web.post("/api/transactions").header("content-type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.body(body.to_string()).send().await.unwrap();
        let id = answer.headers()["x-request-id"].to_str().unwrap().to_owned();
        (id, answer.json::<Value>().await.unwrap())
    };
    let mut connection = PgConnection::connect(&database).await.unwrap();
    for (headers, expected) in [
        (&[("traceparent", trace)][..], Some(trace)),
        (&[("traceparent", &trace.to_uppercase())], None),
        (&[("traceparent", trace), ("traceparent", trace)], None),
        (&[], None),
    ] {
        let (_, answer) = send(headers, &body).await;
        let stored: Option<String> =
            sqlx::query_scalar("select traceparent from transactions where id::text = $1")
                .bind(answer["transactionId"].as_str().unwrap())
                .fetch_one(&mut connection)
                .await
                .unwrap();
        assert_eq!(stored.as_deref(), expected, "{headers:?}");
    }
    let long = "x".repeat(129);
    for (ids, kept) in [
        (&["req_1/a:b"][..], true),
        (&[&long], false),
        (&["a b"], false),
        (&["a", "b"], false),
        (&[""], false),
        (&[], false),
    ] {
        let headers: Vec<_> = ids.iter().map(|id| ("x-request-id", *id)).collect();
        let (of_answer, problem) = send(&headers, &json!({})).await;
        assert_eq!(ids.contains(&of_answer.as_str()), kept, "{ids:?}: {of_answer}");
        assert!(!of_answer.is_empty());
        assert_eq!(problem["requestId"], of_answer);
    }
}
