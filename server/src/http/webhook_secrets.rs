//! The secrets that inbound webhooks are signed with, as a setting names them.

use std::{fmt, str::FromStr, sync::Arc};

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit};
use sha2::Sha256;
use thiserror::Error;

/// What webhooks may be signed with: several, while one takes the place of another.
#[derive(Clone)]
pub struct WebhookSecrets(Arc<[Hmac<Sha256>]>);

impl WebhookSecrets {
    /// An HMAC for each secret.
    pub fn hmacs(&self) -> impl Iterator<Item = Hmac<Sha256>> {
        self.0.iter().cloned()
    }
}

impl fmt::Debug for WebhookSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookSecrets(hidden)")
    }
}

/// Why a text does not name secrets. It says which one, and nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum WebhookSecretError {
    /// None at all: whoever sets it empty may believe that signatures are looked at.
    #[error("names no secret; leave it unset where webhooks are not signed")]
    None,
    /// It has no prefix.
    #[error("secret {number} does not begin with whsec_")]
    Prefix {
        /// Counted from one.
        number: usize,
    },
    /// What follows the prefix cannot be read.
    #[error("secret {number} is not base64 after whsec_")]
    Base64 {
        /// Counted from one.
        number: usize,
    },
    /// The specification wants 24 to 64 bytes.
    #[error("secret {number} does not have 24 to 64 bytes")]
    Length {
        /// Counted from one.
        number: usize,
    },
}

impl FromStr for WebhookSecrets {
    type Err = WebhookSecretError;

    /// Reads `whsec_<base64>`, several of them with commas or spaces between.
    fn from_str(text: &str) -> Result<Self, WebhookSecretError> {
        let texts = text.split([',', ' ', '\t', '\n', '\r']).filter(|text| !text.is_empty());
        let secrets: Arc<[_]> = (1..)
            .zip(texts)
            .map(|(number, text)| secret(number, text))
            .collect::<Result<_, _>>()?;
        if secrets.is_empty() {
            return Err(WebhookSecretError::None);
        }
        Ok(Self(secrets))
    }
}

fn secret(number: usize, text: &str) -> Result<Hmac<Sha256>, WebhookSecretError> {
    let text = text.strip_prefix("whsec_").ok_or(WebhookSecretError::Prefix { number })?;
    let key = STANDARD.decode(text).map_err(|_| WebhookSecretError::Base64 { number })?;
    if !(24..=64).contains(&key.len()) {
        return Err(WebhookSecretError::Length { number });
    }
    Hmac::new_from_slice(&key).map_err(|_| WebhookSecretError::Length { number })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

    #[test]
    fn a_secret_that_is_none_is_refused_without_being_told() {
        let of = |text: &str| text.parse::<WebhookSecrets>().unwrap_err();
        assert_eq!(of(" , "), WebhookSecretError::None);
        assert_eq!(
            of("C2FVsBQIhrscChlQIMV+b5sSYspob7oD"),
            WebhookSecretError::Prefix { number: 1 }
        );
        assert_eq!(of(&format!("{SECRET},whsec_***")), WebhookSecretError::Base64 { number: 2 });
        assert_eq!(of("whsec_AAAA"), WebhookSecretError::Length { number: 1 });
        assert_eq!(
            of(&format!("whsec_{}", "AAAA".repeat(22))),
            WebhookSecretError::Length { number: 1 }
        );
        let secrets = format!("{:?}", SECRET.parse::<WebhookSecrets>());
        assert!(!secrets.contains("C2FV") && secrets.contains("hidden"), "{secrets}");
    }
}
