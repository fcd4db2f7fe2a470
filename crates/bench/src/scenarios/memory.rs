//! Memory of a process with many requests waiting on a slow posting service.

use std::time::Duration;

use crate::environment::onceward_process::Memory;
use crate::environment::posting_service::PostingService;
use crate::environment::testbed::{DATABASE, Stage};
use crate::error::Fallible;
use crate::load::open_loop::{self, Offer};
use crate::poll;
use crate::scenarios::audit;

/// The pace at which they come: it is their number that is measured, not a burst.
const A_SECOND: f64 = 500.0;
const CONNECTIONS: usize = 256;
/// Onceward's own `POSTING_CONCURRENCY`.
pub const DEFAULT_CONCURRENCY: usize = 64;
/// How long each step may take.
const PATIENCE: Duration = Duration::from_secs(180);

/// Measures it while the posting service holds all POSTs, of which so many may be under way at once; then lets
/// them go.
///
/// # Errors
/// Where so many are not under way, or not all completed afterwards, each posted once.
pub async fn measure(stage: &Stage, under_way: usize) -> Fallible<Memory> {
    let held = stage.scale.held;
    let under_way = under_way.min(held);
    stage.cluster.make_database(DATABASE, None).await?;
    let service = PostingService::start()?;
    service.hold();
    let settings = [
        ("POSTING_CONCURRENCY", under_way.to_string()),
        // Nothing is given up while it is held.
        ("POSTING_TIMEOUT_MS", "3600000".to_owned()),
    ];
    let program = stage.serve(DATABASE, &service, &settings).await?;
    let addr = program.web()?;
    let duration = Duration::from_secs_f64(held as f64 / A_SECOND);
    let connections = open_loop::connect(addr, CONNECTIONS).await?;
    let offer = Offer { a_second: A_SECOND, duration, waits: true };
    let accepted = open_loop::submit(addr, connections, offer).await.accepted_ids();
    if !service.wait_for(under_way, PATIENCE).await {
        let count = service.count();
        return Err(
            format!("after {PATIENCE:?}, {count} of {under_way} POSTs are under way").into()
        );
    }
    let memory = program.memory()?;
    service.let_go();
    let completed = async || Ok(stage.count(DATABASE, "state <> 'completed'").await? == 0);
    if !poll::until(PATIENCE, completed).await? {
        return Err(format!("{held} POSTs were let go, and not all are completed").into());
    }
    program.stop().await?;
    audit::posted_once(&service, &accepted)?;
    Ok(memory)
}
