//! Pausing and resuming posting.

use domain::Principal;

use crate::{EngineError, Gateway};

impl Gateway {
    /// Pauses posting in every process, whose workers learn of it by the same commit: NOTIFY serialises
    /// commits, but these are rare. Attempts in flight continue. If posting is paused already, the
    /// earlier pause stays.
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
             insert into interventions (principal, action, reason) select $1, 'pause', $2 from paused
             returning pg_notify('onceward_pause', '')::text as announced",
            principal.as_str(),
            reason,
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(())
    }

    /// Resumes posting in every process.
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
             insert into interventions (principal, action, reason) select $1, 'resume', $2 from resumed
             returning pg_notify('onceward_pause', '')::text as announced",
            principal.as_str(),
            reason,
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(())
    }
}
