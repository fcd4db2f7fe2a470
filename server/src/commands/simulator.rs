//! `onceward simulator`: the simulated posting service, in a process of its own.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Args;
use simulator::{Faults, Simulator, SimulatorConfig};

use super::{
    fatal::Fatal,
    loopback::refuse_beyond_loopback,
    settings::values::listen_addr,
    stop_signal::{ENDED_AT_ONCE, StopSignals},
};
use crate::telemetry::log::announce;

/// Settings of `simulator`.
#[derive(Debug, Clone, Args)]
pub struct SimulatorSettings {
    /// Where the simulator listens
    #[arg(
        long,
        env = "SIMULATOR_ADDR",
        value_name = "SIMULATOR_ADDR",
        default_value = "127.0.0.1:8080",
        value_parser = listen_addr
    )]
    pub simulator_addr: SocketAddr,
    /// The folder that holds its ledger
    #[arg(long, env = "ONCEWARD_DATA", value_name = "ONCEWARD_DATA", default_value = "./data")]
    pub data: PathBuf,
    /// The seed that decides which requests a fault hits
    #[arg(long, env = "SIMULATOR_SEED", value_name = "SIMULATOR_SEED", default_value_t = 1)]
    pub seed: u64,
}

/// Runs the simulator until a signal stops it.
///
/// # Errors
/// If it cannot start.
pub async fn run(settings: SimulatorSettings) -> Result<ExitCode, Fatal> {
    refuse_beyond_loopback("SIMULATOR_ADDR", settings.simulator_addr)?;
    let StopSignals { stop, at_once } = StopSignals::listen(true)?;
    let mut simulator = start(&settings.data, settings.simulator_addr, settings.seed).await?;
    announce(format!("The simulated posting service is at http://{}", simulator.addr()));
    tokio::select! {
        () = simulator.wait() => {}
        () = stop.cancelled() => {}
    }
    tokio::select! {
        () = simulator.shutdown() => Ok(ExitCode::SUCCESS),
        () = at_once.cancelled() => Ok(ExitCode::from(ENDED_AT_ONCE)),
    }
}

/// Starts the simulator with its ledger under `data`.
///
/// # Errors
/// If it cannot start.
pub async fn start(data: &Path, addr: SocketAddr, seed: u64) -> Result<Simulator, Fatal> {
    let ledger_path = data.join("simulator").join("ledger.jsonl");
    let config = SimulatorConfig { addr, ledger_path, faults: Faults::default(), seed };
    Ok(Simulator::start(config).await?)
}
