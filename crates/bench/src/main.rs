//! `make bench`: the benchmarks, all on one machine in one run.
//!
//! Each part starts what it needs on one PostgreSQL cluster, measures, and stops it. One thread does
//! all of the harness's own work, so that it takes as little as it can of the cores that it shares
//! with what it measures.

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
        // What is dropped ends its processes and removes its folders.
        result = run::run(&arguments) => match result {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("bench: {error}");
                ExitCode::FAILURE
            }
        },
        () = interrupted() => {
            eprintln!("bench: ending all processes");
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
