//! The key pairs with which Onceward signs tokens (ES256), in PostgreSQL, so that every process has the same ones.
//!
//! A new key pair is published for a while before it signs: by then every process and everyone who fetches the set has
//! it. An old one stays published until the last token that it signed has expired.

use std::{sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};
use gateway::database::BoundedPool;
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use secrecy::{ExposeSecret, SecretSlice};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    error::TokenError,
    key::{Material, VerificationKey},
    refreshed::Refreshed,
};

/// With what the ids of Onceward's own keys begin. A token with such a key id is never judged by another issuer's keys.
const ID_PREFIX: &str = "onceward-";
/// How old the newest key pair becomes before there is a new one.
const LIFETIME: TimeDelta = TimeDelta::days(30);
/// How long a key pair is published before it signs, unless there is no other.
const PUBLISHED_BEFORE_USE: TimeDelta = TimeDelta::minutes(10);
/// How long after its successor was created a key pair is still published: the successor signs ten minutes later, or
/// eleven in a process that reads it a minute late, and a token lives for at most an hour.
const PUBLISHED_AFTER_SUCCESSOR: TimeDelta = TimeDelta::hours(2);
/// How old the keys become before they are read again.
const MAX_AGE: Duration = Duration::from_secs(60);
/// How long the keys are not read again, whatever key ids tokens name.
const MIN_READ_INTERVAL: Duration = Duration::from_secs(1);

/// Whether a key id is one of Onceward's own.
pub(super) fn is_own(key_id: &str) -> bool {
    key_id.starts_with(ID_PREFIX)
}

/// A key pair.
#[derive(Debug)]
pub(super) struct SigningKey {
    pub id: String,
    created_at: DateTime<Utc>,
    pub pair: EcdsaKeyPair,
    verification_key: Arc<VerificationKey>,
}

impl SigningKey {
    fn read(id: String, private_key: &[u8], created_at: DateTime<Utc>) -> Option<Self> {
        let rng = SystemRandom::new();
        let pair =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, private_key, &rng).ok()?;
        let point = pair.public_key().as_ref().try_into().ok()?;
        let material = Material::P256(point);
        let verification_key = Arc::new(VerificationKey { id: Some(id.clone()), material });
        Some(Self { id, created_at, pair, verification_key })
    }

    /// Its public half as a JSON Web Key.
    fn jwk(&self) -> Value {
        let point = self.pair.public_key().as_ref();
        let (x, y) = point[1..].split_at(32);
        json!({
            "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": self.id,
            "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y),
        })
    }
}

/// The key pairs, the newest first.
#[derive(Debug, Default)]
pub(super) struct KeyRing {
    keys: Vec<SigningKey>,
    was_read: bool,
}

impl KeyRing {
    /// The key pair that signs: the newest that others have had time to learn of, or else the oldest.
    pub fn signer(&self, now: DateTime<Utc>) -> Option<&SigningKey> {
        let is_known = |key: &&SigningKey| key.created_at + PUBLISHED_BEFORE_USE <= now;
        self.keys.iter().find(is_known).or(self.keys.last())
    }

    /// The keys with which a token may be verified.
    pub fn verification_keys(&self, now: DateTime<Utc>) -> Vec<Arc<VerificationKey>> {
        self.published(now).map(|key| key.verification_key.clone()).collect()
    }

    /// The keys as a JSON Web Key Set.
    pub fn jwks(&self, now: DateTime<Utc>) -> Value {
        json!({"keys": self.published(now).map(SigningKey::jwk).collect::<Vec<_>>()})
    }

    fn published(&self, now: DateTime<Utc>) -> impl Iterator<Item = &SigningKey> {
        let successors = std::iter::once(None).chain(self.keys.iter().map(Some));
        self.keys.iter().zip(successors).filter_map(move |(key, successor)| {
            let is_over = successor
                .is_some_and(|successor| successor.created_at + PUBLISHED_AFTER_SUCCESSOR <= now);
            (!is_over).then_some(key)
        })
    }

    fn needs_another(&self, now: DateTime<Utc>) -> bool {
        self.keys.first().is_none_or(|newest| newest.created_at + LIFETIME <= now)
    }

    fn is_same(&self, other: &Self) -> bool {
        let ids = |ring: &Self| ring.keys.iter().map(|key| key.id.clone()).collect::<Vec<_>>();
        self.was_read == other.was_read && ids(self) == ids(other)
    }
}

/// The key pairs as this process knows them.
#[derive(Debug)]
pub(super) struct SigningKeys {
    pool: BoundedPool,
    ring: Arc<Refreshed<KeyRing>>,
    creating: tokio::sync::Mutex<()>,
}

impl SigningKeys {
    /// The key pairs of a database; they are read when they are first needed.
    pub fn new(pool: BoundedPool) -> Self {
        let ring = Arc::new(Refreshed::new(KeyRing::default()));
        Self { pool, ring, creating: tokio::sync::Mutex::default() }
    }

    /// What was read last. It is read again in the background, except the first time.
    ///
    /// # Errors
    /// If the keys could not be read so far.
    pub async fn current(&self) -> Result<Arc<KeyRing>, TokenError> {
        let ring = self.ring.get();
        if !ring.was_read {
            return self.after_unknown_key().await;
        }
        if self.ring.is_older_than(MAX_AGE) {
            tokio::spawn(self.ring.clone().refresh(MAX_AGE, self.read()));
        }
        Ok(ring)
    }

    /// What is read after a token named a key that is not known: at most once a second.
    ///
    /// # Errors
    /// See [`SigningKeys::current`].
    pub async fn after_unknown_key(&self) -> Result<Arc<KeyRing>, TokenError> {
        self.read_again(MIN_READ_INTERVAL).await
    }

    /// What was read last, after creating a key pair if it is time for one.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn with_signer(&self, now: DateTime<Utc>) -> Result<Arc<KeyRing>, TokenError> {
        let ring = self.current().await?;
        if !ring.needs_another(now) {
            return Ok(ring);
        }
        let _one_at_a_time = self.creating.lock().await;
        if self.ring.get().needs_another(now) {
            self.create(now).await?;
        }
        self.read_again(Duration::ZERO).await
    }

    async fn read_again(&self, age: Duration) -> Result<Arc<KeyRing>, TokenError> {
        self.ring.clone().refresh(age, self.read()).await;
        let ring = self.ring.get();
        if ring.was_read { Ok(ring) } else { Err(TokenError::NoKeysYet) }
    }

    /// Reads the keys; none if they cannot be read or are the same as before.
    fn read(&self) -> impl Future<Output = Option<KeyRing>> + Send + 'static {
        let (pool, last) = (self.pool.clone(), self.ring.clone());
        async move {
            let rows = sqlx::query!(
                "select id, private_key, created_at from signing_keys order by created_at desc, id"
            )
            .fetch_all(&pool)
            .await;
            let rows = rows.inspect_err(|error| {
                tracing::warn!(%error, "the keys that sign tokens cannot be read");
            });
            let keys = rows.ok()?.into_iter().filter_map(|row| {
                let private_key = SecretSlice::from(row.private_key);
                let key =
                    SigningKey::read(row.id.clone(), private_key.expose_secret(), row.created_at);
                if key.is_none() {
                    tracing::error!(id = row.id, "a key that signs tokens is damaged");
                }
                key
            });
            let ring = KeyRing { keys: keys.collect(), was_read: true };
            (!ring.is_same(&last.get())).then_some(ring)
        }
    }

    /// Creates a key pair unless another process has just done so, and deletes those that are no longer published. If two
    /// processes create one at once, both are published, and the older one signs.
    async fn create(&self, now: DateTime<Utc>) -> Result<(), TokenError> {
        let id = format!("{ID_PREFIX}{}", Uuid::new_v4());
        let rng = SystemRandom::new();
        let private_key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &rng)
            .map_err(|_| TokenError::Signing)?;
        let key = SigningKey::read(id, private_key.as_ref(), now).ok_or(TokenError::Signing)?;
        sqlx::query!(
            "insert into signing_keys (id, private_key, public_key)
             select $1, $2, $3
             where not exists (select from signing_keys where created_at > $4)",
            key.id,
            private_key.as_ref(),
            key.jwk(),
            now - LIFETIME,
        )
        .execute(&self.pool)
        .await?;
        sqlx::query!(
            "delete from signing_keys old where exists (
                 select from signing_keys successor
                 where successor.created_at > old.created_at and successor.created_at < $1)",
            now - PUBLISHED_AFTER_SUCCESSOR,
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(ages: &[TimeDelta], now: DateTime<Utc>) -> KeyRing {
        let key = |(number, age): (usize, &TimeDelta)| {
            let rng = SystemRandom::new();
            let pkcs8 =
                EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &rng).unwrap();
            SigningKey::read(number.to_string(), pkcs8.as_ref(), now - *age).unwrap()
        };
        KeyRing { keys: ages.iter().enumerate().map(key).collect(), was_read: true }
    }

    #[test]
    fn a_new_key_is_published_before_it_signs_and_an_old_one_until_its_last_token_has_expired() {
        let now = Utc::now();
        let (minutes, hours, days) = (TimeDelta::minutes, TimeDelta::hours, TimeDelta::days);
        let longest_token = hours(1);
        for (ages, signer, published, needs_another) in [
            (vec![], None, "", true),
            (vec![minutes(0)], Some("0"), "0", false),
            (vec![minutes(1), minutes(2)], Some("1"), "01", false),
            (vec![days(30)], Some("0"), "0", true),
            (vec![minutes(9), days(30)], Some("1"), "01", false),
            (vec![minutes(10), days(30)], Some("0"), "01", false),
            (vec![minutes(11) + longest_token, days(30)], Some("0"), "01", false),
            (vec![hours(2), days(30)], Some("0"), "0", false),
            (vec![minutes(0), days(30), days(60)], Some("1"), "01", false),
        ] {
            let ring = ring(&ages, now);
            assert_eq!(ring.signer(now).map(|key| key.id.as_str()), signer, "{ages:?}");
            let ids: String = ring.published(now).map(|key| key.id.as_str()).collect();
            assert_eq!(ids, published, "{ages:?}");
            assert_eq!(ring.needs_another(now), needs_another, "{ages:?}");
        }
    }
}
