//! One-time links, with which a user sets a password: the first administrator, a new user, or after a reset. A link does
//! not sign in, so an authenticator app is still asked for.

use chrono::{DateTime, Utc};
use domain::{Actor, PrincipalKind};
use uuid::Uuid;

use super::{NewPassword, SecretToken, Visit, accounts::NO_USER};
use crate::{Access, AccessError};

/// How long a link is valid, in hours.
pub const LINK_LIFETIME_HOURS: i32 = 24;

/// Whom a link belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkOwner {
    /// The user's id.
    pub user_id: Uuid,
    /// The user's name.
    pub user: String,
    /// Until when it is valid.
    pub expires_at: DateTime<Utc>,
}

impl Access {
    /// Makes a link for a user; earlier ones are no longer valid. The password so far is, until the link is used.
    ///
    /// # Errors
    /// [`AccessError::NotFound`] if there is no such user, or it is disabled.
    pub async fn create_link(&self, actor: &Actor, name: &str) -> Result<SecretToken, AccessError> {
        let token = SecretToken::random();
        let created = sqlx::query!(
            "with target as (
                select id from principals where name = $1 and kind = 'user' and disabled_at is null
             ), earlier as (
                delete from one_time_links l using target where l.user_id = target.id
             ), recorded as (
                insert into audit (principal, kind, credential, address, request_id, action, object, after)
                select $4, $5, $6, $7::text::inet, $8, 'reset_password', 'user:' || $1,
                    json_build_object('link', true)
                from target
             )
             insert into one_time_links (token_sha256, user_id, expires_at)
             select $2, id, now() + make_interval(hours => $3) from target",
            name,
            &token.sha256()[..],
            LINK_LIFETIME_HOURS,
            actor.principal.as_str(),
            actor.kind.as_str(),
            actor.credential,
            actor.address_text(),
            actor.request_id,
        )
        .execute(&self.pool)
        .await?;
        match created.rows_affected() {
            0 => Err(AccessError::NotFound(NO_USER)),
            _ => Ok(token),
        }
    }

    /// Whom a link belongs to, if it is valid.
    ///
    /// # Errors
    /// See [`AccessError`].
    pub async fn link_owner(&self, token: &SecretToken) -> Result<Option<LinkOwner>, AccessError> {
        let owner = sqlx::query_as!(
            LinkOwner,
            r#"select l.user_id, p.name as "user", l.expires_at
             from one_time_links l join principals p on p.id = l.user_id
             where l.token_sha256 = $1 and l.used_at is null and l.expires_at > now()
                and p.disabled_at is null"#,
            &token.sha256()[..],
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(owner)
    }

    /// Uses a link up: sets its user's password, and ends everything that the old one opened.
    ///
    /// # Errors
    /// [`AccessError::NotFound`] if the link is used or no longer valid.
    pub async fn use_link(
        &self,
        token: &SecretToken,
        password: NewPassword,
        visit: &Visit,
    ) -> Result<(), AccessError> {
        let hash = self.people.hashing.hash(password).await?;
        let used = sqlx::query_scalar!(
            "with used as (
                update one_time_links l set used_at = now()
                from principals p
                where l.token_sha256 = $1 and l.used_at is null and l.expires_at > now()
                    and p.id = l.user_id and p.disabled_at is null
                returning l.user_id, p.name
             ), ended as (
                delete from sessions s using used where s.user_id = used.user_id
             ), forgotten as (
                delete from known_devices d using used where d.user_id = used.user_id
             ), recorded as (
                insert into audit (principal, kind, address, request_id, action, object)
                select name, $3, $4::text::inet, $5, 'change_password', 'user:' || name from used
             )
             update users u set password_hash = $2, password_changed_at = now()
             from used where u.id = used.user_id
             returning u.id",
            &token.sha256()[..],
            hash,
            PrincipalKind::User.as_str(),
            visit.address.map(|address| address.to_string()),
            visit.request_id,
        )
        .fetch_optional(&self.pool)
        .await?;
        if used.is_some() {
            self.people.sessions.forget();
        }
        used.map(|_| ()).ok_or(AccessError::NotFound("valid link like this"))
    }
}
