//! `onceward load`.

use std::process::ExitCode;

use loadgen::LoadConfig;

use crate::{Fatal, commands::command_line::LoadSettings};

/// Runs the load, prints the report, and gives the exit code that it calls for.
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
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        println!("{report}");
    }
    Ok(ExitCode::from(report.exit_code()))
}
