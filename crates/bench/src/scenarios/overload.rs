//! Far more offered than can be accepted: what is refused, and what becomes of what is not.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;

use crate::environment::onceward_process::Memory;
use crate::environment::posting_service::PostingService;
use crate::environment::testbed::{DATABASE, Stage};
use crate::error::Fallible;
use crate::load::open_loop::{self, Offer};
use crate::scenarios::audit;
use crate::statistics::Quantiles;

const A_SECOND: f64 = 20_000.0;
/// More than Onceward lets wait, or they alone would hold back what it would have to refuse.
const CONNECTIONS: usize = 8_000;
/// How long posting all that was accepted may take.
const PATIENCE: Duration = Duration::from_secs(600);

/// What was seen.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Overload {
    pub due: u64,
    /// All connections were busy, so these were never sent.
    pub not_sent: u64,
    pub by_status: BTreeMap<String, u64>,
    pub answers: Quantiles,
    pub memory: Memory,
    /// Accepted, and posted exactly once.
    pub posted: usize,
}

/// Offers it to web and workers in one process, and waits until all that was accepted is posted.
///
/// # Errors
/// Where something accepted is not posted exactly once.
pub async fn measure(stage: &Stage) -> Fallible<Overload> {
    stage.cluster.make_database(DATABASE, None).await?;
    let service = PostingService::start()?;
    let program = stage.serve(DATABASE, &service, &[]).await?;
    let offer = Offer { a_second: A_SECOND, duration: stage.scale.overload, waits: false };
    let addr = program.web()?;
    let connections = open_loop::connect(addr, CONNECTIONS).await?;
    let offered = open_loop::submit(addr, connections, offer).await;
    let accepted = offered.accepted_ids();
    audit::stored(stage, DATABASE, &accepted).await?;
    service.wait_for_all(&accepted, PATIENCE).await;
    audit::posted_once(&service, &accepted)?;
    let memory = program.memory()?;
    program.stop().await?;
    Ok(Overload {
        due: offered.sent.len() as u64 + offered.skipped,
        not_sent: offered.skipped,
        by_status: offered.by_status(),
        answers: Quantiles::of(offered.sent.iter().map(|sent| sent.latency).collect()),
        memory,
        posted: accepted.len(),
    })
}
