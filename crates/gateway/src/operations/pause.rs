//! Pausing and resuming posting.

use domain::Actor;

use crate::{EngineError, Gateway};

impl Gateway {
    /// Pauses posting in every process, whose workers learn of it by the same commit: NOTIFY serialises
    /// commits, but these are rare. Attempts in flight continue. If posting is paused already, the
    /// earlier pause stays.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub async fn pause(&self, actor: &Actor, reason: Option<&str>) -> Result<(), EngineError> {
        sqlx::query!(
            "with paused as (
                insert into posting_pause (paused_by, reason) values ($1, $2)
                on conflict do nothing
                returning singleton
             )
             insert into audit (principal, kind, credential, address, request_id, action, object, reason)
             select $1, $3, $4, $5::text::inet, $6, 'pause', 'posting', $2 from paused
             returning pg_notify('onceward_pause', '')::text as announced",
            actor.principal.as_str(),
            reason,
            actor.kind.as_str(),
            actor.credential,
            actor.address_text(),
            actor.request_id,
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(())
    }

    /// Resumes posting in every process.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub async fn resume(&self, actor: &Actor, reason: Option<&str>) -> Result<(), EngineError> {
        sqlx::query!(
            "with resumed as (delete from posting_pause returning singleton)
             insert into audit (principal, kind, credential, address, request_id, action, object, reason)
             select $1, $3, $4, $5::text::inet, $6, 'resume', 'posting', $2 from resumed
             returning pg_notify('onceward_pause', '')::text as announced",
            actor.principal.as_str(),
            reason,
            actor.kind.as_str(),
            actor.credential,
            actor.address_text(),
            actor.request_id,
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(())
    }
}
