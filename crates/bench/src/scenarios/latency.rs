//! Web and workers at a fixed rate: how long until a transaction is accepted, and from then until it is
//! posted.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;

use crate::environment::posting_service::PostingService;
use crate::environment::profile::Profile;
use crate::environment::testbed::Stage;
use crate::error::Fallible;
use crate::load::open_loop::{self, Offer};
use crate::scenarios::audit;
use crate::statistics::Quantiles;

/// As many as a second's requests, at most.
const CONNECTIONS: usize = 256;
/// From when on a request counts as sent late.
const LATE: Duration = Duration::from_millis(5);
/// How long the last ones may take to be posted.
const PATIENCE: Duration = Duration::from_secs(60);

/// What was measured.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Flow {
    /// From when a request was due to its 202.
    pub accepting: Quantiles,
    /// From the 202 to the arrival of its POST.
    pub posting: Quantiles,
    /// Requests that left more than 5 ms after they were due.
    pub sent_late: usize,
    /// Answers that were not 202.
    pub others: BTreeMap<String, u64>,
}

/// Measures it on a database that is there, at so many a second.
///
/// # Errors
/// Where something accepted is not posted exactly once, or the program fails.
pub async fn measure(
    stage: &Stage,
    database: &str,
    a_second: f64,
    duration: Duration,
) -> Fallible<Flow> {
    let service = PostingService::start()?;
    let program = stage.serve(database, &service, &[]).await?;
    let addr = program.web()?;
    stage.cluster.checkpoint().await?;
    let offer = Offer { a_second, duration, waits: true };
    let warm_up = Offer { duration: stage.scale.warm_up, ..offer };
    let connections = open_loop::connect(addr, CONNECTIONS).await?;
    let mut accepted = open_loop::submit(addr, connections, warm_up).await.accepted_ids();
    let connections = open_loop::connect(addr, CONNECTIONS).await?;
    let profile = Profile::begin(stage, Some(&program)).await?;
    let offered = open_loop::submit(addr, connections, offer).await;
    profile.end(stage, &format!("{a_second} a second"), offered.sent.len() as f64).await?;
    accepted.extend(offered.accepted_ids());
    service.wait_for_all(&accepted, PATIENCE).await;
    audit::posted_once(&service, &accepted)?;
    program.stop().await?;

    let entries = service.entries();
    let delays = offered.accepted().filter_map(|sent| {
        // A POST may arrive before its client has read the answer.
        Some(entries.get(&sent.id)?.at.saturating_duration_since(sent.answered_at))
    });
    let mut others = offered.by_status();
    others.remove("202");
    Ok(Flow {
        accepting: Quantiles::of(offered.accepted().map(|sent| sent.latency).collect()),
        posting: Quantiles::of(delays.collect()),
        sent_late: offered.sent.iter().filter(|sent| sent.behind > LATE).count(),
        others,
    })
}
