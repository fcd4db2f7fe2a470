//! A fleet, in which web and workers are processes of their own: how soon a worker posts what another
//! process has accepted, and how many statements the fleet makes while it has nothing to do.

use std::time::Duration;

use serde::Serialize;
use tokio::time::sleep;

use crate::environment::posting_service::PostingService;
use crate::environment::testbed::{DATABASE, Testbed};
use crate::error::Fallible;
use crate::scenarios::latency::{self, Latencies};

/// After the last transaction, and after the last process has started.
const UNTIL_IDLE: Duration = Duration::from_secs(5);

/// What was measured of a fleet.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Fleet {
    /// Of one web process and two workers.
    pub latencies: Latencies,
    /// Of two web processes and four workers, while they are idle.
    pub idle_statements_a_second: f64,
}

/// Measures on an empty database.
///
/// # Errors
/// An accepted transaction is not posted exactly once, or Onceward fails.
pub async fn measure(
    testbed: &Testbed,
    rate_per_second: f64,
    duration: Duration,
) -> Fallible<Fleet> {
    testbed.cluster.create_database(DATABASE, None).await?;
    let service = PostingService::start()?;
    let settings = [("POSTING_URL", service.url())];
    let web = testbed.start("web", DATABASE, &[]).await?;
    let mut others = Vec::new();
    for _ in 0..2 {
        others.push(testbed.start("worker", DATABASE, &settings).await?);
    }
    let latencies = latency::offer(testbed, &service, &web, rate_per_second, duration).await?;

    others.push(testbed.start("web", DATABASE, &[]).await?);
    for _ in 0..2 {
        others.push(testbed.start("worker", DATABASE, &settings).await?);
    }
    sleep(UNTIL_IDLE).await;
    let idle = testbed.scale.idle;
    let statements = testbed.cluster.count_statements(idle).await?;
    others.push(web);
    for process in others {
        process.stop().await?;
    }
    Ok(Fleet { latencies, idle_statements_a_second: statements as f64 / idle.as_secs_f64() })
}
