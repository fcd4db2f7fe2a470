//! `onceward load`: the load generator and its audit.

use std::{process::ExitCode, time::Duration};

use clap::Args;
use loadgen::LoadConfig;

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
    /// Print the report as JSON
    #[arg(long)]
    pub json: bool,
}

/// Runs the load, prints the report, and returns its exit code.
pub async fn run(settings: LoadSettings) -> Result<ExitCode, Fatal> {
    let report = loadgen::run(LoadConfig {
        rate: settings.rate,
        duration: settings.duration,
        wait: settings.wait,
        progress: !settings.json,
        ..LoadConfig::new(settings.url, settings.posting_url)
    })
    .await?;
    if settings.json {
        print(serde_json::to_string_pretty(&report)?)?;
    } else {
        print(&report)?;
    }
    Ok(ExitCode::from(report.exit_code()))
}
