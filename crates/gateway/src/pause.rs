//! Pausing all posting, how posting stands, and what every worker knows of it.

use std::time::Duration;

use domain::{Circuits, Pause, PostingStatus, Principal};
use tokio::time::sleep;

use crate::{EngineError, Gateway, bounded_pool::BoundedPool, gate::Gate};

/// How often a worker looks. Claims obey at once; this keeps a worker from fetching what it may not
/// claim, and lets it go on.
const LOOK: Duration = Duration::from_millis(200);

impl Gateway {
    /// Pauses posting, in every process. Attempts under way go on. Where it is paused already, that
    /// pause stays.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub async fn pause(
        &self,
        principal: &Principal,
        reason: Option<&str>,
    ) -> Result<(), EngineError> {
        sqlx::query!(
            "with paused as (
                insert into posting_pause (paused_by, reason) values ($1, $2)
                on conflict do nothing
                returning singleton
             )
             insert into interventions (principal, action, reason) select $1, 'pause', $2 from paused",
            principal.as_str(),
            reason,
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Lets posting go on, in every process.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub async fn resume(
        &self,
        principal: &Principal,
        reason: Option<&str>,
    ) -> Result<(), EngineError> {
        sqlx::query!(
            "with resumed as (delete from posting_pause returning singleton)
             insert into interventions (principal, action, reason) select $1, 'resume', $2 from resumed",
            principal.as_str(),
            reason,
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// How posting as a whole stands.
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
            count(*) filter (where circuit = 'half_open') as "half_open!"
        from workers where expires_at > clock_timestamp()"#
    )
    .fetch_one(pool)
    .await?;
    let paused = sqlx::query_as!(Pause, "select paused_at, paused_by, reason from posting_pause")
        .fetch_optional(pool)
        .await?;
    let [closed, open, half_open] =
        [row.closed, row.open, row.half_open].map(|count| count.try_into().unwrap_or(u32::MAX));
    Ok(PostingStatus { paused, circuits: Circuits { closed, open, half_open } })
}

/// Keeps the gate as the table says, for ever.
pub async fn obey(pool: &BoundedPool, gate: &Gate) {
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
