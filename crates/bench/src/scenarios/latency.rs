//! Latencies of web and workers at a fixed rate: until a transaction is accepted, and from then
//! until it is posted.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;

use crate::environment::onceward_process::OncewardProcess;
use crate::environment::posting_service::PostingService;
use crate::environment::profile::Profile;
use crate::environment::testbed::Testbed;
use crate::error::Fallible;
use crate::load::open_loop::{self, OfferedLoad};
use crate::scenarios::audit;
use crate::statistics::Quantiles;

/// At most about a second of requests.
const CONNECTIONS: usize = 256;
/// A request sent later than this after it was due counts as sent late.
const SENT_LATE_AFTER: Duration = Duration::from_millis(5);
/// How long the last transactions may take to be posted.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The measured latencies.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Latencies {
    /// From when a request was due to its 202.
    pub accepting: Quantiles,
    /// From the 202 to the arrival of its POST.
    pub posting: Quantiles,
    /// Requests sent more than 5 ms after they were due.
    pub sent_late: usize,
    /// Answers that were not 202.
    pub others: BTreeMap<String, u64>,
}

/// Measures web and workers in one process on an existing database, at this rate.
///
/// # Errors
/// An accepted transaction is not posted exactly once, or Onceward fails.
pub async fn measure(
    testbed: &Testbed,
    database: &str,
    rate_per_second: f64,
    duration: Duration,
) -> Fallible<Latencies> {
    let service = PostingService::start()?;
    let program = testbed.serve(database, &service, &[]).await?;
    let latencies = offer(testbed, &service, &program, rate_per_second, duration).await?;
    program.stop().await?;
    Ok(latencies)
}

/// Measures at this rate, on a running program whose transactions are posted to this service.
///
/// # Errors
/// An accepted transaction is not posted exactly once, or the program does not accept connections.
pub async fn offer(
    testbed: &Testbed,
    service: &PostingService,
    program: &OncewardProcess,
    rate_per_second: f64,
    duration: Duration,
) -> Fallible<Latencies> {
    let addr = program.web()?;
    testbed.cluster.checkpoint().await?;
    let offer = OfferedLoad { rate_per_second, duration, waits_for_connection: true };
    let warm_up = OfferedLoad { duration: testbed.scale.warm_up, ..offer };
    let connections = open_loop::connect(addr, CONNECTIONS).await?;
    let mut accepted = open_loop::submit(addr, connections, warm_up).await.accepted_ids();
    let connections = open_loop::connect(addr, CONNECTIONS).await?;
    let profile = Profile::begin(testbed, Some(program)).await?;
    let offered = open_loop::submit(addr, connections, offer).await;
    profile
        .end(testbed, &format!("{rate_per_second} per second"), offered.sent.len() as f64)
        .await?;
    accepted.extend(offered.accepted_ids());
    service.wait_for_all(&accepted, TIMEOUT).await;
    audit::posted_once(service, &accepted)?;

    let entries = service.entries();
    let delays = offered.accepted().filter_map(|sent| {
        // A POST may arrive before the client has read the answer.
        Some(entries.get(&sent.id)?.at.saturating_duration_since(sent.answered_at))
    });
    let mut others = offered.by_status();
    others.remove("202");
    Ok(Latencies {
        accepting: Quantiles::of(offered.accepted().map(|sent| sent.latency).collect()),
        posting: Quantiles::of(delays.collect()),
        sent_late: offered.sent.iter().filter(|sent| sent.send_delay > SENT_LATE_AFTER).count(),
        others,
    })
}
