//! PostgreSQL stopped under load: how long answers take, and whether all accepted transactions are
//! posted afterwards.

use std::{collections::BTreeMap, time::Duration};

use nix::sys::signal::{self, Signal};
use serde::Serialize;
use tokio::time::sleep;

use crate::environment::cluster::Cluster;
use crate::environment::posting_service::PostingService;
use crate::environment::testbed::{DATABASE, Testbed};
use crate::error::Fallible;
use crate::load::open_loop::{self, OfferedLoad};
use crate::scenarios::audit;
use crate::statistics::Quantiles;

const RATE_PER_SECOND: f64 = 500.0;
/// The requests of three seconds.
const CONNECTIONS: usize = 1_500;
/// How long the load runs before the outage and after it.
const BEFORE: Duration = Duration::from_secs(3);
const AFTER: Duration = Duration::from_secs(10);
/// How long posting all accepted transactions may take: executions that the outage interrupted are
/// reclaimed later.
const TIMEOUT: Duration = Duration::from_secs(180);

/// How PostgreSQL is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Kind {
    /// SIGSTOP to all its processes: connections stay open, and no query is answered.
    Frozen,
    /// Stopped as in a crash, and restarted.
    Crashed,
}

/// The result of an outage.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Outage {
    pub kind: Kind,
    pub by_status: BTreeMap<String, u64>,
    pub answers: Quantiles,
    /// Transactions that were accepted and posted exactly once.
    pub posted: usize,
}

/// Stops PostgreSQL during a load on web and workers in one process.
///
/// # Errors
/// An accepted transaction is not stored afterwards, or is not posted exactly once.
pub async fn measure(testbed: &mut Testbed, kind: Kind) -> Fallible<Outage> {
    testbed.cluster.create_database(DATABASE, None).await?;
    let service = PostingService::start()?;
    let program = testbed.serve(DATABASE, &service, &[]).await?;
    let outage = testbed.scale.outage;
    let duration = BEFORE + outage + AFTER;
    let offer =
        OfferedLoad { rate_per_second: RATE_PER_SECOND, duration, waits_for_connection: true };
    let addr = program.web()?;
    let connections = open_loop::connect(addr, CONNECTIONS).await?;
    let (offered, stopped) = tokio::join!(
        open_loop::submit(addr, connections, offer),
        stop_and_resume(&mut testbed.cluster, kind, outage)
    );
    stopped?;
    let accepted = offered.accepted_ids();
    audit::stored(testbed, DATABASE, &accepted).await?;
    service.wait_for_all(&accepted, TIMEOUT).await;
    audit::posted_once(&service, &accepted)?;
    program.stop().await?;
    Ok(Outage {
        kind,
        by_status: offered.by_status(),
        answers: Quantiles::of(offered.sent.iter().map(|sent| sent.latency).collect()),
        posted: accepted.len(),
    })
}

async fn stop_and_resume(cluster: &mut Cluster, kind: Kind, outage: Duration) -> Fallible<()> {
    sleep(BEFORE).await;
    match kind {
        Kind::Frozen => {
            let pids = cluster.pids()?;
            for pid in &pids {
                let _ = signal::kill(*pid, Signal::SIGSTOP);
            }
            sleep(outage).await;
            for pid in pids {
                let _ = signal::kill(pid, Signal::SIGCONT);
            }
            Ok(())
        }
        Kind::Crashed => {
            cluster.stop_immediately().await?;
            sleep(outage).await;
            cluster.restart().await
        }
    }
}
