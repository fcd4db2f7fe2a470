//! Requests of every kind at a steady rate, during a fault: which answers come, and how late.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use reqwest::{Client, RequestBuilder};
use serde_json::json;
use sqlx::PgPool;
use tokio::{
    sync::watch,
    task::{JoinHandle, JoinSet},
    time::{Instant, MissedTickBehavior, interval},
};
use uuid::Uuid;

use crate::Fallible;

/// Between two requests.
const PACE: Duration = Duration::from_millis(25);
/// When a request counts as unanswered. The product promises two seconds; the slowest is only
/// reported, because on a machine that runs other scenarios concurrently it takes longer.
const TIMEOUT: Duration = Duration::from_secs(20);

/// How a request ended.
struct ProbeResult {
    kind: &'static str,
    /// The id of a submission.
    id: Option<Uuid>,
    status: Result<u16, String>,
    took: Duration,
}

/// A running probe.
pub struct Probe {
    stop: watch::Sender<bool>,
    sending: JoinHandle<Vec<ProbeResult>>,
}

impl Probe {
    /// Starts to send requests.
    pub fn start(web_url: &str) -> Fallible<Self> {
        let client = Client::builder().no_proxy().timeout(TIMEOUT).build()?;
        let (stop, until) = watch::channel(false);
        let sending = tokio::spawn(send_requests(client, web_url.to_owned(), until));
        Ok(Self { stop, sending })
    }

    /// Ends the probe. Returns a remark, and the violations: a request without an answer, an answer
    /// that is no refusal, an accepted transaction that is not stored.
    pub async fn end(self, database: &PgPool) -> Fallible<(String, Vec<String>)> {
        self.stop.send_replace(true);
        let results = self.sending.await?;
        let mut violations = BTreeSet::new();
        let mut statuses: BTreeMap<u16, usize> = BTreeMap::new();
        let mut accepted = Vec::new();
        for ProbeResult { kind, id, status, .. } in &results {
            match status {
                Ok(status) => {
                    *statuses.entry(*status).or_default() += 1;
                    match status {
                        200 | 429 | 503 => {}
                        202 => accepted.extend(*id),
                        _ => drop(violations.insert(format!("{kind} was answered {status}"))),
                    }
                }
                Err(error) => drop(violations.insert(format!("{kind} was not answered: {error}"))),
            }
        }
        let stored: i64 =
            sqlx::query_scalar("select count(*) from transactions where id = any ($1)")
                .bind(&accepted)
                .fetch_one(database)
                .await?;
        let lost = accepted.len() as i64 - stored;
        if lost > 0 {
            violations.insert(format!("{lost} were accepted and are not stored"));
        }
        let slowest = results.iter().max_by_key(|result| result.took);
        let slowest = slowest.map_or_else(String::new, |result| {
            format!("{} after {:.2} s", result.kind, result.took.as_secs_f64())
        });
        let remark = format!(
            "{} requests, answers by status {statuses:?}, the slowest: {slowest}",
            results.len()
        );
        Ok((remark, violations.into_iter().collect()))
    }
}

async fn send_requests(
    client: Client,
    web_url: String,
    until: watch::Receiver<bool>,
) -> Vec<ProbeResult> {
    let mut pace = interval(PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut sending = JoinSet::new();
    for nth in 0.. {
        pace.tick().await;
        if *until.borrow() {
            break;
        }
        let (kind, id, request) = request(&client, &web_url, nth);
        sending.spawn(async move {
            let began_at = Instant::now();
            let answer = request.send().await;
            let status = answer.map(|answer| answer.status().as_u16());
            let status = status.map_err(|error| format!("{error:?}"));
            ProbeResult { kind, id, status, took: began_at.elapsed() }
        });
    }
    sending.join_all().await
}

fn request(client: &Client, url: &str, nth: u64) -> (&'static str, Option<Uuid>, RequestBuilder) {
    let get = |path: &str| client.get(format!("{url}{path}"));
    match nth % 8 {
        0 => ("a list", None, get("/api/transactions?currency=EUR")),
        1 => ("health", None, get("/api/health")),
        2 => ("a page", None, get("/").header("accept", "text/html")),
        3 => ("readiness", None, get("/readyz")),
        _ => {
            let id = Uuid::now_v7();
            let body = json!({"id": id, "amount": 1, "currency": "EUR"}).to_string();
            let request = client.post(format!("{url}/api/transactions"));
            let request = request.header("content-type", "application/json").body(body);
            ("a submission", Some(id), request)
        }
    }
}
