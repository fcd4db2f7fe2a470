//! Far more requests than can be accepted: how many are shed, and whether the accepted ones are
//! posted.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;

use crate::environment::onceward_process::Memory;
use crate::environment::posting_service::PostingService;
use crate::environment::testbed::{DATABASE, Testbed};
use crate::error::Fallible;
use crate::load::open_loop::{self, OfferedLoad};
use crate::scenarios::audit;
use crate::statistics::Quantiles;

const RATE_PER_SECOND: f64 = 20_000.0;
/// More than Onceward lets wait: with fewer, the connections would limit the load before Onceward
/// sheds any.
const CONNECTIONS: usize = 8_000;
/// How long posting all accepted transactions may take.
const TIMEOUT: Duration = Duration::from_secs(600);

/// The result of an overload.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Overload {
    pub due: u64,
    /// Never sent, because all connections were busy.
    pub not_sent: u64,
    pub by_status: BTreeMap<String, u64>,
    pub answers: Quantiles,
    pub memory: Memory,
    /// Transactions that were accepted and posted exactly once.
    pub posted: usize,
}

/// Offers the load to web and workers in one process, and waits until all accepted transactions are
/// posted.
///
/// # Errors
/// An accepted transaction is not posted exactly once.
pub async fn measure(testbed: &Testbed) -> Fallible<Overload> {
    testbed.cluster.create_database(DATABASE, None).await?;
    let service = PostingService::start()?;
    let program = testbed.serve(DATABASE, &service, &[]).await?;
    let offer = OfferedLoad {
        rate_per_second: RATE_PER_SECOND,
        duration: testbed.scale.overload,
        waits_for_connection: false,
    };
    let addr = program.web()?;
    let connections = open_loop::connect(addr, CONNECTIONS).await?;
    let offered = open_loop::submit(addr, connections, offer).await;
    let accepted = offered.accepted_ids();
    audit::stored(testbed, DATABASE, &accepted).await?;
    service.wait_for_all(&accepted, TIMEOUT).await;
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
