//! Tokens that Onceward issues to a client for its key (RFC 9068).

use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use ring::rand::SystemRandom;
use secrecy::SecretString;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{authenticate::Tokens, error::TokenError, signing_keys::SigningKey};

/// The issuer that Onceward's tokens name.
pub(super) const ISSUER: &str = "onceward";
/// The audience that they name.
pub(super) const AUDIENCE: &str = "onceward";

/// A token that was issued.
#[derive(Debug)]
pub struct IssuedToken {
    /// The token.
    pub token: SecretString,
    /// Its id, by which the audit knows it.
    pub id: String,
    /// How long it is valid.
    pub expires_in: Duration,
}

impl Tokens {
    /// Issues a token to a client for one of its keys, which the caller has checked. The token says who the client is, and
    /// not what it may do: its role is read with each use.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn issue(
        &self,
        client: &str,
        key_id: &str,
        now: DateTime<Utc>,
    ) -> Result<IssuedToken, TokenError> {
        let ring = self.own_keys().with_signer(now).await?;
        let signer = ring.signer(now).ok_or(TokenError::Signing)?;
        let id = Uuid::new_v4().to_string();
        let (issued_at, expires_in) = (now.timestamp(), self.lifetime());
        let claims = json!({
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": client,
            "client_id": client,
            "key": key_id,
            "jti": id,
            "iat": issued_at,
            "exp": issued_at.saturating_add_unsigned(expires_in.as_secs()),
        });
        Ok(IssuedToken { token: signed(signer, &claims)?, id, expires_in })
    }

    /// The keys that verify Onceward's own tokens, as a JSON Web Key Set.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn jwks(&self, now: DateTime<Utc>) -> Result<Value, TokenError> {
        Ok(self.own_keys().with_signer(now).await?.jwks(now))
    }
}

fn signed(key: &SigningKey, claims: &Value) -> Result<SecretString, TokenError> {
    let header = json!({"typ": "at+jwt", "alg": "ES256", "kid": key.id});
    let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
    let signed = format!("{}.{}", encode(&header), encode(claims));
    let signature =
        key.pair.sign(&SystemRandom::new(), signed.as_bytes()).map_err(|_| TokenError::Signing)?;
    Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)).into())
}
