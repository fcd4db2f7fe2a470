//! `onceward migrate`: brings the schema up to date as its owner, so that the other commands need no more than the
//! rights to read and write.

use std::{path::PathBuf, process::ExitCode};

use clap::Args;

use super::{
    fatal::Fatal,
    prepare::prepare,
    print::print,
    stop_signal::{ENDED_AT_ONCE, StopSignals},
};
use crate::own_postgres::OwnPostgres;

/// Settings of `migrate`.
#[derive(Debug, Clone, Args)]
pub struct MigrateSettings {
    /// The PostgreSQL to migrate, as the owner of its tables. Unset: Onceward's own under ONCEWARD_DATA
    #[arg(long, env = "DATABASE_URL", value_name = "DATABASE_URL", hide_env_values = true)]
    pub database_url: Option<String>,
    /// The folder of Onceward's own PostgreSQL
    #[arg(long, env = "ONCEWARD_DATA", value_name = "ONCEWARD_DATA", default_value = "./data")]
    pub data: PathBuf,
}

/// Waits for the database, migrates it, and exits.
///
/// # Errors
/// If it cannot be migrated.
pub async fn run(settings: MigrateSettings) -> Result<ExitCode, Fatal> {
    let StopSignals { stop, .. } = StopSignals::listen()?;
    let own_postgres = match &settings.database_url {
        Some(_) => None,
        None => Some(OwnPostgres::start(&settings.data).await?),
    };
    let own_url = own_postgres.as_ref().map(OwnPostgres::url);
    let url = settings.database_url.or(own_url).unwrap_or_default();
    let prepared = prepare(&url, &stop, |_| ()).await;
    if let Some(own_postgres) = own_postgres {
        own_postgres.stop().await;
    }
    if !prepared? {
        return Ok(ExitCode::from(ENDED_AT_ONCE));
    }
    print("The schema is up to date.")?;
    Ok(ExitCode::SUCCESS)
}
