//! Verifications on the real program: what they require, how health reports that they fail, and how their attempts are
//! shown.
#![allow(clippy::unwrap_used)]

mod support;

use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use support::{Program, Service, database};

/// How much more the page may take for very many verifications than for a few.
const MORE_BYTES: usize = 100_000;

async fn attempts(program: &Program, id: &str, query: &str) -> Value {
    program.read(&format!("/api/transactions/{id}/attempts{query}")).await
}

fn numbers(page: &Value) -> Vec<u64> {
    let data = page["data"].as_array().unwrap();
    data.iter().map(|attempt| attempt["number"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn a_look_up_that_shows_the_id_alone_completes_unless_more_is_required() {
    let (service, database) = (Service::start().await, database().await);
    service.faults(json!({"saysLittle": true, "postWriteFailureRate": 1})).await;
    let program = Program::start(service.command("serve", &database)).await;
    let id = program.submit_one(1).await;
    program.wait_for(&id, "completed").await;

    let mut command = service.command("serve", &support::database().await);
    command.env("POSTING_VERIFY_FIELDS", "amount,currency").env("POSTING_DOUBT_AFTER_MS", "500");
    let strict = Program::start(command).await;
    let doubtful = strict.submit_one(2).await;
    let shown = strict.wait_for(&doubtful, "in_doubt").await;
    let error = shown["error"].as_str().unwrap();
    assert!(error.contains("failed for long: verification: the answer has no amount"), "{error}");
    // Attempts are left all the same.
    assert_eq!(shown["attempts"], 1);
    let degraded = |health: &Value| {
        let reasons = health["reasons"].as_array().unwrap();
        health["status"] == "degraded"
            && reasons.contains(&json!("100 % of the verifications of the last minute failed"))
    };
    let health = strict.read_until("/api/health", degraded).await;
    assert_eq!(health["verificationFailureRate"], 1.0);
    assert!(health["oldestUnfinishedSeconds"].as_f64().unwrap() > 0.5);
    let metrics = strict.read_text("/metrics").await;
    for metric in ["onceward_oldest_unfinished_age_seconds ", "older_than{seconds=\"3600\"} 0"] {
        assert!(metrics.contains(metric), "{metric}");
    }
    service.faults(json!({"saysLittle": false})).await;
    strict.wait_for(&doubtful, "completed").await;
    assert_eq!(service.requests().await.0, 2);
}

#[tokio::test]
async fn a_success_without_an_entry_completes_nothing() {
    let (service, database) = (Service::start().await, database().await);
    service.faults(json!({"wrongSuccessRate": 1})).await;
    let program = Program::start(service.command("serve", &database)).await;
    let mut ids = Vec::new();
    for amount in 1..=12 {
        ids.push(program.submit_one(amount).await);
    }
    // Each is posted, looked up, and posted again: no answer was believed.
    service.wait_for_verifications(24).await;
    service.faults(json!({"wrongSuccessRate": 0, "acceptedLostRate": 0.5})).await;
    for amount in 13..=16 {
        ids.push(program.submit_one(amount).await);
    }
    for id in &ids {
        program.wait_for(id, "completed").await;
    }
    let audit = service.audit().await;
    assert_eq!((&audit["entries"], &audit["distinctIds"]), (&json!(16), &json!(16)));
}

#[tokio::test]
async fn where_every_post_is_confirmed_it_is_looked_up_before_it_is_completed() {
    let (service, database) = (Service::start().await, database().await);
    let mut command = service.command("serve", &database);
    command.env("POSTING_CONFIRM", "always");
    let program = Program::start(command).await;
    let id = program.submit_one(1).await;
    program.wait_for(&id, "completed").await;
    assert_eq!(service.requests().await, (1, 1));
    let page = attempts(&program, &id, "").await;
    assert_eq!(page["data"][0]["outcome"], "posted");
    assert_eq!(page["data"][0]["verifications"][0]["finding"], "found");
}

#[tokio::test]
async fn attempts_are_paged_and_very_many_verifications_are_few_on_the_page() {
    let (service, url) = (Service::start().await, database().await);
    let program = Program::start(service.command("serve", &url)).await;
    let id = program.submit_one(1).await;
    program.wait_for(&id, "completed").await;
    let page = async || {
        let page = program.get(&format!("/transactions/{id}")).header("accept", "text/html");
        page.send().await.unwrap().text().await.unwrap()
    };
    let plain = page().await;
    let one = attempts(&program, &id, "").await;
    assert_eq!((numbers(&one), &one["nextCursor"]), (vec![1], &Value::Null));

    let mut connection = PgConnection::connect(&url).await.unwrap();
    sqlx::raw_sql(
        "insert into attempts (transaction_id, fence, ended_at, outcome)
         select id, fence + n, clock_timestamp(), 'not_sent' from transactions, generate_series(1, 249) n;
         insert into verifications (transaction_id, fence, started_at, ended_at, finding, error)
         select transaction_id, max(fence), now(), now(), 'failed', 'error ' || n
         from attempts, generate_series(1, 2000) n group by transaction_id, n order by n;
         insert into verifications
            (transaction_id, fence, first_started_at, started_at, ended_at, finding, count)
         select transaction_id, max(fence), now() - interval '20 minutes', now(), now(), 'absent', 2010
         from attempts group by transaction_id",
    )
    .execute(&mut connection)
    .await
    .unwrap();
    let (mut cursor, mut read) = (String::new(), Vec::new());
    loop {
        let page = attempts(&program, &id, &format!("?limit=120{cursor}")).await;
        read.extend(numbers(&page));
        match page["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => {
                let last = page["data"].as_array().unwrap().last().unwrap();
                assert_eq!(last["verificationCount"], 4010);
                let shown = last["verifications"].as_array().unwrap();
                assert_eq!((shown.len(), &shown[49]["count"]), (50, &json!(2010)));
                assert_ne!(shown[49]["firstStartedAt"], shown[49]["startedAt"]);
                break;
            }
        }
    }
    assert_eq!(read, (1..=250).collect::<Vec<_>>());
    assert_eq!(attempts(&program, &id, "").await["nextCursor"], "100");
    for query in ["?limit=0", "?limit=201", "?limit=x", "?cursor=0", "?cursor=x"] {
        let path = format!("/api/transactions/{id}/attempts{query}");
        assert_eq!(program.get(&path).send().await.unwrap().status(), 422, "{query}");
    }

    let page = page().await;
    assert!(page.len() < plain.len() + MORE_BYTES, "{} after {} bytes", page.len(), plain.len());
    for text in ["2010 times in 20 min", "200 earlier attempts are not shown", "1951 earlier"] {
        assert!(page.contains(text), "{text}");
    }
}
