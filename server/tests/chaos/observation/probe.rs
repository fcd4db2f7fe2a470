//! Requests of every kind at a steady pace, whatever the answers: who gets one, which, and how late.

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
/// Who has no answer by then has none. The promise is two seconds; how long the slowest took is told, for
/// on a machine that runs other scenarios beside this one it is more.
const PATIENCE: Duration = Duration::from_secs(20);

/// How a request ended.
struct Ending {
    kind: &'static str,
    /// Of a submission, its id.
    id: Option<Uuid>,
    status: Result<u16, String>,
    took: Duration,
}

/// Requests under way.
pub struct Probe {
    over: watch::Sender<bool>,
    asking: JoinHandle<Vec<Ending>>,
}

impl Probe {
    /// Begins to ask.
    pub fn start(web_url: &str) -> Fallible<Self> {
        let client = Client::builder().no_proxy().timeout(PATIENCE).build()?;
        let (over, until) = watch::channel(false);
        let asking = tokio::spawn(ask_on(client, web_url.to_owned(), until));
        Ok(Self { over, asking })
    }

    /// Ends it. Gives what is to be told, and what must not be: a request without an answer, an answer
    /// that is no refusal, an accepted transaction that is not there.
    pub async fn end(self, database: &PgPool) -> Fallible<(String, Vec<String>)> {
        self.over.send_replace(true);
        let endings = self.asking.await?;
        let mut broken = BTreeSet::new();
        let mut statuses: BTreeMap<u16, usize> = BTreeMap::new();
        let mut accepted = Vec::new();
        for Ending { kind, id, status, .. } in &endings {
            match status {
                Ok(status) => {
                    *statuses.entry(*status).or_default() += 1;
                    match status {
                        200 | 429 | 503 => {}
                        202 => accepted.extend(*id),
                        _ => drop(broken.insert(format!("{kind} was answered {status}"))),
                    }
                }
                Err(error) => drop(broken.insert(format!("{kind} was not answered: {error}"))),
            }
        }
        let stored: i64 =
            sqlx::query_scalar("select count(*) from transactions where id = any ($1)")
                .bind(&accepted)
                .fetch_one(database)
                .await?;
        let lost = accepted.len() as i64 - stored;
        if lost > 0 {
            broken.insert(format!("{lost} were accepted and are not there"));
        }
        let slowest = endings.iter().max_by_key(|ending| ending.took);
        let slowest = slowest.map_or_else(String::new, |ending| {
            format!("{} after {:.2} s", ending.kind, ending.took.as_secs_f64())
        });
        let remark = format!(
            "{} requests, answers by status {statuses:?}, the slowest: {slowest}",
            endings.len()
        );
        Ok((remark, broken.into_iter().collect()))
    }
}

async fn ask_on(client: Client, web_url: String, until: watch::Receiver<bool>) -> Vec<Ending> {
    let mut pace = interval(PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut asking = JoinSet::new();
    for nth in 0.. {
        pace.tick().await;
        if *until.borrow() {
            break;
        }
        let (kind, id, request) = request(&client, &web_url, nth);
        asking.spawn(async move {
            let began_at = Instant::now();
            let answer = request.send().await;
            let status = answer.map(|answer| answer.status().as_u16());
            let status = status.map_err(|error| format!("{error:?}"));
            Ending { kind, id, status, took: began_at.elapsed() }
        });
    }
    asking.join_all().await
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
