//! `onceward migrate`: brings the schema up to date as its owner, so that the other commands need no more than the
//! rights to read and write.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Args;
use gateway::database::Schema;
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
    let schema = settings.schema.as_ref();
    let prepared = match &settings.database_url {
        Some(url) => prepare(url, schema, &stop, |_| ()).await?,
        None => prepare_own(&settings.data, schema, &stop).await?,
    };
    if !prepared {
        return Ok(ExitCode::from(ENDED_AT_ONCE));
    }
    print("The schema is up to date.")?;
    Ok(ExitCode::SUCCESS)
}

/// Prepares the database of Onceward's own PostgreSQL, which runs meanwhile. Returns false if `stop` comes first.
async fn prepare_own(
    data: &Path,
    schema: Option<&Schema>,
    stop: &CancellationToken,
) -> Result<bool, Fatal> {
    let Some(own_postgres) = OwnPostgres::start(data, stop).await? else { return Ok(false) };
    let url = own_postgres.url();
    let done = CancellationToken::new();
    let preparing = async {
        let _done = done.clone().drop_guard();
        prepare(&url, schema, stop, |_| ()).await
    };
    let (prepared, supervised) = tokio::join!(preparing, own_postgres.supervise(stop, &done));
    supervised.map_err(|error| format!("Onceward's own PostgreSQL: {error}"))?;
    prepared
}
