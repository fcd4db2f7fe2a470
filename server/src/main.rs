//! The `onceward` program: command line, HTTP, workers, telemetry. It puts the other crates together.

// The types of the pages nest as deeply as their elements.
#![recursion_limit = "512"]

mod commands;
mod http;
mod listener;
mod own_postgres;
mod telemetry;

use std::process::ExitCode;

use commands::{
    command_line::{self, Command},
    fatal::Fatal,
    load,
    role::Role,
    serve_web_worker,
    settings::WorkerSettings,
    simulator,
};
use listener::open_files;

fn main() -> ExitCode {
    let cli = command_line::read();
    telemetry::log::start();
    open_files::raise_limit();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.into()),
    };
    let result = runtime.block_on(async {
        match cli.command.unwrap_or(Command::Serve(cli.serve)) {
            Command::Serve(settings) => serve_web_worker::run(Role::Both, settings).await,
            Command::Web(settings) => serve_web_worker::run(Role::Web, settings).await,
            Command::Worker(WorkerSettings { settings, metrics_addr }) => {
                serve_web_worker::run(Role::Worker { metrics_addr }, settings).await
            }
            Command::Simulator(settings) => simulator::run(settings).await,
            Command::Load(settings) => return Ok(load::run(settings).await),
        }
        .map(|()| ExitCode::SUCCESS)
    });
    // Tasks still running have had their grace period; a blocking task must not keep the program alive.
    runtime.shutdown_background();
    result.unwrap_or_else(|error| fail(&error))
}

fn fail(error: &Fatal) -> ExitCode {
    eprintln!("onceward: {error}");
    ExitCode::FAILURE
}
