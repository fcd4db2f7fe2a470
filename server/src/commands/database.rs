//! The database of the commands that administer: `client`, `user`, `audit`. They work beside a running Onceward, and
//! without one.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use clap::Args;
use gateway::database::{self, PrepareError, Schema, WORKER_ACQUIRE_TIMEOUT};
use sqlx::PgPool;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{fatal::Fatal, stop_signal::StopSignals};
use crate::own_postgres::{OwnPostgres, OwnPostgresError, running_url};

/// Connections of a command.
const CONNECTIONS: u32 = 2;
/// How long a command waits for the PostgreSQL of an Onceward that is just starting.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// Between two tries.
const RETRY_DELAY: Duration = Duration::from_millis(200);

/// Where a command finds the database.
#[derive(Debug, Clone, Args)]
pub struct DatabaseSettings {
    /// The PostgreSQL that Onceward uses. Unset: its own under ONCEWARD_DATA, whether Onceward is running or not
    #[arg(
        long,
        global = true,
        env = "DATABASE_URL",
        value_name = "DATABASE_URL",
        hide_env_values = true
    )]
    pub database_url: Option<String>,
    /// The schema of Onceward's tables
    #[arg(long, global = true, env = "ONCEWARD_SCHEMA", value_name = "ONCEWARD_SCHEMA")]
    pub schema: Option<Schema>,
    /// The folder of Onceward's own PostgreSQL
    #[arg(
        long,
        global = true,
        env = "ONCEWARD_DATA",
        value_name = "ONCEWARD_DATA",
        default_value = "./data"
    )]
    pub data: PathBuf,
}

impl DatabaseSettings {
    /// Does something with the migrated database. Onceward's own PostgreSQL is started for it, and stopped afterwards,
    /// unless it is running.
    ///
    /// # Errors
    /// If the database cannot be reached or prepared; otherwise what `work` returns.
    pub async fn run<T>(
        &self,
        work: impl AsyncFnOnce(PgPool) -> Result<T, Fatal>,
    ) -> Result<T, Fatal> {
        let StopSignals { stop, .. } = StopSignals::listen(true)?;
        let schema = self.schema.as_ref();
        match &self.database_url {
            Some(url) => {
                let worked = stop.run_until_cancelled(on(url, schema, Instant::now(), work));
                worked.await.unwrap_or_else(stopped)
            }
            None => on_own(&self.data, schema, &stop, work).await,
        }
    }
}

/// Works on the database at `url`. Until `deadline`, it may still be starting.
async fn on<T>(
    url: &str,
    schema: Option<&Schema>,
    deadline: Instant,
    work: impl AsyncFnOnce(PgPool) -> Result<T, Fatal>,
) -> Result<T, Fatal> {
    let unusable = |error| format!("DATABASE_URL: {error}");
    let options = database::options(url).map_err(unusable)?;
    loop {
        match database::prepare(&options, schema).await {
            Ok(()) => break,
            Err(error) if PrepareError::retryable(&error) && Instant::now() < deadline => {
                sleep(RETRY_DELAY).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
    let pool =
        database::pool(url, schema, CONNECTIONS, WORKER_ACQUIRE_TIMEOUT).map_err(unusable)?;
    let result = work(pool.clone()).await;
    pool.close().await;
    result
}

/// Works on the database of Onceward's own PostgreSQL.
async fn on_own<T>(
    data: &Path,
    schema: Option<&Schema>,
    stop: &CancellationToken,
    work: impl AsyncFnOnce(PgPool) -> Result<T, Fatal>,
) -> Result<T, Fatal> {
    let Some(alone) = stop.run_until_cancelled(lock(data)).await else { return stopped() };
    let _alone = alone.map_err(|error| format!("ONCEWARD_DATA: {}: {error}", data.display()))?;
    let own_postgres = match OwnPostgres::start(data, stop).await {
        Ok(Some(own_postgres)) => own_postgres,
        Ok(None) => return stopped(),
        // Onceward is running: its PostgreSQL is there, or will be in a moment.
        Err(OwnPostgresError::InUse(_)) => {
            let url = running_url(data)?;
            let deadline = Instant::now() + START_TIMEOUT;
            let worked = stop.run_until_cancelled(on(&url, schema, deadline, work));
            return worked.await.unwrap_or_else(stopped);
        }
        Err(error) => return Err(error.into()),
    };
    let (url, done) = (own_postgres.url(), CancellationToken::new());
    let working = async {
        let _done = done.clone().drop_guard();
        let worked = stop.run_until_cancelled(on(&url, schema, Instant::now(), work));
        worked.await.unwrap_or_else(stopped)
    };
    let (worked, supervised) = tokio::join!(working, own_postgres.supervise(stop, &done));
    supervised.map_err(|error| format!("Onceward's own PostgreSQL: {error}"))?;
    worked
}

fn stopped<T>() -> Result<T, Fatal> {
    Err("stopped by a signal".into())
}

/// One command at a time: the first one that starts PostgreSQL also stops it.
async fn lock(data: &Path) -> std::io::Result<File> {
    let data = data.to_path_buf();
    let locking = tokio::task::spawn_blocking(move || {
        fs::create_dir_all(&data)?;
        let file =
            File::options().create(true).append(true).open(data.join("onceward-command.lock"))?;
        file.lock().map(|()| file)
    });
    locking.await.map_err(std::io::Error::other)?
}
