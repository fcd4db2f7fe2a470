//! How inbound webhooks must be signed: the settings.

use std::{fmt, str::FromStr, sync::Arc};

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit};
use sha2::Sha256;
use thiserror::Error;

/// The secrets that webhooks may be signed with: several during a rotation.
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

/// How inbound webhooks must be signed.
#[derive(Debug, Clone)]
pub struct WebhookSignatures {
    /// The secrets; a signature with any of them is valid. Without secrets, signatures are not checked.
    pub secrets: Option<WebhookSecrets>,
    /// How far the timestamp may differ from our clock.
    pub tolerance_seconds: u64,
}

/// Why a text does not name secrets. The message says which secret is wrong, and nothing of its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum WebhookSecretError {
    /// The text is empty. An operator who sets it may believe that signatures are checked.
    #[error("names no secret; leave it unset if webhooks are not signed")]
    None,
    /// The prefix is missing.
    #[error("secret {number} does not begin with whsec_")]
    Prefix {
        /// Counted from one.
        number: usize,
    },
    /// The rest after the prefix is not base64.
    #[error("secret {number} is not base64 after whsec_")]
    Base64 {
        /// Counted from one.
        number: usize,
    },
    /// The specification requires 24 to 64 bytes.
    #[error("secret {number} is not 24 to 64 bytes long")]
    Length {
        /// Counted from one.
        number: usize,
    },
}

impl FromStr for WebhookSecrets {
    type Err = WebhookSecretError;

    /// Parses `whsec_<base64>`, or several separated by commas or spaces.
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
    fn an_invalid_secret_is_refused_without_being_repeated() {
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
