//! The REST contract: status and body of each call, on the real program.
#![allow(clippy::unwrap_used)]

mod support;

use nix::sys::signal::Signal;
use reqwest::Response;
use serde_json::{Value, json};
use support::{Program, command, contract, database, redacted, root};

async fn program() -> (Program, tempfile::TempDir) {
    let data = tempfile::tempdir().unwrap();
    let mut command = command(&["serve"]);
    command.env("ONCEWARD_DATA", data.path()).env("DATABASE_URL", database().await);
    (Program::start(command).await, data)
}

#[tokio::test]
async fn a_submission_is_answered_polled_listed_and_replayed() {
    let (program, _data) = program().await;
    let id = "7c9e6679-7425-40de-944b-e07fc1f90ae7";
    let body = json!({
        "id": id, "amount": 100.50, "currency": "USD", "description": "Payment",
        "timestamp": "2026-01-01T12:00:00Z", "metadata": {"order_id": "12345"},
    });
    let text = body.to_string().replace("100.5", "100.50");
    let first = contract(program.submit(&text).await).await;
    let times = ["/body/submittedAt", "/body/nextAttemptAt"];
    insta::assert_snapshot!("submitted", redacted(first.clone(), &times));
    let completed = program.wait_for(id, "completed").await;
    let fields = ["/submittedAt", "/completedAt", "/attempts"];
    insta::assert_snapshot!("completed", redacted(completed.clone(), &fields));
    let again = contract(program.submit(&text.replace("100.50", "\"100.5\"")).await).await;
    assert_eq!((&again["status"], &again["idempotent-replayed"]), (&json!(202), &json!("true")));
    assert_eq!(again["body"], first["body"]);
    let other = program.submit(&text.replace("100.50", "100.51")).await;
    insta::assert_snapshot!("conflict", redacted(contract(other).await, &[]));
    let list: Value = program.get("/api/transactions").send().await.unwrap().json().await.unwrap();
    assert_eq!(list, json!({"data": [completed], "unreadable": [], "nextCursor": null}));
    let attempts = program.get(&format!("/api/transactions/{id}/attempts")).send().await.unwrap();
    let attempts: Value = attempts.json().await.unwrap();
    assert_eq!(attempts["data"][0]["number"], 1);
    assert_eq!(attempts["data"].as_array().unwrap().last().unwrap()["outcome"], "posted");
    assert!(program.end(Signal::SIGTERM).await.success());
}

#[tokio::test]
async fn bad_input_is_answered_with_a_problem_and_not_stored() {
    let (program, _data) = program().await;
    let cases = [
        ("amount_zero", r#"{"amount": 0, "currency": "USD"}"#),
        ("amount_negative", r#"{"amount": -1, "currency": "USD"}"#),
        ("amount_text", r#"{"amount": "abc", "currency": "USD"}"#),
        ("amount_huge", r#"{"amount": 1e400, "currency": "USD"}"#),
        ("amount_decimals_usd", r#"{"amount": 100.005, "currency": "USD"}"#),
        ("amount_decimals_jpy", r#"{"amount": 100.5, "currency": "JPY"}"#),
        (
            "amount_decimals_xau",
            r#"{"amount": "0.00000000000000000000000000019", "currency": "XAU"}"#,
        ),
        ("currency_unknown", r#"{"amount": 1, "currency": "XXZ"}"#),
        ("currency_of_tests", r#"{"amount": 1, "currency": "XTS"}"#),
        ("currency_withdrawn", r#"{"amount": 1, "currency": "HRK"}"#),
        ("id_no_uuid", r#"{"id": "1", "amount": 1, "currency": "USD"}"#),
        ("metadata_array", r#"{"amount": 1, "currency": "USD", "metadata": []}"#),
        (
            "metadata_with_nul",
            r#"{"amount": 1, "currency": "USD", "metadata": {"order": ["a\u0000b"]}}"#,
        ),
        ("several", r#"{"amount": true, "description": 1}"#),
        ("malformed", r#"{"amount": 1,"#),
        ("amount_twice", r#"{"amount": 1, "currency": "USD", "amount": 100}"#),
        (
            "metadata_twice",
            r#"{"amount": 1, "currency": "USD", "metadata": {"order": {"id": 1, "id": 2}}}"#,
        ),
        (
            "amount_reserved",
            r#"{"amount": {"$serde_json::private::Number": "1"}, "currency": "USD"}"#,
        ),
        ("no_object", "7"),
        ("empty", ""),
    ];
    for (name, body) in cases {
        let answer = contract(program.submit(body).await).await;
        insta::assert_snapshot!(name, redacted(answer, &[]));
    }
    let large =
        format!(r#"{{"amount": 1, "currency": "USD", "description": "{}"}}"#, "x".repeat(1 << 20));
    insta::assert_snapshot!(
        "too_large",
        redacted(contract(program.submit(&large).await).await, &[])
    );
    let text = program.post("/api/transactions").header("content-type", "text/plain");
    let text = text.body(r#"{"amount": 1, "currency": "USD"}"#).send().await.unwrap();
    insta::assert_snapshot!("wrong_content_type", redacted(contract(text).await, &[]));
    for (name, path) in [
        ("unknown_path", "/api/nothing/here"),
        ("unknown_id", "/api/transactions/7c9e6679-7425-40de-944b-e07fc1f90ae7"),
        ("id_that_is_none", "/api/transactions/abc"),
        ("id_that_is_no_text", "/api/transactions/%ff"),
        ("reference_with_nul", "/api/transactions?reference=%00"),
        ("attempts_of_none", "/api/transactions/abc/attempts"),
        ("misspelt_filter", "/api/transactions?stauts=failed"),
        ("filter_twice", "/api/transactions?status=failed&status=in_doubt"),
        ("misspelt_filter_of_export", "/api/transactions/export?curency=USD&cursor=x"),
        (
            "bad_filters",
            "/api/transactions?status=gone&limit=0&cursor=x&from=y&minAttempts=-1&currency=usd",
        ),
    ] {
        let answer = program.get(path).send().await.unwrap();
        insta::assert_snapshot!(name, redacted(contract(answer).await, &[]));
    }
    let foreign =
        program.post("/cleanup").header("sec-fetch-site", "cross-site").send().await.unwrap();
    insta::assert_snapshot!("cross_site", redacted(contract(foreign).await, &[]));
    let elsewhere = program.get("/").header("host", "example.com").send().await.unwrap();
    assert_eq!(elsewhere.status(), 403);
    let wrong_method = program.post("/api/health").send().await.unwrap();
    insta::assert_snapshot!("wrong_method", redacted(contract(wrong_method).await, &[]));
    let list: Value = program.get("/api/transactions").send().await.unwrap().json().await.unwrap();
    assert_eq!(list["data"], json!([]));
}

#[tokio::test]
async fn amounts_come_back_digit_by_digit() {
    let (program, _data) = program().await;
    for amount in ["0.1", "100.50", "9999999999999.99"] {
        let body = format!(r#"{{"amount": {amount}, "currency": "USD"}}"#);
        let text = program.submit(&body).await.text().await.unwrap();
        assert!(text.contains(&format!(r#""amount":{amount},"#)), "{text}");
        let id = serde_json::from_str::<Value>(&text).unwrap()["transactionId"].clone();
        let path = format!("/api/transactions/{}", id.as_str().unwrap());
        let text = program.get(&path).send().await.unwrap().text().await.unwrap();
        assert!(text.contains(&format!(r#""amount":{amount},"#)), "{text}");
        program.wait_for(id.as_str().unwrap(), "completed").await;
    }
}

#[tokio::test]
async fn the_deepest_metadata_that_is_accepted_can_be_read_wherever_it_stands() {
    let (program, _data) = program().await;
    let nested = |levels: usize| {
        let arrays = "[".repeat(levels - 1) + &"]".repeat(levels - 1);
        format!(r#"{{"amount": 1, "currency": "USD", "metadata": {{"a": {arrays}}}}}"#)
    };
    let mut deepest = None;
    for levels in 2..130 {
        let answer = contract(program.submit(&nested(levels)).await).await;
        if answer["status"] != 202 {
            assert_eq!(answer["body"]["errors"][0]["pointer"], "/metadata", "{levels}: {answer}");
            break;
        }
        deepest = Some(nested(levels));
    }
    let batch = program.post("/api/transactions/batch").header("content-type", "application/json");
    let answer = batch.body(format!("[{}]", deepest.unwrap())).send().await.unwrap();
    // serde_json stops at 128 levels, as it does in the browser.
    let answer: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    let id = answer["data"][0]["transaction"]["transactionId"].as_str().unwrap();
    program.wait_for(id, "completed").await;
    let list = program.read_text("/api/transactions?limit=200").await;
    let list: Value = serde_json::from_str(&list).unwrap();
    assert_eq!(list["data"][0]["transactionId"], id);
    let mut stream = program.get("/api/stream").header("last-event-id", "1").send().await.unwrap();
    let mut text = String::new();
    let data = loop {
        text += &String::from_utf8_lossy(&stream.chunk().await.unwrap().unwrap());
        let complete = text.rfind("\n\n").map_or("", |end| &text[..end]);
        let event = complete.split("\n\n").find(|event| event.contains("event: transactions"));
        if let Some(event) = event {
            break event.lines().find_map(|line| line.strip_prefix("data: ")).unwrap().to_owned();
        }
    };
    assert!(serde_json::from_str::<Value>(&data).unwrap().is_array());
}

#[tokio::test]
async fn health_readiness_the_home_page_and_cleanup_answer() {
    let (program, _data) = program().await;
    assert_eq!(program.get("/livez").send().await.unwrap().status(), 200);
    assert_eq!(program.get("/readyz").send().await.unwrap().status(), 200);
    program.healthy().await;
    let health = contract(program.get("/api/health").send().await.unwrap()).await;
    insta::assert_snapshot!("health", redacted(health, &["/body/uptime", "/body/version"]));
    let home: Value = program.get("/").send().await.unwrap().json().await.unwrap();
    assert_eq!(home["status"], "HEALTHY");
    assert!(home["current_time"].is_string());
    let page = program.get("/").header("accept", "text/html,*/*;q=0.8").send().await.unwrap();
    assert_eq!(page.status(), 200);
    assert!(page.headers()["content-type"].to_str().unwrap().starts_with("text/html"));

    let submitted = program.submit(r#"{"amount": 1, "currency": "USD"}"#).await;
    let id = submitted.json::<Value>().await.unwrap()["transactionId"].clone();
    program.wait_for(id.as_str().unwrap(), "completed").await;
    let cleaned: Value = program.post("/cleanup").send().await.unwrap().json().await.unwrap();
    assert_eq!(cleaned, json!({"count": 1}));
    let list: Value = program.get("/api/transactions").send().await.unwrap().json().await.unwrap();
    assert_eq!(list["data"], json!([]));
}

#[tokio::test]
async fn the_api_document_and_its_page_are_served_without_third_parties() {
    let (program, _data) = program().await;
    let served = program.get("/api/openapi.json").send().await.unwrap();
    assert_eq!(served.headers()["content-type"], "application/json");
    let committed = std::fs::read_to_string(root().join("docs/openapi.json")).unwrap();
    assert!(served.text().await.unwrap() == committed, "docs/openapi.json is not what is served");
    let page = program.get("/api/docs/").header("accept-encoding", "identity");
    let page = page.send().await.unwrap();
    assert_eq!(
        (page.status().as_u16(), &page.headers()["content-type"]),
        (200, &"text/html".parse().unwrap())
    );
    for file in ["swagger-ui.css", "swagger-ui-bundle.js", "swagger-ui-standalone-preset.js"] {
        assert_eq!(program.get(&format!("/api/docs/{file}")).send().await.unwrap().status(), 200);
    }
    let set_up = program.get("/api/docs/swagger-initializer.js").send().await.unwrap();
    let set_up = set_up.text().await.unwrap();
    assert!(set_up.contains(r#""/api/openapi.json""#) && !set_up.contains("://"), "{set_up}");
}

#[tokio::test]
async fn the_stream_resumes_where_the_client_left_off() {
    let (program, _data) = program().await;
    let submitted = program.submit(r#"{"amount": 1, "currency": "USD"}"#).await;
    let id = submitted.json::<Value>().await.unwrap()["transactionId"].as_str().unwrap().to_owned();
    program.wait_for(&id, "completed").await;
    let first = |mut stream: Response| async move {
        let chunk = stream.chunk().await.unwrap().unwrap();
        String::from_utf8(chunk.to_vec()).unwrap()
    };
    let from_now = first(program.get("/api/stream").send().await.unwrap()).await;
    assert!(from_now.contains("event: counts") && !from_now.contains(&id), "{from_now}");
    let resumed = program.get("/api/stream").header("last-event-id", "1").send().await.unwrap();
    let resumed = first(resumed).await;
    assert!(resumed.contains("event: transactions") && resumed.contains(&id), "{resumed}");
}
