//! The posting status: the pause and the circuit breakers.

use domain::{Circuits, Pause, PostingStatus};

use crate::{EngineError, Gateway, database::BoundedPool};

impl Gateway {
    /// Whether posting is paused, and the circuit breakers of the live workers.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub async fn posting(&self) -> Result<PostingStatus, EngineError> {
        posting(&self.pool).await
    }
}

pub async fn posting(pool: &BoundedPool) -> Result<PostingStatus, EngineError> {
    let row = sqlx::query!(
        r#"select
            count(*) filter (where circuit = 'closed') as "closed!",
            count(*) filter (where circuit = 'open') as "open!",
            count(*) filter (where circuit = 'half_open') as "half_open!",
            count(*) filter (where circuit <> 'closed' and credentials_refused)
                as "credentials_refused!"
        from workers where expires_at > clock_timestamp()"#
    )
    .fetch_one(pool)
    .await?;
    let paused = sqlx::query_as!(Pause, "select paused_at, paused_by, reason from posting_pause")
        .fetch_optional(pool)
        .await?;
    let [closed, open, half_open, credentials_refused] =
        [row.closed, row.open, row.half_open, row.credentials_refused]
            .map(|count| count.try_into().unwrap_or(u32::MAX));
    let circuits = Circuits { closed, open, half_open, credentials_refused };
    Ok(PostingStatus { paused, circuits })
}
