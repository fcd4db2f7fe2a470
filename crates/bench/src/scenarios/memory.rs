//! Memory of a process while many POSTs are in flight to a slow posting service.

use std::time::Duration;

use crate::environment::onceward_process::Memory;
use crate::environment::posting_service::PostingService;
use crate::environment::testbed::{DATABASE, Testbed};
use crate::error::Fallible;
use crate::load::open_loop::{self, OfferedLoad};
use crate::poll;
use crate::scenarios::audit;

/// A moderate rate: the memory of many transactions is measured, not of a burst.
const RATE_PER_SECOND: f64 = 500.0;
const CONNECTIONS: usize = 256;
/// Onceward's own `POSTING_CONCURRENCY`.
pub const DEFAULT_CONCURRENCY: usize = 64;
/// How long each step may take.
const TIMEOUT: Duration = Duration::from_secs(180);

/// Measures while the posting service holds the answers to all POSTs and this many are in flight;
/// then releases them.
///
/// # Errors
/// Fewer are in flight, or afterwards not all are completed and posted exactly once.
pub async fn measure(testbed: &Testbed, in_flight: usize) -> Fallible<Memory> {
    let held = testbed.scale.held;
    let in_flight = in_flight.min(held);
    testbed.cluster.create_database(DATABASE, None).await?;
    let service = PostingService::start()?;
    service.hold();
    let settings = [
        ("POSTING_CONCURRENCY", in_flight.to_string()),
        // No POST times out while its answer is held.
        ("POSTING_TIMEOUT_MS", "3600000".to_owned()),
    ];
    let program = testbed.serve(DATABASE, &service, &settings).await?;
    let addr = program.web()?;
    let duration = Duration::from_secs_f64(held as f64 / RATE_PER_SECOND);
    let connections = open_loop::connect(addr, CONNECTIONS).await?;
    let offer =
        OfferedLoad { rate_per_second: RATE_PER_SECOND, duration, waits_for_connection: true };
    let accepted = open_loop::submit(addr, connections, offer).await.accepted_ids();
    if !service.wait_for_count(in_flight, TIMEOUT).await {
        let count = service.count();
        return Err(
            format!("after {TIMEOUT:?}, only {count} of {in_flight} POSTs are in flight").into()
        );
    }
    let memory = program.memory()?;
    service.release();
    let completed = async || Ok(testbed.count(DATABASE, "state <> 'completed'").await? == 0);
    if !poll::until(TIMEOUT, completed).await? {
        return Err(format!("{held} POSTs were released, but not all are completed").into());
    }
    program.stop().await?;
    audit::posted_once(&service, &accepted)?;
    Ok(memory)
}
