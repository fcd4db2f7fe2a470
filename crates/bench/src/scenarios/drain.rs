//! Throughput of posting: how many transactions per second a worker posts while it drains a
//! backlog.

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::environment::posting_service::PostingService;
use crate::environment::profile::Profile;
use crate::environment::testbed::{DATABASE, Testbed};
use crate::error::Fallible;
use crate::load::closed_loop::{self, Until};
use crate::poll;
use crate::scenarios::audit;

const CONNECTIONS: usize = 64;
/// `POSTING_CONCURRENCY` of the worker.
const CONCURRENCY: usize = 64;
/// How long draining may take.
const TIMEOUT: Duration = Duration::from_secs(120);

/// The rates of a drain, per second.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Drain {
    /// From the first POST's arrival until the last row is recorded as completed: the reported
    /// rate.
    pub completed_a_second: f64,
    /// From the first POST's arrival to the last POST's arrival.
    pub arrived_a_second: f64,
}

/// Accepts a backlog without workers, then starts a worker and measures it.
///
/// # Errors
/// Not all transactions are posted exactly once in time.
pub async fn measure(testbed: &Testbed) -> Fallible<Drain> {
    testbed.cluster.create_database(DATABASE, None).await?;
    let backlog = testbed.scale.backlog;
    let web = testbed.start("web", DATABASE, &[]).await?;
    let answers = closed_loop::submit(web.web()?, CONNECTIONS, Until::Sent(backlog), None).await?;
    if answers.accepted.len() < backlog {
        return Err(format!("not all of the backlog was accepted: {:?}", answers.others).into());
    }
    web.stop().await?;
    testbed.cluster.checkpoint().await?;

    let service = PostingService::start()?;
    let settings =
        [("POSTING_URL", service.url()), ("POSTING_CONCURRENCY", CONCURRENCY.to_string())];
    let worker = testbed.start("worker", DATABASE, &settings).await?;
    let profile = Profile::begin(testbed, Some(&worker)).await?;
    if !service.wait_for_count(backlog, TIMEOUT).await {
        return Err(
            format!("after {TIMEOUT:?}, only {} of {backlog} are posted", service.count()).into()
        );
    }
    // Queried only now, so that the harness does not load the database while the backlog drains.
    let completed = async || Ok(testbed.count(DATABASE, "state <> 'completed'").await? == 0);
    if !poll::until(TIMEOUT, completed).await? {
        return Err("all are posted, but not all are completed".into());
    }
    let completed_at = Instant::now();
    profile.end(testbed, "draining", backlog as f64).await?;
    worker.stop().await?;
    audit::posted_once(&service, &answers.accepted)?;
    let (first, last) = {
        let entries = service.entries();
        let arrivals = || entries.values().map(|entry| entry.at);
        (arrivals().min(), arrivals().max())
    };
    let (first, last) = (first.ok_or("no POST arrived")?, last.ok_or("no POST arrived")?);
    Ok(Drain {
        completed_a_second: backlog as f64 / (completed_at - first).as_secs_f64(),
        arrived_a_second: backlog as f64 / (last - first).as_secs_f64(),
    })
}
