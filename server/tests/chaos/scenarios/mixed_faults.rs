//! Faults of every kind, one after the other and into each other.

use nix::sys::signal::Signal;
use rand::RngExt;
use tokio::time::sleep_until;

use crate::{
    Fallible,
    scenarios::{
        database_faults::restart,
        process_faults::{draw_worker, kill_worker, stop_worker},
    },
    testbed::Stage,
};

/// Kills, stops and restarts. A worker that is stopped stays so while the next ones happen.
pub async fn everything(stage: &mut Stage) -> Fallible<()> {
    let mut stopped = None;
    for moment in stage.moments(stage.size.pick(14, 5), 0.02..0.98) {
        sleep_until(moment).await;
        match stage.draw.random_range(0..6) {
            0 | 1 => {
                let victim = draw_worker(stage);
                kill_worker(stage, victim).await?;
                stage.short_while().await;
                stage.fleet.start_worker_again(victim).await?;
                stopped = stopped.filter(|worker| *worker != victim);
            }
            2 => {
                stage.fleet.web.kill().await?;
                stage.short_while().await;
                stage.fleet.start_web_again().await?;
            }
            3 => match stopped.take() {
                Some(worker) => stage.fleet.resume(worker).await?,
                None => {
                    let victim = draw_worker(stage);
                    stop_worker(stage, victim).await?;
                    stopped = Some(victim);
                }
            },
            4 => restart(stage, Signal::SIGINT, "PostgreSQL was restarted").await?,
            _ => restart(stage, Signal::SIGQUIT, "PostgreSQL crashed").await?,
        }
    }
    match stopped {
        Some(worker) => stage.fleet.resume(worker).await,
        None => Ok(()),
    }
}
