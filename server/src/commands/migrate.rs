//! `onceward migrate`: brings the schema up to date as its owner, so that the other commands need no more than the
//! rights to read and write.

use std::{path::PathBuf, process::ExitCode};

use clap::Args;
use gateway::database::{self, Schema, ServingRole};
use tokio_util::sync::CancellationToken;

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
    /// The schema of Onceward's tables; it is created if it does not exist. Unset: where PostgreSQL creates tables,
    /// which usually is public
    #[arg(long, env = "ONCEWARD_SCHEMA", value_name = "ONCEWARD_SCHEMA")]
    pub schema: Option<Schema>,
    /// The role as which the other commands connect. It gets the rights to read and write that they need, but can only
    /// add to the audit. Unset: no rights change
    #[arg(long, env = "ONCEWARD_SERVING_ROLE", value_name = "ONCEWARD_SERVING_ROLE")]
    pub serving_role: Option<ServingRole>,
    /// The folder of Onceward's own PostgreSQL
    #[arg(long, env = "ONCEWARD_DATA", value_name = "ONCEWARD_DATA", default_value = "./data")]
    pub data: PathBuf,
}

/// Waits for the database, migrates it, and exits.
///
/// # Errors
/// If it cannot be migrated.
pub async fn run(settings: MigrateSettings) -> Result<ExitCode, Fatal> {
    let StopSignals { stop, .. } = StopSignals::listen(true)?;
    let migrated = match &settings.database_url {
        Some(url) => migrate(url, &settings, &stop).await?,
        None => migrate_own(&settings, &stop).await?,
    };
    if !migrated {
        return Ok(ExitCode::from(ENDED_AT_ONCE));
    }
    print("The schema is up to date.")?;
    Ok(ExitCode::SUCCESS)
}

/// Migrates the database at `url`, and gives the serving role its rights. Returns false if `stop` comes first.
async fn migrate(
    url: &str,
    settings: &MigrateSettings,
    stop: &CancellationToken,
) -> Result<bool, Fatal> {
    let schema = settings.schema.as_ref();
    if !prepare(url, schema, stop, |_| ()).await? {
        return Ok(false);
    }
    if let Some(role) = &settings.serving_role {
        let options = database::options(url).map_err(|error| format!("DATABASE_URL: {error}"))?;
        database::grant_serving(&options, schema, role, false)
            .await
            .map_err(|error| format!("ONCEWARD_SERVING_ROLE: {error}"))?;
    }
    Ok(true)
}

/// The same for the database of Onceward's own PostgreSQL, which runs meanwhile.
async fn migrate_own(settings: &MigrateSettings, stop: &CancellationToken) -> Result<bool, Fatal> {
    let Some(own_postgres) = OwnPostgres::start(&settings.data, stop).await? else {
        return Ok(false);
    };
    let url = own_postgres.url();
    let done = CancellationToken::new();
    let migrating = async {
        let _done = done.clone().drop_guard();
        migrate(&url, settings, stop).await
    };
    let (migrated, supervised) = tokio::join!(migrating, own_postgres.supervise(stop, &done));
    supervised.map_err(|error| format!("Onceward's own PostgreSQL: {error}"))?;
    migrated
}
