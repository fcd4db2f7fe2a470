//! The pages as the server renders them, for a browser whose script does not run.
#![allow(clippy::unwrap_used)]

mod support;

use reqwest::{Client, Response, redirect::Policy};
use serde_json::json;
use support::{Program, command, database};

async fn start() -> Program {
    let mut command = command(&["web"]);
    command.env("DATABASE_URL", database().await).env("POSTING_URL", "http://127.0.0.1:9");
    Program::start(command).await
}

/// Posts a form as a browser does, and does not follow where the answer leads.
async fn post_form(program: &Program, path: &str, fields: &[(&str, &str)]) -> Response {
    let encode = |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
    let pairs = fields.iter().map(|(name, value)| format!("{name}={}", encode(value)));
    let body = pairs.collect::<Vec<_>>().join("&");
    let client = Client::builder().no_proxy().redirect(Policy::none()).build().unwrap();
    let request = client.post(format!("{}{path}", program.url)).body(body);
    let request = request
        .header("content-type", "application/x-www-form-urlencoded")
        .header("accept", "text/html")
        .header("referer", format!("{}/", program.url));
    request.send().await.unwrap()
}

fn location(response: &Response) -> &str {
    response.headers().get("location").map(|value| value.to_str().unwrap()).unwrap_or_default()
}

const BAD: [(&str, &str); 6] = [
    ("id", "0192f0c1-2d3e-7abc-8def-0123456789ab"),
    ("amount", "100.005"),
    ("currency", "USD"),
    ("description", "Secret of Alice"),
    ("reference", "alice-1"),
    ("metadata", "{\"iban\": \"X1\"}"),
];

#[tokio::test]
async fn an_invalid_form_is_answered_with_the_page_and_what_was_typed() {
    let program = start().await;

    let answer = post_form(&program, "/?status=failed", &BAD).await;

    assert_eq!((answer.status().as_u16(), location(&answer)), (422, ""));
    let page = answer.text().await.unwrap();
    for (_, typed) in &BAD[..5] {
        assert!(page.contains(&format!("value=\"{typed}\"")), "{typed}: {page}");
    }
    assert!(page.contains("{\"iban\": \"X1\"}</textarea>"), "{page}");
    assert!(page.contains("must have at most 2 decimals"), "{page}");
    // The page keeps its filter.
    assert!(page.contains("No transaction is in the state"), "{page}");
}

#[tokio::test]
async fn a_valid_form_leads_to_the_page_of_its_transaction_however_often_it_is_posted() {
    let program = start().await;
    let mut good = BAD;
    good[1] = ("amount", "100.5");

    for _ in 0..2 {
        let answer = post_form(&program, "/", &good).await;
        assert_eq!(answer.status(), 303);
        assert_eq!(location(&answer), format!("/transactions/{}", good[0].1));
    }
    let list = program.read("/api/transactions").await;
    assert_eq!(list["data"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn no_answer_to_a_form_puts_what_was_typed_into_an_address() {
    let program = start().await;
    let answer = post_form(&program, "/fn/submit_transaction", &BAD).await;
    let location = location(&answer);
    assert!(location.contains("__err="), "{location}");
    // The error is encoded by base64 in the address.
    let error = location.split("__err=").nth(1).unwrap().split('&').next().unwrap();
    let error = error.replace("%3D", "=").replace("%3d", "=");
    let error = base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE, error).unwrap();
    let error = String::from_utf8(error).unwrap();
    assert!(error.contains("decimals"), "{error}");
    for typed in ["Alice", "alice-1", "iban", "100.005"] {
        assert!(!error.contains(typed), "{error}");
    }
}

#[tokio::test]
async fn the_page_names_a_filter_that_it_ignores() {
    let program = start().await;
    for (query, why) in [
        ("status=nope", "there is no such state"),
        ("cursor=1", "no page begins there"),
        ("currency=USD", "the list has no such filter"),
    ] {
        let page = program.get(&format!("/?{query}")).header("accept", "text/html");
        let page = page.send().await.unwrap();
        assert_eq!(page.status(), 200);
        let page = page.text().await.unwrap();
        assert!(page.contains("Ignored in the address") && page.contains(query), "{page}");
        assert!(page.contains(why), "{page}");
    }
    let page = program.get("/?status=failed").header("accept", "text/html");
    assert!(!page.send().await.unwrap().text().await.unwrap().contains("Ignored in the address"));
}

#[tokio::test]
async fn every_text_from_outside_is_isolated_and_its_control_characters_are_written_out() {
    let program = start().await;
    let text = |name: &str| format!("{name} \u{202e}txet \u{2069}\u{1b}");
    let mut body =
        json!({ "amount": 1, "currency": "USD", "metadata": { text("member"): text("value") } });
    let names = ["description", "reference", "sourceAccount", "destinationAccount"];
    for name in names {
        body[name] = json!(text(name));
    }
    let submitted = program.post_json("/api/transactions", &body).await;
    assert_eq!(submitted.status(), 202, "{}", submitted.text().await.unwrap());
    let id = submitted.json::<serde_json::Value>().await.unwrap()["transactionId"].clone();
    let reason = json!({ "reason": text("reason") });
    let path = format!("/api/transactions/{}/cancel", id.as_str().unwrap());
    assert_eq!(program.post_json(&path, &reason).await.status(), 200);
    assert_eq!(program.post_json("/api/posting/pause", &reason).await.status(), 200);

    for (path, names) in [
        ("/".to_owned(), &["description", "reference", "reason"][..]),
        (
            format!("/transactions/{}", id.as_str().unwrap()),
            &[
                "description",
                "reference",
                "sourceAccount",
                "destinationAccount",
                "\"member",
                "\"value",
                "reason",
            ],
        ),
    ] {
        let page = program.get(&path).header("accept", "text/html").send().await.unwrap();
        let page = page.text().await.unwrap();
        // What follows are the data for the script, as JSON.
        let shown = page.split("<script").filter_map(|part| part.split_once("</script>"));
        let shown: String = shown.map(|(_, html)| html).collect::<String>();
        assert!(!shown.contains(['\u{202e}', '\u{1b}']), "{path}: {shown}");
        for name in names {
            let isolated = format!("<bdi>{name} \\u202etxet \\u2069\\u001b");
            let quoted = isolated.replace('"', "&quot;");
            assert!(
                shown.contains(&isolated) || shown.contains(&quoted),
                "{path}: {isolated}: {shown}"
            );
        }
    }
}
