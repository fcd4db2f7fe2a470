//! What every worker knows of the pause.

use std::time::Duration;

use tokio::time::sleep;

use crate::{database::bounded_pool::BoundedPool, posting::admission::Admission};

/// How often a worker looks. Claims follow at once; this keeps a worker from fetching what it may not
/// claim, and lets it go on.
const LOOK: Duration = Duration::from_millis(200);

/// Keeps the gate as the table says, for ever.
pub async fn follow(pool: &BoundedPool, gate: &Admission) {
    loop {
        match sqlx::query_scalar!(r#"select exists (select from posting_pause) as "paused!""#)
            .fetch_one(pool)
            .await
        {
            Ok(paused) => gate.set_paused(paused),
            Err(error) => tracing::debug!(%error, "whether posting is paused is not known"),
        }
        sleep(LOOK).await;
    }
}
