//! `onceward load`: the load generator and its audit.

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use clap::Args;
use loadgen::{Interrupts, LoadConfig, LoadError, Report};
use serde::Serialize;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use super::{
    fatal::Fatal,
    print::print,
    settings::values::{duration, http_url, positive},
};

/// Settings of `load`.
#[derive(Debug, Clone, Args)]
pub struct LoadSettings {
    /// Submissions per second
    #[arg(long, default_value_t = 200.0, value_parser = positive)]
    pub rate: f64,
    /// How long to submit, such as 30s, 5m or 500ms
    #[arg(long, default_value = "30s", value_parser = duration)]
    pub duration: Duration,
    /// How long to wait afterwards until everything is final
    #[arg(long, default_value = "300s", value_parser = duration)]
    pub wait: Duration,
    /// The URL of Onceward
    #[arg(long, default_value = "http://127.0.0.1:3000", value_parser = http_url)]
    pub url: String,
    /// The URL of the posting service, whose ledger is audited
    #[arg(long, env = "POSTING_URL", value_name = "POSTING_URL", hide_env_values = true, default_value = "http://127.0.0.1:8080", value_parser = http_url)]
    pub posting_url: String,
    /// The file with an API key of a client with the role submitter, if Onceward requires authentication
    #[arg(long, env = "ONCEWARD_KEY_FILE", value_name = "ONCEWARD_KEY_FILE")]
    pub key_file: Option<PathBuf>,
    /// Print the report as JSON; an error too
    #[arg(long)]
    pub json: bool,
}

/// The exit code of a run without a report.
const NO_REPORT: u8 = 2;

/// Runs the load, prints the report or why there is none, and returns the exit code.
pub async fn run(settings: LoadSettings) -> ExitCode {
    let json = settings.json;
    let (printed, exit_code) = match load(settings).await {
        Ok(report) if json => (print_json(&report), report.exit_code()),
        Ok(report) => (print(&report), report.exit_code()),
        Err(error) if json => (print_error_as_json(error.code(), &error.to_string()), NO_REPORT),
        Err(error) => (Err(error.into()), NO_REPORT),
    };
    match printed {
        Ok(()) => ExitCode::from(exit_code),
        Err(error) => {
            let _ = writeln!(io::stderr(), "onceward: {error}");
            ExitCode::from(NO_REPORT)
        }
    }
}

/// Prints an error where `--json` promises JSON.
///
/// # Errors
/// If it cannot be written.
pub fn print_error_as_json(code: &str, message: &str) -> Result<(), Fatal> {
    print_json(&json!({ "error": { "code": code, "message": message } }))
}

async fn load(settings: LoadSettings) -> Result<Report, LoadError> {
    let key = settings.key_file.map(|path| match std::fs::read_to_string(&path) {
        Ok(text) => Ok(text.trim().to_owned().into()),
        Err(error) => Err(LoadError::Setting {
            setting: "ONCEWARD_KEY_FILE",
            reason: format!("{}: {error}", path.display()),
        }),
    });
    loadgen::run(LoadConfig {
        key: key.transpose()?,
        rate: settings.rate,
        duration: settings.duration,
        wait: settings.wait,
        progress: !settings.json,
        interrupts: interrupts(),
        ..LoadConfig::new(settings.url, settings.posting_url)
    })
    .await
}

/// What the first and the second Ctrl-C or SIGTERM end. The third ends the program.
fn interrupts() -> Interrupts {
    let interrupts = Interrupts::default();
    let Interrupts { first, second } = interrupts.clone();
    let signals = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
    let (Ok(mut interrupt), Ok(mut terminate)) = signals else {
        tracing::warn!("signals cannot be received: they end the program without a report");
        return interrupts;
    };
    tokio::spawn(async move {
        for step in [Some(first), Some(second), None] {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            match step {
                Some(step) => step.cancel(),
                None => std::process::exit(130),
            }
        }
    });
    interrupts
}

fn print_json(value: &impl Serialize) -> Result<(), Fatal> {
    print(serde_json::to_string_pretty(value)?)
}
