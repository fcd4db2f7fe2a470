//! `make bench`: all benchmarks, on one machine in one run.
//!
//! Each part starts the processes it needs on one PostgreSQL cluster, measures, and stops them. The
//! harness is one thread, so that it takes as little as possible of the cores it shares with the
//! programs it measures.

mod arguments;
mod environment;
mod error;
mod http;
mod load;
mod poll;
mod report;
mod run;
mod scenarios;
mod statistics;

use std::process::ExitCode;

use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = arguments::Arguments::parse();
    tokio::select! {
        // Dropping the run ends its processes and removes its folders.
        result = run::run(&arguments) => match result {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("bench: {error}");
                ExitCode::FAILURE
            }
        },
        () = interrupted() => {
            eprintln!("bench: interrupted; stopping all processes");
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
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
    }
}
