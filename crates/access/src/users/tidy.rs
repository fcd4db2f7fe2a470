//! Deleting what is out of date. Nothing depends on it but the size of the tables.

use super::sessions::interval;
use crate::{Access, AccessError};

impl Access {
    /// Deletes sessions, links and known devices that are no longer valid, and failed sign-ins that no longer count.
    ///
    /// # Errors
    /// See [`AccessError`].
    pub async fn tidy_people(&self) -> Result<(), AccessError> {
        sqlx::query!(
            "with ended as (
                delete from sessions
                where expires_at < now() or last_seen_at < now() - $1::interval
             ), links as (
                delete from one_time_links where expires_at < now()
             ), devices as (
                delete from known_devices where expires_at < now()
             )
             delete from sign_in_failures where last_failed_at < now() - interval '1 day'",
            interval(self.people.settings.idle)?,
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}
