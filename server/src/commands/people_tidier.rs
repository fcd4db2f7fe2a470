//! Deletes what is out of date about people, while the web side runs.

use std::time::Duration;

use access::Access;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// Between two times.
const PAUSE: Duration = Duration::from_secs(600);

/// Tidies until it is stopped.
pub fn spawn(access: Access, stop: CancellationToken) {
    tokio::spawn(async move {
        while stop.run_until_cancelled(sleep(PAUSE)).await.is_some() {
            if let Err(error) = access.tidy_people().await {
                tracing::warn!(%error, "sessions that have ended could not be deleted");
            }
        }
    });
}
