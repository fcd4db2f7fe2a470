//! Users' accounts: creating, listing, changing the role or the password, disabling. What changes what a user may do
//! ends the user's sessions in the same statement.

use chrono::{DateTime, Utc};
use domain::{Actor, PrincipalKind, Role};
use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;

use super::{
    SecretToken, Session, Visit,
    password::{Lane, NewPassword, Verified},
    sessions::interval,
    sign_in::{Refusal, SignedIn},
    throttle::{Admission, Subjects},
};
use crate::{Access, AccessError, principals::check_name};

/// A user as pages and commands list it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Its id.
    pub id: Uuid,
    /// Its name.
    pub name: String,
    /// Its role.
    pub role: Role,
    /// Whether it has a password; otherwise it needs a one-time link.
    pub has_password: bool,
    /// Whether it has an authenticator app.
    pub has_totp: bool,
    /// How many sessions it has.
    pub sessions: i64,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// Since when it may do nothing.
    pub disabled_at: Option<DateTime<Utc>>,
}

impl Access {
    /// Creates a user and returns its id. Without a password, it needs a one-time link.
    ///
    /// # Errors
    /// [`AccessError::Invalid`] or [`AccessError::NameTaken`].
    pub async fn create_user(
        &self,
        actor: &Actor,
        name: &str,
        role: Role,
        password: Option<NewPassword>,
    ) -> Result<Uuid, AccessError> {
        check_name(name)?;
        let id = Uuid::now_v7();
        let hash = match password {
            Some(password) => Some(self.people.hashing.hash(password).await?),
            None => None,
        };
        let created = sqlx::query!(
            "with principal as (
                insert into principals (id, name, kind, role) values ($1, $2, 'user', $3)
             ), recorded as (
                insert into audit (principal, kind, credential, address, request_id, action, object, after)
                values ($5, $6, $7, $8::text::inet, $9, 'create', 'user:' || $2, json_build_object('role', $3::text))
             )
             insert into users (id, password_hash, password_changed_at)
             values ($1, $4, case when $4::text is not null then now() end)",
            id,
            name,
            role.as_str(),
            hash,
            actor.principal.as_str(),
            actor.kind.as_str(),
            actor.credential,
            actor.address_text(),
            actor.request_id,
        )
        .execute(&self.pool)
        .await;
        match created {
            Err(sqlx::Error::Database(error)) if error.is_unique_violation() => {
                Err(AccessError::NameTaken)
            }
            created => Ok(created.map(|_| id)?),
        }
    }

    /// Every user, by name.
    ///
    /// # Errors
    /// See [`AccessError`].
    pub async fn users(&self) -> Result<Vec<User>, AccessError> {
        self.read_users(None).await
    }

    /// The user with this id.
    ///
    /// # Errors
    /// See [`AccessError`].
    pub async fn user(&self, id: Uuid) -> Result<Option<User>, AccessError> {
        Ok(self.read_users(Some(id)).await?.pop())
    }

    async fn read_users(&self, id: Option<Uuid>) -> Result<Vec<User>, AccessError> {
        let rows = sqlx::query!(
            r#"select p.id, p.name, p.role, u.password_hash is not null as "has_password!",
                u.totp_confirmed_at is not null as "has_totp!", p.created_at, p.disabled_at,
                (select count(*) from sessions s
                 where s.user_id = u.id and s.expires_at > now()
                    and s.last_seen_at > now() - $1::interval) as "sessions!"
             from users u join principals p on p.id = u.id
             where $2::uuid is null or u.id = $2
             order by p.name"#,
            interval(self.people.settings.idle)?,
            id,
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                Ok(User {
                    id: row.id,
                    role: role(&row.role)?,
                    name: row.name,
                    has_password: row.has_password,
                    has_totp: row.has_totp,
                    sessions: row.sessions,
                    created_at: row.created_at,
                    disabled_at: row.disabled_at,
                })
            })
            .collect()
    }

    /// Changes a user: its role, and whether it is disabled. What is `None` stays as it is. Another role and disabling end
    /// its sessions.
    ///
    /// # Errors
    /// [`AccessError::NotFound`]; [`AccessError::LastAdmin`] if no other administrator could sign in.
    pub async fn change_user(
        &self,
        actor: &Actor,
        name: &str,
        role: Option<Role>,
        disabled: Option<bool>,
    ) -> Result<(), AccessError> {
        // All administrators are locked, so that two of them who take the role from each other leave one.
        let is_last = sqlx::query_scalar!(
            r#"with locked as materialized (
                select p.id, p.name, p.role, p.disabled_at, u.password_hash is not null as has_password
                from principals p join users u on u.id = p.id
                where p.name = $1 or p.role = 'admin'
                order by p.id for update of p
            ), target as (
                select id, name, role, disabled_at,
                    role = 'admin' and disabled_at is null and ($2::text <> 'admin' or $3::boolean) is true
                    and not exists (
                        select from locked other
                        where other.role = 'admin' and other.disabled_at is null and other.has_password
                            and other.name <> $1
                    ) as is_last
                from locked where name = $1
            ), changed as (
                update principals p set
                    role = coalesce($2, p.role),
                    disabled_at = case $3
                        when true then coalesce(p.disabled_at, now())
                        when false then null
                        else p.disabled_at end
                from target where p.id = target.id and not target.is_last
                returning p.id, p.role, p.disabled_at
            ), ended as (
                delete from sessions s using changed, target
                where s.user_id = changed.id and (changed.role <> target.role or changed.disabled_at is not null)
            ), unused as (
                delete from one_time_links l using changed
                where l.user_id = changed.id and changed.disabled_at is not null
            ), recorded as (
                insert into audit (principal, kind, credential, address, request_id, action, object, before, after)
                select $4, $5, $6, $7::text::inet, $8, act.action, 'user:' || target.name, act.before, act.after
                from target, changed, lateral (values
                    ('set_role', target.role <> changed.role,
                        json_build_object('role', target.role), json_build_object('role', changed.role)),
                    ('disable', target.disabled_at is null and changed.disabled_at is not null, null, null),
                    ('enable', target.disabled_at is not null and changed.disabled_at is null, null, null)
                ) as act (action, is_done, before, after)
                where act.is_done
            )
            select is_last as "is_last!" from target"#,
            name,
            role.map(Role::as_str),
            disabled,
            actor.principal.as_str(),
            actor.kind.as_str(),
            actor.credential,
            actor.address_text(),
            actor.request_id,
        )
        .fetch_optional(&self.pool)
        .await?;
        self.people.sessions.forget();
        match is_last {
            None => Err(AccessError::NotFound(NO_USER)),
            Some(true) => Err(AccessError::LastAdmin),
            Some(false) => Ok(()),
        }
    }

    /// Sets a user's password, and ends everything that the old one opened: sessions, links, known devices.
    ///
    /// # Errors
    /// [`AccessError::NotFound`].
    pub async fn set_user_password(
        &self,
        actor: &Actor,
        name: &str,
        password: NewPassword,
    ) -> Result<(), AccessError> {
        let hash = self.people.hashing.hash(password).await?;
        let changed = sqlx::query!(
            r#"with changed as (
                update users u set password_hash = $2, password_changed_at = now()
                from principals p where p.id = u.id and p.name = $1
                returning u.id
            ), ended as (
                delete from sessions using changed where user_id = changed.id
            ), forgotten as (
                delete from known_devices d using changed where d.user_id = changed.id
            ), unused as (
                delete from one_time_links l using changed where l.user_id = changed.id
            ), recorded as (
                insert into audit (principal, kind, credential, address, request_id, action, object)
                select $3, $4, $5, $6::text::inet, $7, 'reset_password', 'user:' || $1 from changed
            )
            select id from changed"#,
            name,
            hash,
            actor.principal.as_str(),
            actor.kind.as_str(),
            actor.credential,
            actor.address_text(),
            actor.request_id,
        )
        .fetch_optional(&self.pool)
        .await?;
        self.people.sessions.forget();
        changed.map(|_| ()).ok_or(AccessError::NotFound(NO_USER))
    }

    /// Changes the password of a user who is signed in and knows the present one. Ends all of the user's sessions, and
    /// begins a new one.
    ///
    /// # Errors
    /// See [`AccessError`]; a present password that is wrong is a [`Refusal`].
    pub async fn change_password(
        &self,
        session: &Session,
        present: &SecretString,
        new: NewPassword,
        visit: &Visit,
    ) -> Result<Result<SignedIn, Refusal>, AccessError> {
        let stored = match self.confirm_password(session, present).await? {
            Ok(stored) => stored,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let hash = self.people.hashing.hash(new).await?;
        let (id, device) = (SecretToken::random(), SecretToken::random());
        let begun = sqlx::query!(
            "with changed as (
                update users set password_hash = $3, password_changed_at = now()
                where id = $1 and password_hash = $2
                returning id
             ), ended as (
                delete from sessions using changed where user_id = changed.id
             ), forgotten as (
                delete from known_devices d using changed where d.user_id = changed.id
             ), unused as (
                delete from one_time_links l using changed where l.user_id = changed.id
             ), known as (
                insert into known_devices (token_sha256, user_id, expires_at)
                select $4, id, now() + interval '1 year' from changed
             ), recorded as (
                insert into audit (principal, kind, credential, address, request_id, action, object)
                select $10, $11, $12, $8::text::inet, $13, 'change_password', 'user:' || $10 from changed
             )
             insert into sessions (id_sha256, handle, user_id, expires_at, address, user_agent)
             select $5, $6, id, now() + $7::interval, $8::text::inet, $9 from changed",
            session.user_id,
            stored.expose_secret(),
            hash,
            &device.sha256()[..],
            &id.sha256()[..],
            Uuid::now_v7(),
            interval(self.people.settings.lifetime)?,
            visit.address.map(|address| address.to_string()),
            visit.browser(),
            session.user,
            PrincipalKind::User.as_str(),
            format!("session:{}", session.handle),
            visit.request_id,
        )
        .execute(&self.pool)
        .await?;
        self.people.sessions.forget();
        match begun.rows_affected() {
            // Someone else has changed it since.
            0 => Ok(Err(Refusal::Wrong)),
            _ => Ok(Ok(SignedIn { id, device: Some(device) })),
        }
    }

    /// Checks that a user who is signed in knows the password. Returns its stored hash.
    pub(super) async fn confirm_password(
        &self,
        session: &Session,
        typed: &SecretString,
    ) -> Result<Result<SecretString, Refusal>, AccessError> {
        let counted = match self.count_attempt(&Subjects::signed_in(session.user_id)).await? {
            Admission::Admitted(counted) => counted,
            Admission::TooEarly(seconds) => return Ok(Err(Refusal::TooEarly { seconds })),
        };
        let stored =
            sqlx::query_scalar!("select password_hash from users where id = $1", session.user_id)
                .fetch_optional(&self.pool)
                .await?
                .flatten();
        let verified = self.people.hashing.verify(Lane::Known, typed, stored.as_deref()).await?;
        match (verified, stored) {
            (Some(Verified::Right | Verified::Outdated), Some(stored)) => {
                self.count_back(&counted).await?;
                Ok(Ok(stored.into()))
            }
            _ => Ok(Err(Refusal::Wrong)),
        }
    }
}

/// What is missing where a user is not found.
pub(super) const NO_USER: &str = "user with this name";

pub(super) fn role(text: &str) -> Result<Role, AccessError> {
    let unknown = |_| sqlx::Error::Decode("a user has an unknown role".into());
    Ok(text.parse().map_err(unknown)?)
}
