//! Creating, listing and changing clients and their keys. Each change is in the audit, by the same statement.

use chrono::{DateTime, TimeDelta, Utc};
use domain::{Actor, PrincipalKind, Role};
use secrecy::SecretString;
use uuid::Uuid;

use super::key::Key;
use crate::{Access, AccessError, limits::Rate, principals::check_name};

/// The longest time until a key expires.
const MAX_EXPIRY: TimeDelta = TimeDelta::days(3650);

/// A key that was created. Its text is shown now, and never again.
#[derive(Debug)]
pub struct NewKey {
    /// The public part, which names the key.
    pub id: String,
    /// The whole key.
    pub text: SecretString,
    /// When it expires, if it does.
    pub expires_at: Option<DateTime<Utc>>,
}

/// A key as it is stored, without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredKey {
    /// The public part, which names the key.
    pub id: String,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When it expires, if it does.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<DateTime<Utc>>,
    /// When it was revoked, if it was.
    pub revoked_at: Option<DateTime<Utc>>,
}

fn check_rate_limit(rate_limit: Option<&str>) -> Result<(), AccessError> {
    let wrong = rate_limit.and_then(|text| text.parse::<Rate>().err());
    wrong.map_or(Ok(()), |wrong| Err(AccessError::Invalid("rateLimit", wrong.to_string())))
}

impl Access {
    /// Creates a client, and returns its id.
    ///
    /// # Errors
    /// [`AccessError::Invalid`] or [`AccessError::NameTaken`] for its name.
    pub async fn create_client(
        &self,
        actor: &Actor,
        name: &str,
        role: Role,
        rate_limit: Option<&str>,
    ) -> Result<Uuid, AccessError> {
        check_name(name)?;
        check_rate_limit(rate_limit)?;
        let id = Uuid::now_v7();
        let created = sqlx::query!(
            "with created as (
                insert into principals (id, name, kind, role, rate_limit) values ($1, $2, 'client', $3, $4)
                on conflict (name) do nothing
                returning name, role, rate_limit
             )
             insert into audit (principal, kind, credential, address, request_id, action, object, after)
             select $5, $6, $7, $8::text::inet, $9, 'create', 'client:' || name,
                json_build_object('role', role, 'rateLimit', rate_limit)
             from created",
            id,
            name,
            role.as_str(),
            rate_limit,
            actor.principal.as_str(),
            actor.kind.as_str(),
            actor.credential,
            actor.address_text(),
            actor.request_id,
        )
        .execute(&self.pool)
        .await?;
        match created.rows_affected() {
            0 => Err(AccessError::NameTaken),
            _ => Ok(id),
        }
    }

    /// Changes a client: its role, its own rate limit, and whether it is disabled. What is `None` stays as it is.
    ///
    /// # Errors
    /// [`AccessError::NotFound`].
    pub async fn change_client(
        &self,
        actor: &Actor,
        id: Uuid,
        role: Option<Role>,
        rate_limit: Option<Option<&str>>,
        disabled: Option<bool>,
    ) -> Result<(), AccessError> {
        check_rate_limit(rate_limit.flatten())?;
        let changed = sqlx::query_scalar!(
            r#"with target as (
                select id, name, role, rate_limit, disabled_at from principals
                where id = $1 and kind = 'client' for update
             ),
             changed as (
                update principals p set
                    role = coalesce($2, p.role),
                    rate_limit = case when $3 then $4 else p.rate_limit end,
                    disabled_at = case $5::boolean
                        when true then coalesce(p.disabled_at, clock_timestamp())
                        when false then null
                        else p.disabled_at end
                from target where p.id = target.id
                returning p.role, p.rate_limit, p.disabled_at
             ),
             recorded as (
                insert into audit (principal, kind, credential, address, request_id, action, object, before, after)
                select $6, $7, $8, $9::text::inet, $10, act.action, 'client:' || target.name, act.before, act.after
                from target, changed, lateral (values
                    ('set_role', target.role <> changed.role,
                        json_build_object('role', target.role), json_build_object('role', changed.role)),
                    ('set_rate_limit', target.rate_limit is distinct from changed.rate_limit,
                        json_build_object('rateLimit', target.rate_limit),
                        json_build_object('rateLimit', changed.rate_limit)),
                    ('disable', target.disabled_at is null and changed.disabled_at is not null, null, null),
                    ('enable', target.disabled_at is not null and changed.disabled_at is null, null, null)
                ) as act (action, is_done, before, after)
                where act.is_done
             )
             select count(*) as "count!" from changed"#,
            id,
            role.map(Role::as_str),
            rate_limit.is_some(),
            rate_limit.flatten(),
            disabled,
            actor.principal.as_str(),
            actor.kind.as_str(),
            actor.credential,
            actor.address_text(),
            actor.request_id,
        )
        .fetch_one(&self.pool)
        .await?;
        self.keys.forget();
        match changed {
            0 => Err(AccessError::NotFound("client with this id")),
            _ => Ok(()),
        }
    }

    /// Creates a key of a client. Any number may be valid at once, so that a client can change from one to the next
    /// without a pause.
    ///
    /// # Errors
    /// [`AccessError::NotFound`] for the client, [`AccessError::Invalid`] for the expiry.
    pub async fn create_key(
        &self,
        actor: &Actor,
        client: Uuid,
        expires_in: Option<TimeDelta>,
    ) -> Result<NewKey, AccessError> {
        if expires_in.is_some_and(|time| time <= TimeDelta::zero() || time > MAX_EXPIRY) {
            let wrong =
                format!("must be more than zero and at most {} days", MAX_EXPIRY.num_days());
            return Err(AccessError::Invalid("expiresIn", wrong));
        }
        let key = Key::generate();
        let expires_at = expires_in.map(|time| Utc::now() + time);
        let created = sqlx::query!(
            "with client as (select id, name from principals where id = $2 and kind = 'client'),
             created as (
                insert into client_keys (id, client_id, secret_sha256, expires_at)
                select $1, id, $3, $4 from client
             )
             insert into audit (principal, kind, credential, address, request_id, action, object, after)
             select $5, $6, $7, $8::text::inet, $9, 'create', 'key:' || $1,
                json_build_object('client', name, 'expiresAt', $4::timestamptz)
             from client",
            key.id,
            client,
            &key.secret_sha256(),
            expires_at,
            actor.principal.as_str(),
            actor.kind.as_str(),
            actor.credential,
            actor.address_text(),
            actor.request_id,
        )
        .execute(&self.pool)
        .await?;
        match created.rows_affected() {
            0 => Err(AccessError::NotFound("client with this id")),
            _ => Ok(NewKey { text: key.text(), id: key.id, expires_at }),
        }
    }

    /// The keys of a client, the newest first.
    ///
    /// # Errors
    /// [`AccessError::NotFound`] for the client.
    pub async fn keys(&self, client: Uuid) -> Result<Vec<StoredKey>, AccessError> {
        let keys = sqlx::query_as!(
            StoredKey,
            "select id, created_at, expires_at, last_used_at, revoked_at from client_keys
             where client_id = $1 order by created_at desc, id",
            client,
        )
        .fetch_all(&self.pool)
        .await?;
        if keys.is_empty() && !self.is_client(client).await? {
            return Err(AccessError::NotFound("client with this id"));
        }
        Ok(keys)
    }

    async fn is_client(&self, id: Uuid) -> Result<bool, AccessError> {
        let found = sqlx::query_scalar!(
            r#"select exists (select from principals where id = $1 and kind = $2) as "exists!""#,
            id,
            PrincipalKind::Client.as_str(),
        );
        Ok(found.fetch_one(&self.pool).await?)
    }

    /// Revokes a key, of this client if one is given. Every process obeys within a second. A key that is revoked already stays so.
    ///
    /// # Errors
    /// [`AccessError::NotFound`].
    pub async fn revoke_key(
        &self,
        actor: &Actor,
        client: Option<Uuid>,
        id: &str,
    ) -> Result<(), AccessError> {
        let revoked = sqlx::query_scalar!(
            r#"with target as (
                select k.id, p.name, k.revoked_at from client_keys k join principals p on p.id = k.client_id
                where k.id = $1 and ($2::uuid is null or k.client_id = $2) for update of k
             ),
             revoked as (
                update client_keys k set revoked_at = clock_timestamp()
                from target where k.id = target.id and k.revoked_at is null
                returning k.id, target.name
             ),
             recorded as (
                insert into audit (principal, kind, credential, address, request_id, action, object, before)
                select $3, $4, $5, $6::text::inet, $7, 'revoke', 'key:' || id, json_build_object('client', name)
                from revoked
             )
             select count(*) as "count!" from target"#,
            id,
            client,
            actor.principal.as_str(),
            actor.kind.as_str(),
            actor.credential,
            actor.address_text(),
            actor.request_id,
        )
        .fetch_one(&self.pool)
        .await?;
        self.keys.forget();
        match revoked {
            0 => Err(AccessError::NotFound("key with this id")),
            _ => Ok(()),
        }
    }
}
