//! Preparing the database at the start: waiting until it answers, and bringing its schema up to date.

use std::time::Duration;

use gateway::database::{self, Schema};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::fatal::Fatal;

/// The delay between two tries.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// Prepares the database at `url`, with Onceward's tables in `schema`, and tries again for as long as it cannot be reached. `report` is given what the
/// program waits for. Returns false if `stop` comes first; a migration in progress is then rolled back.
///
/// # Errors
/// If waiting cannot help.
pub async fn prepare(
    url: &str,
    schema: Option<&Schema>,
    stop: &CancellationToken,
    report: impl Fn(String),
) -> Result<bool, Fatal> {
    let options = database::options(url).map_err(|error| format!("DATABASE_URL: {error}"))?;
    report("the database is being prepared".to_owned());
    loop {
        match stop.run_until_cancelled(database::prepare(&options, schema)).await {
            None => return Ok(false),
            Some(Ok(())) => return Ok(true),
            Some(Err(error)) if error.retryable() => {
                tracing::warn!(%error, "waiting for the database");
                report(format!("waiting for the database: {error}"));
            }
            Some(Err(error)) => return Err(error.into()),
        }
        if stop.run_until_cancelled(sleep(RETRY_DELAY)).await.is_none() {
            return Ok(false);
        }
    }
}
