//! The `onceward` program: command line, HTTP, workers, telemetry. It puts the other crates together.

// The types of the pages nest as deeply as their elements.
#![recursion_limit = "512"]

mod commands;
mod http;
mod listener;
mod own_postgres;
mod telemetry;

use std::{
    io::{self, Write},
    process::ExitCode,
};

use commands::{
    audit, client,
    command_line::{self, Cli, Command},
    fatal::Fatal,
    load, migrate,
    role::Role,
    serve_web_worker,
    settings::WorkerSettings,
    simulator, user,
};
use listener::open_files;
use telemetry::log::Log;

fn main() -> ExitCode {
    let cli = command_line::read();
    let mut log = match Log::start() {
        Ok(log) => log,
        Err(error) => {
            let _ = writeln!(io::stderr(), "onceward: the log cannot be started: {error}");
            return ExitCode::FAILURE;
        }
    };
    open_files::raise_limit();
    run(cli).unwrap_or_else(|error| {
        log.print(&format!("onceward: {error}"));
        ExitCode::FAILURE
    })
}

fn run(cli: Cli) -> Result<ExitCode, Fatal> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(async {
        match cli.command.unwrap_or(Command::Serve(cli.serve)) {
            Command::Serve(settings) => serve_web_worker::run(Role::Both, settings).await,
            Command::Web(settings) => serve_web_worker::run(Role::Web, settings).await,
            Command::Worker(WorkerSettings { settings, metrics_addr }) => {
                serve_web_worker::run(Role::Worker { metrics_addr }, settings).await
            }
            Command::Migrate(settings) => migrate::run(settings).await,
            Command::Client(settings) => client::run(settings).await,
            Command::User(settings) => user::run(settings).await,
            Command::Simulator(settings) => simulator::run(settings).await,
            Command::Load(settings) => Ok(load::run(settings).await),
            Command::Audit(settings) => Ok(audit::run(settings).await),
        }
    });
    // Tasks still running have had their grace period; a blocking task must not keep the program alive.
    runtime.shutdown_background();
    result
}
