//! Inbound webhooks and the sender's view, on the real program.
#![allow(clippy::unwrap_used)]

mod support;

use base64::{Engine, engine::general_purpose::STANDARD};
use futures::future::join_all;
use hmac::{Hmac, KeyInit, Mac};
use reqwest::Response;
use serde_json::{Value, json};
use sha2::Sha256;
use sqlx::{Connection, PgConnection};
use support::{Program, Service, command, contract, database, redacted};

const RECEIVE: &str = "/v1/webhooks/transactions";

/// A web process that posts nothing, and its database.
async fn web(settings: &[(&str, &str)]) -> (Program, String) {
    let database = database().await;
    let mut command = command(&["web"]);
    command.env("DATABASE_URL", &database).envs(settings.iter().copied());
    (Program::start(command).await, database)
}

fn announced(transaction_id: &str) -> Value {
    json!({
        "transaction_id": transaction_id, "source_account": "acc_1",
        "destination_account": "acc_2", "amount": 1500, "currency": "USD",
    })
}

async fn rows(database: &str) -> i64 {
    let mut connection = PgConnection::connect(database).await.unwrap();
    let count = sqlx::query_scalar("select count(*) from transactions");
    count.fetch_one(&mut connection).await.unwrap()
}

#[tokio::test]
async fn a_webhook_is_processing_until_it_is_posted() {
    let (service, database) = (Service::start().await, database().await);
    let web = Program::start(service.command("web", &database)).await;
    let mut body = announced("txn_1");
    body["some_new_field"] = json!({"of": "the sender"});
    let received = contract(web.post_json(RECEIVE, &body).await).await;
    insta::assert_snapshot!("received", redacted(received, &[]));
    let view = contract(web.get("/v1/transactions/txn_1").send().await.unwrap()).await;
    insta::assert_snapshot!("processing", redacted(view, &["/body/created_at"]));

    let worker = Program::start(service.command("worker", &database)).await;
    let view = web.read_until("/v1/transactions/txn_1", |view| view["status"] == "PROCESSED").await;
    let list = web.read("/api/transactions").await;
    let [transaction] = list["data"].as_array().unwrap().as_slice() else { panic!("{list}") };
    assert_eq!(view["created_at"], transaction["submittedAt"]);
    assert_eq!(view["processed_at"], transaction["completedAt"]);
    assert!(view["processed_at"].is_string());
    assert_eq!(transaction["reference"], "txn_1");
    assert_eq!(transaction["metadata"], json!(null));

    let again = contract(web.post_json(RECEIVE, &body).await).await;
    assert_eq!((&again["status"], &again["idempotent-replayed"]), (&json!(202), &json!("true")));
    assert_eq!(again["body"]["transaction_id"], "txn_1");
    drop(worker);
}

#[tokio::test]
async fn ten_concurrent_copies_of_a_webhook_make_one_transaction_and_are_all_answered_202() {
    let (first, database) = web(&[]).await;
    let mut other = command(&["web"]);
    other.env("DATABASE_URL", &database);
    let second = Program::start(other).await;
    let body = announced("txn_1");
    let answers = join_all(
        (0..10).map(|i| if i % 2 == 0 { &first } else { &second }.post_json(RECEIVE, &body)),
    )
    .await;
    let replayed = |answer: &&Response| answer.headers().contains_key("idempotent-replayed");
    assert_eq!(answers.iter().filter(replayed).count(), 9);
    for answer in answers {
        assert_eq!(answer.status(), 202);
        let body: Value = answer.json().await.unwrap();
        assert_eq!(body, json!({"transaction_id": "txn_1", "status": "PROCESSING"}));
    }
    assert_eq!(rows(&database).await, 1);
}

#[tokio::test]
async fn a_webhook_that_cannot_be_stored_is_answered_with_a_problem() {
    let (program, database) = web(&[]).await;
    assert_eq!(program.post_json(RECEIVE, &announced("txn_1")).await.status(), 202);
    let mut other = announced("txn_1");
    other["amount"] = json!("1500.01");
    let conflict = contract(program.post_json(RECEIVE, &other).await).await;
    insta::assert_snapshot!("other_content", redacted(conflict, &[]));

    let mut broken = announced("");
    broken["amount"] = json!("1.005");
    broken["source_account"] = json!(7);
    broken.as_object_mut().unwrap().remove("destination_account");
    let invalid = contract(program.post_json(RECEIVE, &broken).await).await;
    insta::assert_snapshot!("broken_fields", redacted(invalid, &[]));
    let long = announced(&"x".repeat(129));
    assert_eq!(program.post_json(RECEIVE, &long).await.status(), 422);

    let json = |body: &'static str| {
        program.post(RECEIVE).header("content-type", "application/json").body(body)
    };
    for (request, status, code) in [
        (json("{"), 400, "malformed"),
        (json(r#"{"transaction_id": "a", "transaction_id": "b"}"#), 400, "malformed"),
        (json("[]"), 422, "validation_failed"),
        (program.post(RECEIVE).body("{}"), 415, "unsupported_media_type"),
        (program.get(RECEIVE), 405, "method_not_allowed"),
        (program.get("/v1"), 404, "not_found"),
        (program.get("/v1/"), 404, "not_found"),
        (program.get("/v1/nothing/here"), 404, "not_found"),
        (json("{}").header("sec-fetch-site", "cross-site"), 403, "cross_site"),
    ] {
        let answer = contract(request.send().await.unwrap()).await;
        let problem = (&answer["status"], &answer["body"]["code"]);
        assert_eq!(problem, (&json!(status), &json!(code)), "{answer}");
        assert_eq!(answer["contentType"], "application/problem+json");
    }
    assert_eq!(rows(&database).await, 1);
}

#[tokio::test]
async fn a_transaction_is_found_by_any_text_that_its_sender_uses_as_id() {
    let (program, _) = web(&[]).await;
    for id in
        ["a/b c", "100%", "%2F", "Überweisung ✓", "?x=1#y", "...", ".", "..", "../..", "%2e%2e"]
    {
        let received = program.post_json(RECEIVE, &announced(id)).await;
        assert_eq!(received.status(), 202, "{id}");
        let path = received.headers()["location"].to_str().unwrap().to_owned();
        let view = program.read(&path).await;
        assert_eq!(view["transaction_id"], id, "{path}");
    }
    for path in [
        "/v1/transactions/unknown",
        "/v1/transactions/%00",
        "/v1/transactions/%ff",
        "/v1/transactions?transaction_id=unknown",
    ] {
        let unknown = contract(program.get(path).send().await.unwrap()).await;
        assert_eq!(
            (&unknown["status"], &unknown["body"]["code"]),
            (&json!(404), &json!("not_found"))
        );
    }
}

#[tokio::test]
async fn a_query_for_a_transaction_needs_exactly_one_id() {
    let (program, _) = web(&[]).await;
    for query in ["", "?", "?transaction_id=a&transaction_id=b", "?id=a", "?transaction_id=a&x=1"] {
        let answer = program.get(&format!("/v1/transactions{query}")).send().await.unwrap();
        let answer = contract(answer).await;
        assert_eq!(
            (&answer["status"], &answer["body"]["code"]),
            (&json!(422), &json!("validation_failed")),
            "{query}"
        );
    }
}

/// One rule at every door.
#[tokio::test]
async fn white_space_around_an_id_and_the_encoding_of_its_accents_make_no_other_transaction() {
    let (program, database) = web(&[]).await;
    let spellings = ["caf\u{e9}", "cafe\u{301}", " caf\u{e9}", "cafe\u{301}\t"];
    for id in spellings {
        let submission = json!({
            "reference": id, "sourceAccount": "acc_1", "destinationAccount": "acc_2",
            "amount": 1500, "currency": "USD",
        });
        let batch = json!([submission]);
        for (path, body) in [
            ("/api/transactions", &submission),
            ("/api/transactions/batch", &batch),
            (RECEIVE, &announced(id)),
        ] {
            let answer = contract(program.post_json(path, body).await).await;
            let status = answer["body"].pointer("/data/0/status").unwrap_or(&answer["status"]);
            assert_eq!(status, 202, "{id:?} at {path}: {answer}");
        }
    }
    assert_eq!(rows(&database).await, 1);
    let view = program.read("/v1/transactions/%20cafe%CC%81%20").await;
    assert_eq!(view["transaction_id"], "caf\u{e9}");
    let list = program.read("/api/transactions?reference=cafe%CC%81").await;
    assert_eq!(list["data"][0]["reference"], "caf\u{e9}");
    let blank = contract(program.post_json(RECEIVE, &announced(" \t")).await).await;
    assert_eq!(blank["body"]["errors"][0]["pointer"], "/transaction_id");
}

#[tokio::test]
async fn the_sender_sees_every_digit_of_its_amount() {
    let (program, _) = web(&[]).await;
    for (sent, shown) in
        [("150.50", "150.50"), ("\"0.10\"", "0.10"), ("9999999999999.99", "9999999999999.99")]
    {
        let body = format!(
            r#"{{"transaction_id": "{shown}", "source_account": "a", "destination_account": "b",
                "amount": {sent}, "currency": "EUR"}}"#
        );
        let request = program.post(RECEIVE).header("content-type", "application/json").body(body);
        assert_eq!(request.send().await.unwrap().status(), 202);
        let path = format!("/v1/transactions/{shown}");
        let view = program.get(&path).send().await.unwrap().text().await.unwrap();
        assert!(view.contains(&format!(r#""amount":{shown},"#)), "{view}");
    }
}

#[tokio::test]
async fn fields_that_differ_between_deliveries_do_not_make_another_transaction() {
    let (program, _) = web(&[]).await;
    for delivery in 1..=2 {
        let mut body = announced("txn_1");
        body["timestamp"] = json!(1_795_290_000 + delivery);
        body["metadata"] = json!([delivery]);
        assert_eq!(program.post_json(RECEIVE, &body).await.status(), 202);
    }
    assert_eq!(program.read("/api/transactions").await["data"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_final_transaction_that_was_not_posted_is_shown_as_failed() {
    let (program, _) = web(&[]).await;
    assert_eq!(program.post_json(RECEIVE, &announced("txn_1")).await.status(), 202);
    let list = program.read("/api/transactions").await;
    let id = list["data"][0]["transactionId"].as_str().unwrap();
    let cancel = format!("/api/transactions/{id}/cancel");
    assert_eq!(program.post(&cancel).send().await.unwrap().status(), 200);
    let view = program.read("/v1/transactions/txn_1").await;
    assert_eq!(view["status"], "FAILED");
    assert!(view["processed_at"].is_string());
}

const OLD_KEY: &[u8] = b"an old secret of 24 byte";
const NEW_KEY: &[u8] = b"a new secret, of 24 byte";

fn secret(key: &[u8]) -> String {
    format!("whsec_{}", STANDARD.encode(key))
}

/// Sends a webhook that was signed with `key` so many seconds from now. `signed` is the body that
/// was signed, `sent` the body that is sent.
async fn send(program: &Program, key: &[u8], seconds: i64, signed: &Value, sent: &Value) -> Value {
    send_named("webhook", program, key, seconds, signed, sent).await
}

/// The same with headers whose names begin with `prefix`.
async fn send_named(
    prefix: &str,
    program: &Program,
    key: &[u8],
    seconds: i64,
    signed: &Value,
    sent: &Value,
) -> Value {
    let at = (chrono::Utc::now().timestamp() + seconds).to_string();
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(format!("msg_1.{at}.{signed}").as_bytes());
    let signature = STANDARD.encode(mac.finalize().into_bytes());
    let answer = program
        .post(RECEIVE)
        .header("content-type", "application/json")
        .header(format!("{prefix}-id"), "msg_1")
        .header(format!("{prefix}-timestamp"), at)
        .header(format!("{prefix}-signature"), format!("v1a,AAAA v1,{signature}"))
        .body(sent.to_string())
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status() == 401, answer.headers().contains_key("www-authenticate"));
    contract(answer).await
}

#[tokio::test]
async fn a_webhook_without_a_valid_signature_is_rejected() {
    let secrets = format!("{},{}", secret(OLD_KEY), secret(NEW_KEY));
    let (program, database) = web(&[("WEBHOOK_SECRETS", &secrets)]).await;
    let body = announced("txn_1");
    let mut more = body.clone();
    more["amount"] = json!(150_000);
    let stranger: &[u8] = b"some other secret, of 24";
    let unsigned = contract(program.post_json(RECEIVE, &body).await).await;
    insta::assert_snapshot!("unsigned", redacted(unsigned, &[]));
    for (name, answer) in [
        ("wrong_secret", send(&program, stranger, 0, &body, &body).await),
        ("other_body", send(&program, NEW_KEY, 0, &body, &more).await),
        ("too_old", send(&program, NEW_KEY, -360, &body, &body).await),
        ("of_the_future", send(&program, NEW_KEY, 360, &body, &body).await),
    ] {
        assert_eq!(answer["status"], 401, "{name}: {answer}");
        insta::assert_snapshot!(name, redacted(answer, &[]));
    }
    // Without a valid signature the answer does not show that the body is wrong, either.
    assert_eq!(program.post(RECEIVE).body("{").send().await.unwrap().status(), 401);
    assert_eq!(rows(&database).await, 0);

    for (key, id, seconds) in [(OLD_KEY, "txn_1", -240), (NEW_KEY, "txn_2", 240)] {
        let body = announced(id);
        assert_eq!(send(&program, key, seconds, &body, &body).await["status"], 202);
    }
    // A repeated delivery has a signature of its own.
    let again = send(&program, NEW_KEY, 0, &body, &body).await;
    assert_eq!((&again["status"], &again["idempotent-replayed"]), (&json!(202), &json!("true")));
    assert_eq!(rows(&database).await, 2);
}

#[tokio::test]
async fn a_webhook_may_be_signed_under_svixs_header_names() {
    let (program, database) = web(&[("WEBHOOK_SECRETS", &secret(NEW_KEY))]).await;
    let body = announced("txn_1");
    let signed = send_named("svix", &program, NEW_KEY, 0, &body, &body).await;
    assert_eq!(signed["status"], 202);
    let wrong = send_named("svix", &program, OLD_KEY, 0, &body, &body).await;
    assert_eq!(
        (&wrong["status"], &wrong["body"]["code"]),
        (&json!(401), &json!("signature_invalid"))
    );
    let late = send_named("svix", &program, NEW_KEY, -360, &body, &body).await;
    let detail = late["body"]["detail"].as_str().unwrap();
    assert!(detail.starts_with("svix-timestamp is more than"), "{detail}");
    assert_eq!(rows(&database).await, 1);
}

#[tokio::test]
async fn the_timestamp_tolerance_is_a_setting() {
    let (program, _) =
        web(&[("WEBHOOK_SECRETS", &secret(NEW_KEY)), ("WEBHOOK_TOLERANCE_SECONDS", "3600")]).await;
    let body = announced("txn_1");
    assert_eq!(send(&program, NEW_KEY, -3000, &body, &body).await["status"], 202);
    assert_eq!(send(&program, NEW_KEY, -4000, &body, &body).await["status"], 401);
}

#[tokio::test]
async fn a_malformed_secret_prevents_the_start_and_is_not_printed() {
    let mut command = command(&["web"]);
    command.env("WEBHOOK_SECRETS", format!("{} c2VjcmV0", secret(NEW_KEY)));
    let ended = command.output().await.unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    assert!(!ended.status.success());
    assert!(said.contains("WEBHOOK_SECRETS: secret 2 does not begin with whsec_"), "{said}");
    assert!(!said.contains("c2VjcmV0") && !said.contains(&secret(NEW_KEY)), "{said}");
}
