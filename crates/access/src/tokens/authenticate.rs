//! From the text of a token to who holds it. A verified token is remembered by its hash, so that a signature is checked
//! once and not with each request.

use std::{path::PathBuf, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use domain::{Principal, PrincipalKind, Role};
use quick_cache::sync::Cache;
use sha2::{Digest, Sha256};

use super::{
    error::{KeysError, TokenError, TokenRefusal},
    external_keys::ExternalKeys,
    jws::Jws,
    key::Algorithm,
    key_source::{JwksLocation, ReadKeys},
    rules::TokenRules,
    signing_keys::{KeyRing, SigningKeys, is_own},
    standing::Standings,
    verify::{self, VerifiedToken},
};
use crate::Access;

/// How many verified tokens are remembered.
const CAPACITY: usize = 8_192;

/// What is set about tokens.
#[derive(Debug, Clone)]
pub struct TokenSettings {
    /// The file with the secret of another issuer's HS256.
    pub hs256_secret: Option<PathBuf>,
    /// Another issuer's public keys.
    pub jwks: Option<JwksLocation>,
    /// What another issuer's tokens must say.
    pub rules: TokenRules,
    /// How long Onceward's own tokens are valid; at most an hour.
    pub lifetime: Duration,
}

/// Who holds a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenHolder {
    /// The principal.
    pub principal: Principal,
    /// A client for a token that Onceward issued, otherwise external.
    pub kind: PrincipalKind,
    /// The role: the client's as it is now, or the one that the other issuer's token names.
    pub role: Role,
    /// The client's own rate limit, such as `100/s`.
    pub rate_limit: Option<String>,
    /// The credential as the audit records it: `token:` and the token's id.
    pub credential: String,
    /// When the token expires, in seconds since 1970. What it began, such as a stream, ends then.
    pub expires_at: i64,
}

/// Tokens of one database and one other issuer. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Tokens {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    external: ExternalKeys,
    rules: TokenRules,
    own: SigningKeys,
    lifetime: Duration,
    verified: Cache<[u8; 32], Arc<Remembered>>,
    standings: Standings,
}

/// A token that was verified, and with which keys. It counts while the keys are these.
#[derive(Debug)]
struct Remembered {
    token: VerifiedToken,
    keys: Keys,
}

#[derive(Debug)]
enum Keys {
    Own(Arc<KeyRing>),
    External(Algorithm, Arc<ReadKeys>),
}

impl Tokens {
    /// Tokens by these settings.
    ///
    /// # Errors
    /// The setting whose keys cannot be read, and why.
    pub fn new(
        access: &Access,
        settings: TokenSettings,
    ) -> Result<Self, (&'static str, KeysError)> {
        let TokenSettings { hs256_secret, jwks, rules, lifetime } = settings;
        let shared = Shared {
            external: ExternalKeys::new(hs256_secret, jwks)?,
            rules,
            own: SigningKeys::new(access.pool.clone()),
            lifetime,
            verified: Cache::new(CAPACITY),
            standings: Standings::new(access.clone()),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Who holds a token.
    ///
    /// # Errors
    /// If it is refused, or cannot be judged now.
    pub async fn authenticate(
        &self,
        token: &str,
        now: DateTime<Utc>,
    ) -> Result<TokenHolder, TokenError> {
        let shared = &*self.shared;
        let hash = Sha256::digest(token).into();
        if let Some(remembered) = shared.verified.get(&hash)
            && remembered.token.expires_at > now.timestamp()
            && shared.are_current(&remembered.keys).await
        {
            return shared.standings.holder(&remembered.token).await;
        }
        let remembered = Arc::new(shared.verify(&Jws::parse(token)?, now).await?);
        shared.verified.insert(hash, remembered.clone());
        shared.standings.holder(&remembered.token).await
    }

    pub(super) fn own_keys(&self) -> &SigningKeys {
        &self.shared.own
    }

    pub(super) fn lifetime(&self) -> Duration {
        self.shared.lifetime
    }
}

impl Shared {
    async fn are_current(&self, keys: &Keys) -> bool {
        match keys {
            Keys::Own(ring) => {
                self.own.current().await.is_ok_and(|current| Arc::ptr_eq(ring, &current))
            }
            Keys::External(algorithm, read) => match self.external.source(*algorithm) {
                Some(source) => Arc::ptr_eq(read, &source.current().await),
                None => false,
            },
        }
    }

    async fn verify(&self, token: &Jws<'_>, now: DateTime<Utc>) -> Result<Remembered, TokenError> {
        match token.key_id.as_deref().is_some_and(is_own) {
            true => self.verify_own(token, now).await,
            false => self.verify_external(token, now).await,
        }
    }

    async fn verify_own(
        &self,
        token: &Jws<'_>,
        now: DateTime<Utc>,
    ) -> Result<Remembered, TokenError> {
        let by = |ring: &KeyRing| verify::own(token, &ring.verification_keys(now), now.timestamp());
        let mut ring = self.own.current().await?;
        let mut verified = by(&ring);
        if verified == Err(TokenRefusal::UnknownKey) {
            ring = self.own.after_unknown_key().await?;
            verified = by(&ring);
        }
        Ok(Remembered { token: verified?, keys: Keys::Own(ring) })
    }

    async fn verify_external(
        &self,
        token: &Jws<'_>,
        now: DateTime<Utc>,
    ) -> Result<Remembered, TokenError> {
        let source = self.external.source(token.algorithm).ok_or(TokenRefusal::Algorithm)?;
        let by =
            |read: &ReadKeys| verify::external(token, &read.keys, &self.rules, now.timestamp());
        let mut read = source.current().await;
        if !read.are_there() {
            return Err(TokenError::NoKeysYet);
        }
        let mut verified = by(&read);
        if verified == Err(TokenRefusal::UnknownKey) {
            read = source.after_unknown_key().await;
            verified = by(&read);
        }
        Ok(Remembered { token: verified?, keys: Keys::External(token.algorithm, read) })
    }
}
