//! PostgreSQL stopped under load: how long answers take, and whether what was accepted is there
//! afterwards.

use std::{collections::BTreeMap, time::Duration};

use nix::sys::signal::{self, Signal};
use serde::Serialize;
use tokio::time::sleep;

use crate::environment::cluster::Cluster;
use crate::environment::posting_service::PostingService;
use crate::environment::testbed::{DATABASE, Stage};
use crate::error::Fallible;
use crate::load::open_loop::{self, Offer};
use crate::scenarios::audit;
use crate::statistics::Quantiles;

const A_SECOND: f64 = 500.0;
/// Three seconds of requests.
const CONNECTIONS: usize = 1_500;
/// The load before the outage, and after it.
const BEFORE: Duration = Duration::from_secs(3);
const AFTER: Duration = Duration::from_secs(10);
/// How long posting all that was accepted may take: turns that the outage cut short come back later.
const PATIENCE: Duration = Duration::from_secs(180);

/// How PostgreSQL is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Kind {
    /// All its processes by SIGSTOP: connections stay, and nothing answers.
    Frozen,
    /// As in a crash, and started again.
    Crashed,
}

/// What was seen.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Outage {
    pub kind: Kind,
    pub by_status: BTreeMap<String, u64>,
    pub answers: Quantiles,
    /// Accepted, and posted exactly once.
    pub posted: usize,
}

/// Stops PostgreSQL in the middle of a load on web and workers in one process.
///
/// # Errors
/// Where something accepted is not there afterwards, or is not posted exactly once.
pub async fn measure(stage: &mut Stage, kind: Kind) -> Fallible<Outage> {
    stage.cluster.make_database(DATABASE, None).await?;
    let service = PostingService::start()?;
    let program = stage.serve(DATABASE, &service, &[]).await?;
    let outage = stage.scale.outage;
    let duration = BEFORE + outage + AFTER;
    let offer = Offer { a_second: A_SECOND, duration, waits: true };
    let addr = program.web()?;
    let connections = open_loop::connect(addr, CONNECTIONS).await?;
    let (offered, stopped) = tokio::join!(
        open_loop::submit(addr, connections, offer),
        stop_and_go_on(&mut stage.cluster, kind, outage)
    );
    stopped?;
    let accepted = offered.accepted_ids();
    audit::stored(stage, DATABASE, &accepted).await?;
    service.wait_for_all(&accepted, PATIENCE).await;
    audit::posted_once(&service, &accepted)?;
    program.stop().await?;
    Ok(Outage {
        kind,
        by_status: offered.by_status(),
        answers: Quantiles::of(offered.sent.iter().map(|sent| sent.latency).collect()),
        posted: accepted.len(),
    })
}

async fn stop_and_go_on(cluster: &mut Cluster, kind: Kind, outage: Duration) -> Fallible<()> {
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
            cluster.start_again().await
        }
    }
}
