//! The keys of another issuer: a secret for HS256, and a set for the other algorithms. They never mix, so that a token
//! signed with a published key as if it were a secret meets no key at all.

use std::path::PathBuf;

use super::{
    error::KeysError,
    jwk,
    key::Algorithm,
    key_source::{JwksLocation, KeySource},
};

/// The keys of another issuer, each source only if a setting names it.
#[derive(Debug)]
pub(super) struct ExternalKeys {
    secret: Option<KeySource>,
    set: Option<KeySource>,
}

impl ExternalKeys {
    /// Keys from these sources.
    ///
    /// # Errors
    /// The setting whose keys cannot be read, and why.
    pub fn new(
        secret: Option<PathBuf>,
        set: Option<JwksLocation>,
    ) -> Result<Self, (&'static str, KeysError)> {
        let secret = secret
            .map(|path| KeySource::new(JwksLocation::File(path), jwk::read_secret))
            .transpose()
            .map_err(|error| ("JWT_HS256_SECRET_FILE", error))?;
        let set = set
            .map(|location| KeySource::new(location, jwk::read_set))
            .transpose()
            .map_err(|error| ("JWT_JWKS", error))?;
        Ok(Self { secret, set })
    }

    /// The source of the keys for an algorithm.
    pub fn source(&self, algorithm: Algorithm) -> Option<&KeySource> {
        match algorithm {
            Algorithm::Hs256 => self.secret.as_ref(),
            Algorithm::Rs256 | Algorithm::Es256 | Algorithm::EdDsa => self.set.as_ref(),
        }
    }
}
