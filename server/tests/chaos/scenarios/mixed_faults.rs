//! Faults of every kind, one after another and overlapping.

use nix::sys::signal::Signal;
use rand::RngExt;
use tokio::time::sleep_until;

use crate::{
    Fallible,
    scenarios::{
        database_faults::restart,
        process_faults::{draw_worker, kill_worker, stop_worker},
    },
    testbed::Testbed,
};

/// Kills, stops and restarts. A worker that is stopped stays so during the next faults.
pub async fn everything(testbed: &mut Testbed) -> Fallible<()> {
    let mut stopped = None;
    for moment in testbed.moments(testbed.size.pick(14, 5), 0.02..0.98) {
        sleep_until(moment).await;
        match testbed.rng.random_range(0..6) {
            0 | 1 => {
                let victim = draw_worker(testbed);
                kill_worker(testbed, victim).await?;
                testbed.restart_pause().await;
                testbed.fleet.restart_worker(victim).await?;
                stopped = stopped.filter(|worker| *worker != victim);
            }
            2 => {
                testbed.fleet.web.kill().await?;
                testbed.restart_pause().await;
                testbed.fleet.restart_web().await?;
            }
            3 => match stopped.take() {
                Some(worker) => testbed.fleet.resume(worker).await?,
                None => {
                    let victim = draw_worker(testbed);
                    stop_worker(testbed, victim).await?;
                    stopped = Some(victim);
                }
            },
            4 => restart(testbed, Signal::SIGINT, "PostgreSQL was restarted").await?,
            _ => restart(testbed, Signal::SIGQUIT, "PostgreSQL crashed").await?,
        }
    }
    match stopped {
        Some(worker) => testbed.fleet.resume(worker).await,
        None => Ok(()),
    }
}
