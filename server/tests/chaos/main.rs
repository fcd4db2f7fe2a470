//! Fault tests with real processes: `cargo test` runs a short form, `make chaos` the full one.
//!
//! Each scenario has a PostgreSQL, a posting service, a web process and two workers of its own
//! (`testbed/`). It puts a load on them and injects a fault (`scenarios/`); when every transaction
//! is final, it compares what was accepted with the posting service's ledger (`auditor.rs`).

mod arguments;
mod auditor;
mod observation;
mod runner;
mod scenarios;
mod table;
mod testbed;
mod wait;

use std::process::ExitCode;

use arguments::Arguments;
use clap::{Parser, ValueEnum};
use scenarios::Scenario;
use tokio::signal::unix::{SignalKind, signal};

/// The error is a readable sentence.
type Fallible<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.list {
        for scenario in Scenario::value_variants() {
            let form = if scenario.is_short() { "" } else { " (full form only)" };
            println!("{:24}  {}{form}", scenario.name(), scenario.about());
        }
        return ExitCode::SUCCESS;
    }
    // An error means that a provider is installed already, which serves as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut running = tokio::task::JoinSet::new();
    running.spawn(async move { runner::all(&arguments).await });
    tokio::select! {
        ended = running.join_next() => match ended {
            Some(Ok(Ok(true))) => ExitCode::SUCCESS,
            Some(Ok(Err(error))) => {
                eprintln!("chaos: {error}");
                ExitCode::FAILURE
            }
            _ => ExitCode::FAILURE,
        },
        () = interrupted() => {
            eprintln!("chaos: ending all processes");
            // Returns when everything is dropped, which ends the processes and removes the folders.
            running.shutdown().await;
            ExitCode::from(130)
        }
    }
}

async fn interrupted() {
    let (Ok(mut interrupt), Ok(mut terminate), Ok(mut hangup)) = (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
        signal(SignalKind::hangup()),
    ) else {
        return;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
    }
}
