//! The `onceward` program: command line, HTTP, workers, telemetry; puts the rest together.

// The types of the pages are nested as deeply as their elements.
#![recursion_limit = "512"]

mod commands;
mod http;
mod listener;
mod own_postgres;
mod telemetry;

use std::process::ExitCode;

use clap::Parser;
use commands::{
    command_line::{Cli, Command, WorkerSettings},
    load,
    serve_web_worker::{self as run, Role},
};
use listener::open_files;

fn main() -> ExitCode {
    let cli = Cli::parse();
    telemetry::log::start();
    open_files::allow_most();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.into()),
    };
    let result = runtime.block_on(async {
        match cli.command.unwrap_or(Command::Serve(cli.serve)) {
            Command::Serve(settings) => run::run(Role::Both, settings).await,
            Command::Web(settings) => run::run(Role::Web, settings).await,
            Command::Worker(WorkerSettings { settings, metrics_addr }) => {
                run::run(Role::Worker { metrics_addr }, settings).await
            }
            Command::Simulator(settings) => run::simulator(settings).await,
            Command::Load(settings) => return load::run(settings).await,
        }
        .map(|()| ExitCode::SUCCESS)
    });
    // What is still under way has had its time; a blocking task must not hold the program.
    runtime.shutdown_background();
    result.unwrap_or_else(|error| fail(&error))
}

/// What ends the program before its time: a sentence for whoever started it.
type Fatal = Box<dyn std::error::Error + Send + Sync>;

fn fail(error: &Fatal) -> ExitCode {
    eprintln!("onceward: {error}");
    ExitCode::FAILURE
}
