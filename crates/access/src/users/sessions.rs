//! Sessions: who is signed in, in which browser, and until when. A session's id is a secret in a cookie, its handle names
//! it. What changes a user's password or role ends the user's sessions in the same statement.

use std::{net::IpAddr, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use domain::{Actor, Caller, Principal, PrincipalKind, Role};
use sqlx::postgres::types::PgInterval;
use uuid::Uuid;

use super::{
    SecretToken,
    accounts::{NO_USER, role},
};
use crate::{Access, AccessError, recent::Recent};

/// How long sessions last, and who needs a second factor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionSettings {
    /// A session ends when it has not been used for as long.
    pub idle: Duration,
    /// A session ends this long after it has begun.
    pub lifetime: Duration,
    /// Users with these roles can do nothing until they have set up an authenticator app.
    pub totp_required: Vec<Role>,
}

impl Default for SessionSettings {
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(30 * 60),
            lifetime: Duration::from_secs(12 * 60 * 60),
            totp_required: Vec::new(),
        }
    }
}

/// A session that is valid, and its user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// What names it.
    pub handle: Uuid,
    /// The user's id.
    pub user_id: Uuid,
    /// The user's name.
    pub user: String,
    /// The user's role.
    pub role: Role,
    /// The user's own rate limit.
    pub rate_limit: Option<String>,
    /// When it ends at the latest.
    pub expires_at: DateTime<Utc>,
    /// Whether the user has an authenticator app.
    pub has_totp: bool,
    /// The user must set up an authenticator app before anything else.
    pub must_set_up_totp: bool,
}

impl Session {
    /// Its user as a caller. `None` while the user must set up an authenticator app: such a session is good for the
    /// page of the user's account alone.
    pub fn caller(&self, address: Option<IpAddr>, request_id: Option<String>) -> Option<Caller> {
        let actor = self.actor(address, request_id);
        (!self.must_set_up_totp).then_some(Caller { actor, role: self.role })
    }

    /// Its user as the audit records it.
    pub fn actor(&self, address: Option<IpAddr>, request_id: Option<String>) -> Actor {
        Actor {
            principal: Principal::named(self.user.clone()),
            kind: PrincipalKind::User,
            credential: Some(format!("session:{}", self.handle)),
            address,
            request_id,
        }
    }
}

/// A session as its owner sees it in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedSession {
    /// What names it.
    pub handle: Uuid,
    /// When its user signed in.
    pub created_at: DateTime<Utc>,
    /// When it was last used, to the minute.
    pub last_seen_at: DateTime<Utc>,
    /// When it ends at the latest.
    pub expires_at: DateTime<Utc>,
    /// From which address its user signed in.
    pub address: Option<String>,
    /// With which browser, as the browser says.
    pub user_agent: Option<String>,
}

/// The browser in which a session begins.
#[derive(Debug, Clone, Default)]
pub struct Visit {
    /// Its address.
    pub address: Option<IpAddr>,
    /// What it calls itself.
    pub user_agent: Option<String>,
    /// The id of its request, for the audit.
    pub request_id: Option<String>,
}

/// The longest description of a browser that is kept, in characters.
const MAX_USER_AGENT_CHARS: usize = 200;

impl Visit {
    /// What is stored of the browser's name.
    pub(super) fn browser(&self) -> Option<String> {
        let name = self.user_agent.as_ref()?;
        Some(name.chars().filter(|c| !c.is_control()).take(MAX_USER_AGENT_CHARS).collect())
    }
}

/// Sessions that were read within the last half second, by the hashes of their ids, and by whether the reading counts as
/// their use.
pub(crate) type SessionCache = Recent<([u8; 32], bool), Option<Arc<Session>>>;

impl Access {
    /// The session with this id, if it is valid; this counts as its use. What was read within the last half second is
    /// not read again.
    ///
    /// # Errors
    /// See [`AccessError`].
    pub async fn session(&self, id: &SecretToken) -> Result<Option<Arc<Session>>, AccessError> {
        self.recent_session(id, true).await
    }

    /// The same for what a session has begun and what goes on by itself, such as a stream: this does not count as a use,
    /// so the session ends when its user is idle.
    ///
    /// # Errors
    /// See [`AccessError`].
    pub async fn unused_session(
        &self,
        id: &SecretToken,
    ) -> Result<Option<Arc<Session>>, AccessError> {
        self.recent_session(id, false).await
    }

    async fn recent_session(
        &self,
        id: &SecretToken,
        is_use: bool,
    ) -> Result<Option<Arc<Session>>, AccessError> {
        let hash = id.sha256();
        let read = async || self.read_session(&hash, is_use).await;
        self.people.sessions.get_or_read(&(hash, is_use), read).await
    }

    async fn read_session(
        &self,
        id_sha256: &[u8],
        is_use: bool,
    ) -> Result<Option<Arc<Session>>, AccessError> {
        let row = sqlx::query!(
            r#"with live as (
                select s.id_sha256, s.handle, s.expires_at, s.last_seen_at, p.id, p.name, p.role,
                    p.rate_limit, u.totp_confirmed_at
                from sessions s
                join users u on u.id = s.user_id
                join principals p on p.id = s.user_id
                where s.id_sha256 = $1 and s.expires_at > now() and s.last_seen_at > now() - $2::interval
                    and p.disabled_at is null
            ), seen as (
                update sessions s set last_seen_at = now()
                from live
                where $3 and s.id_sha256 = live.id_sha256 and s.last_seen_at < now() - interval '1 minute'
            )
            select handle, expires_at, id, name, role, rate_limit,
                totp_confirmed_at is not null as "has_totp!"
            from live"#,
            id_sha256,
            interval(self.people.settings.idle)?,
            is_use,
        )
        .fetch_optional(&self.pool)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let role = role(&row.role)?;
        Ok(Some(Arc::new(Session {
            handle: row.handle,
            user_id: row.id,
            user: row.name,
            role,
            rate_limit: row.rate_limit,
            expires_at: row.expires_at,
            has_totp: row.has_totp,
            must_set_up_totp: !row.has_totp && self.people.settings.totp_required.contains(&role),
        })))
    }

    /// The sessions of the user with this name that have not ended, the newest first.
    ///
    /// # Errors
    /// See [`AccessError`].
    pub async fn sessions(&self, user: &str) -> Result<Vec<ListedSession>, AccessError> {
        let rows = sqlx::query_as!(
            ListedSession,
            "select s.handle, s.created_at, s.last_seen_at, s.expires_at, host(s.address) as address, s.user_agent
             from sessions s join principals p on p.id = s.user_id
             where p.name = $1 and s.expires_at > now() and s.last_seen_at > now() - $2::interval
             order by s.created_at desc, s.handle",
            user,
            interval(self.people.settings.idle)?,
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows)
    }

    /// Ends a session of the user with this name, or of anyone: at once in this process, within a second in the others.
    ///
    /// # Errors
    /// [`AccessError::NotFound`] if there is no such session.
    pub async fn end_session(
        &self,
        actor: &Actor,
        user: Option<&str>,
        handle: Uuid,
    ) -> Result<(), AccessError> {
        let ended = sqlx::query!(
            "with ended as (
                delete from sessions s using principals p
                where p.id = s.user_id and ($1::text is null or p.name = $1) and s.handle = $2
                returning s.handle
             )
             insert into audit (principal, kind, credential, address, request_id, action, object)
             select $3, $4, $5, $6::text::inet, $7, 'sign_out', 'session:' || handle from ended",
            user,
            handle,
            actor.principal.as_str(),
            actor.kind.as_str(),
            actor.credential,
            actor.address_text(),
            actor.request_id,
        )
        .execute(&self.pool)
        .await?;
        self.people.sessions.forget();
        match ended.rows_affected() {
            0 => Err(AccessError::NotFound("session with this handle")),
            _ => Ok(()),
        }
    }

    /// Ends all sessions of a user but one, if any. Returns how many.
    ///
    /// # Errors
    /// See [`AccessError`].
    pub async fn end_sessions(
        &self,
        actor: &Actor,
        user_id: Uuid,
        except: Option<Uuid>,
    ) -> Result<u64, AccessError> {
        let ended = sqlx::query!(
            "with ended as (
                delete from sessions where user_id = $1 and handle is distinct from $2 returning handle
             )
             insert into audit (principal, kind, credential, address, request_id, action, object)
             select $3, $4, $5, $6::text::inet, $7, 'sign_out', 'session:' || handle from ended",
            user_id,
            except,
            actor.principal.as_str(),
            actor.kind.as_str(),
            actor.credential,
            actor.address_text(),
            actor.request_id,
        )
        .execute(&self.pool)
        .await?;
        self.people.sessions.forget();
        Ok(ended.rows_affected())
    }

    /// Ends all sessions of the user with this name.
    ///
    /// # Errors
    /// [`AccessError::NotFound`].
    pub async fn end_sessions_of(&self, actor: &Actor, name: &str) -> Result<(), AccessError> {
        let user = sqlx::query_scalar!(
            "with target as (
                select u.id from users u join principals p on p.id = u.id where p.name = $1
             ), ended as (
                delete from sessions s using target where s.user_id = target.id
                returning s.handle
             ), recorded as (
                insert into audit (principal, kind, credential, address, request_id, action, object)
                select $2, $3, $4, $5::text::inet, $6, 'sign_out', 'session:' || handle from ended
             )
             select id from target",
            name,
            actor.principal.as_str(),
            actor.kind.as_str(),
            actor.credential,
            actor.address_text(),
            actor.request_id,
        )
        .fetch_optional(&self.pool)
        .await?;
        self.people.sessions.forget();
        user.map(|_| ()).ok_or(AccessError::NotFound(NO_USER))
    }
}

/// A duration as PostgreSQL takes it.
pub(super) fn interval(duration: Duration) -> Result<PgInterval, sqlx::Error> {
    PgInterval::try_from(duration).map_err(sqlx::Error::Encode)
}
