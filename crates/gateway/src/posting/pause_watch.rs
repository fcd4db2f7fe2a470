//! Keeps a worker's admission control in step with the pause in the database.

use std::time::Duration;

use tokio::time::sleep;

use super::admission::Admission;
use crate::database::BoundedPool;

/// How often a worker polls. Claims respect a pause immediately; polling keeps a worker from fetching jobs
/// that it may not claim, and lets it resume.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// Polls the pause for ever.
pub async fn follow(pool: &BoundedPool, admission: &Admission) {
    loop {
        match sqlx::query_scalar!(r#"select exists (select from posting_pause) as "paused!""#)
            .fetch_one(pool)
            .await
        {
            Ok(paused) => admission.set_paused(paused),
            Err(error) => tracing::debug!(%error, "could not read whether posting is paused"),
        }
        sleep(POLL_INTERVAL).await;
    }
}
