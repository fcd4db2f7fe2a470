//! Who presents a key.
//!
//! A secret has 256 random bits, so its SHA-256 is enough, and comparing hashes leaks nothing about the secret. A key is
//! read from the database at most twice a second (`recent`).

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use chrono::{DateTime, TimeDelta, Utc};
use domain::Role;
use thiserror::Error;

use super::key::Key;
use crate::{Access, AccessError, recent::Recent};

/// How many keys are kept in memory.
const KEPT: usize = 10_000;

/// The client that presented a valid key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyHolder {
    /// The client's name.
    pub client: String,
    /// The client's role.
    pub role: Role,
    /// The client's own rate limit, such as `100/s`.
    pub rate_limit: Option<String>,
    /// The id of the key.
    pub key_id: String,
}

/// Why a key is not accepted. The text names no secret, and is for the audit: the caller learns only that the key is not
/// valid.
#[derive(Debug, Error)]
pub enum KeyRefusal {
    /// It is no key of Onceward, or was mistyped.
    #[error("it is not a key, or its checksum is wrong")]
    Malformed,
    /// No key has this id.
    #[error("no key has this id")]
    Unknown,
    /// The secret is another one.
    #[error("its secret is wrong")]
    Secret,
    /// It was revoked.
    #[error("it was revoked")]
    Revoked,
    /// It has expired.
    #[error("it has expired")]
    Expired,
    /// Its client is disabled.
    #[error("its client is disabled")]
    Disabled,
    /// It could not be checked.
    #[error(transparent)]
    Access(#[from] AccessError),
}

/// A key as it was read, with its client.
#[derive(Debug)]
pub(crate) struct KeyReading {
    client: String,
    role: Role,
    rate_limit: Option<String>,
    secret_sha256: Vec<u8>,
    expires_at: Option<DateTime<Utc>>,
    last_used_at: Option<DateTime<Utc>>,
    is_revoked: bool,
    is_disabled: bool,
    /// Whether its use has been written since it was read.
    is_noted: AtomicBool,
}

/// The keys that were read within the last half second.
#[derive(Debug)]
pub(crate) struct KeyReadings(Recent<String, Option<Arc<KeyReading>>>);

impl Default for KeyReadings {
    fn default() -> Self {
        Self(Recent::new(KEPT))
    }
}

impl KeyReadings {
    /// Forgets them, because this process has changed one.
    pub fn forget(&self) {
        self.0.forget();
    }
}

impl Access {
    /// The client that holds a key.
    ///
    /// # Errors
    /// [`KeyRefusal`].
    pub async fn key(&self, text: &str) -> Result<KeyHolder, KeyRefusal> {
        let key = Key::read(text).ok_or(KeyRefusal::Malformed)?;
        let reading = self.reading(&key.id).await?.ok_or(KeyRefusal::Unknown)?;
        if reading.secret_sha256 != key.secret_sha256() {
            return Err(KeyRefusal::Secret);
        }
        let holder = holder(&reading, &key.id)?;
        self.note_use(&key.id, &reading);
        Ok(holder)
    }

    /// The client behind a key that was checked before, if the key is still valid. For tokens that were issued for it.
    ///
    /// # Errors
    /// [`KeyRefusal`].
    pub async fn key_with_id(&self, id: &str) -> Result<KeyHolder, KeyRefusal> {
        let reading = self.reading(id).await?.ok_or(KeyRefusal::Unknown)?;
        holder(&reading, id)
    }

    async fn reading(&self, id: &str) -> Result<Option<Arc<KeyReading>>, AccessError> {
        let read = async || {
            let row = sqlx::query!(
                "select p.name, p.role, p.rate_limit, k.secret_sha256, k.expires_at, k.last_used_at,
                    k.revoked_at is not null as \"is_revoked!\", p.disabled_at is not null as \"is_disabled!\"
                 from client_keys k join principals p on p.id = k.client_id where k.id = $1",
                id,
            )
            .fetch_optional(&self.pool)
            .await?;
            let Some(row) = row else { return Ok(None) };
            let role = row.role.parse().map_err(|_| {
                sqlx::Error::Decode(format!("the client {} has an unknown role", row.name).into())
            })?;
            Ok(Some(Arc::new(KeyReading {
                client: row.name,
                role,
                rate_limit: row.rate_limit,
                secret_sha256: row.secret_sha256,
                expires_at: row.expires_at,
                last_used_at: row.last_used_at,
                is_revoked: row.is_revoked,
                is_disabled: row.is_disabled,
                is_noted: AtomicBool::new(false),
            })))
        };
        self.keys.0.get_or_read(&id.to_owned(), read).await
    }

    /// Writes that a key is in use, at most once a minute. The request does not wait for it.
    fn note_use(&self, id: &str, reading: &KeyReading) {
        let is_recent = |at: DateTime<Utc>| Utc::now() - at < TimeDelta::minutes(1);
        if reading.last_used_at.is_some_and(is_recent)
            || reading.is_noted.swap(true, Ordering::Relaxed)
        {
            return;
        }
        let (pool, id) = (self.pool.clone(), id.to_owned());
        tokio::spawn(async move {
            let noted = sqlx::query!(
                "update client_keys set last_used_at = clock_timestamp()
                 where id = $1 and (last_used_at is null or last_used_at < clock_timestamp() - interval '1 minute')",
                id,
            );
            if let Err(error) = noted.execute(&pool).await {
                tracing::debug!(%error, key_id = id, "the use of a key was not noted");
            }
        });
    }
}

fn holder(reading: &KeyReading, id: &str) -> Result<KeyHolder, KeyRefusal> {
    if reading.is_revoked {
        return Err(KeyRefusal::Revoked);
    }
    if reading.expires_at.is_some_and(|at| at <= Utc::now()) {
        return Err(KeyRefusal::Expired);
    }
    if reading.is_disabled {
        return Err(KeyRefusal::Disabled);
    }
    Ok(KeyHolder {
        client: reading.client.clone(),
        role: reading.role,
        rate_limit: reading.rate_limit.clone(),
        key_id: id.to_owned(),
    })
}
