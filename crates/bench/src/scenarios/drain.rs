//! How many transactions a second are posted while a backlog drains.

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::environment::posting_service::PostingService;
use crate::environment::profile::Profile;
use crate::environment::testbed::{DATABASE, Stage};
use crate::error::Fallible;
use crate::load::closed_loop::{self, Until};
use crate::poll;
use crate::scenarios::audit;

const CONNECTIONS: usize = 64;
/// `POSTING_CONCURRENCY` of the worker.
const CONCURRENCY: usize = 64;
/// How long draining may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// What was measured.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Drain {
    /// From the first POST's arrival until the last row is recorded as completed: this is quoted.
    pub completed_a_second: f64,
    /// From the first POST's arrival to the last's.
    pub arrived_a_second: f64,
}

/// Measures it: accepts a backlog with the workers off, then starts a worker.
///
/// # Errors
/// Where not everything is posted exactly once, in time.
pub async fn measure(stage: &Stage) -> Fallible<Drain> {
    stage.cluster.make_database(DATABASE, None).await?;
    let backlog = stage.scale.backlog;
    let web = stage.start("web", DATABASE, &[]).await?;
    let answers = closed_loop::submit(web.web()?, CONNECTIONS, Until::Sent(backlog)).await?;
    if answers.accepted.len() < backlog {
        return Err(format!("the backlog was not accepted: {:?}", answers.others).into());
    }
    web.stop().await?;
    stage.cluster.checkpoint().await?;

    let service = PostingService::start()?;
    let settings =
        [("POSTING_URL", service.url()), ("POSTING_CONCURRENCY", CONCURRENCY.to_string())];
    let worker = stage.start("worker", DATABASE, &settings).await?;
    let profile = Profile::begin(stage, Some(&worker)).await?;
    if !service.wait_for(backlog, PATIENCE).await {
        return Err(
            format!("after {PATIENCE:?}, {} of {backlog} are posted", service.count()).into()
        );
    }
    // Looked for only now: while the backlog drains, nothing else is asked of the database.
    let completed = async || Ok(stage.count(DATABASE, "state <> 'completed'").await? == 0);
    if !poll::until(PATIENCE, completed).await? {
        return Err("all were posted, but not all are completed".into());
    }
    let completed_at = Instant::now();
    profile.end(stage, "draining", backlog as f64).await?;
    worker.stop().await?;
    audit::posted_once(&service, &answers.accepted)?;
    let (first, last) = {
        let entries = service.entries();
        let arrivals = || entries.values().map(|entry| entry.at);
        (arrivals().min(), arrivals().max())
    };
    let (first, last) = (first.ok_or("nothing")?, last.ok_or("nothing")?);
    Ok(Drain {
        completed_a_second: backlog as f64 / (completed_at - first).as_secs_f64(),
        arrived_a_second: backlog as f64 / (last - first).as_secs_f64(),
    })
}
