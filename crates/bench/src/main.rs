//! `make bench`: the benchmarks, all on one machine in one run.
//!
//! Each part starts what it needs on one PostgreSQL cluster, measures, and stops it. One thread does
//! all of the harness's own work, so that it takes as little as it can of the cores that it shares
//! with what it measures.

mod arguments;
mod closed_loop;
mod cluster;
mod drain;
mod figures;
mod flow;
mod goals;
mod history;
mod http;
mod machine;
mod memory;
mod open_loop;
mod outage;
mod overload;
mod pages;
mod pgbench;
mod posting_service;
mod profile;
mod program;
mod report;
mod run;
mod stage;
mod statistics;
mod submission;
mod throughput;
mod verdict;
mod wait;

use std::process::ExitCode;

use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

/// The error is a sentence for whoever runs the benchmarks.
type Fallible<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

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
