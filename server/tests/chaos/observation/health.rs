//! Whether health is true while a fault lasts: what it says about the transactions that are not final is compared with
//! the table.

use std::time::Duration;

use reqwest::Client;
use serde::Deserialize;
use sqlx::PgPool;
use tokio::time::Instant;

use crate::{Fallible, testbed::Testbed, wait};

/// How long health may take to answer.
const TIMEOUT: Duration = Duration::from_secs(20);
/// A submission may be committed this long after others that came later.
const TOLERANCE: Duration = Duration::from_secs(1);

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Health {
    status: String,
    reasons: Vec<String>,
    oldest_unfinished_seconds: Option<f64>,
    verification_failure_rate: Option<f64>,
}

async fn health(client: &Client, testbed: &Testbed) -> Fallible<Health> {
    let url = format!("{}/api/health", testbed.fleet.web_url);
    Ok(client.get(url).send().await?.json().await?)
}

fn client() -> Fallible<Client> {
    Ok(Client::builder().no_proxy().timeout(TIMEOUT).build()?)
}

/// Asks for health again and again until the load ends, and reports each answer that is not true.
pub async fn watch(testbed: &mut Testbed) -> Fallible<()> {
    let client = client()?;
    let (mut asked, mut oldest, mut untrue) = (0, 0.0_f64, Vec::new());
    while Instant::now() < testbed.moment(1.0) {
        let began_at = Instant::now();
        let before = oldest_unfinished(&testbed.database).await?;
        let health = health(&client, testbed).await?;
        let after = oldest_unfinished(&testbed.database).await?;
        let slack = (began_at.elapsed() + TOLERANCE).as_secs_f64();
        let said = health.oldest_unfinished_seconds.unwrap_or(-1.0);
        let healthy = health.status == "healthy";
        if !(after - slack..=before + slack).contains(&said) || healthy != health.reasons.is_empty()
        {
            untrue
                .push(format!("{health:?}, where the oldest was {before:.1} and {after:.1} s old"));
        }
        asked += 1;
        oldest = oldest.max(said);
        wait::pause().await;
    }
    let findings = &mut testbed.findings;
    findings.remarks.push(format!(
        "health was asked {asked} times; the oldest transaction that was not final was {oldest:.1} s old"
    ));
    if let Some(first) = untrue.first() {
        let count = untrue.len();
        findings.violations.push(format!("health was not true {count} times, first: {first}"));
    }
    Ok(())
}

/// Checks that health says that everything is over.
pub async fn check_at_the_end(testbed: &mut Testbed) -> Fallible<()> {
    let health = health(&client()?, testbed).await?;
    let is_over = health.oldest_unfinished_seconds == Some(0.0);
    // No look-up failed: each of them named the id.
    if !is_over || health.status != "healthy" || health.verification_failure_rate != Some(0.0) {
        testbed.findings.violations.push(format!("at the end, health was {health:?}"));
    }
    Ok(())
}

/// The age of the oldest transaction that is not final, in seconds, by the table.
async fn oldest_unfinished(database: &PgPool) -> sqlx::Result<f64> {
    sqlx::query_scalar(
        "select coalesce(extract(epoch from clock_timestamp() - min(submitted_at)), 0)::float8
         from transactions where state in ('pending', 'processing', 'in_doubt')",
    )
    .fetch_one(database)
    .await
}
