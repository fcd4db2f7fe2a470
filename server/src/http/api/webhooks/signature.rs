//! Signatures of inbound webhooks, by Standard Webhooks 1.0.0 (standardwebhooks.com): HMAC-SHA256 over the
//! webhook's id, its timestamp and the raw body, in one header for several secrets.

use std::{fmt, str::FromStr, sync::Arc};

use axum::http::HeaderMap;
use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use thiserror::Error;

use crate::http::problem::code::Code;

/// What webhooks may be signed with: several, while one takes the place of another.
#[derive(Clone)]
pub struct WebhookSecrets(Arc<[Hmac<Sha256>]>);

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

/// Why a webhook is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SignatureError {
    /// One of the three headers is not there.
    #[error("webhooks must be signed by Standard Webhooks; the header {0} is missing")]
    Missing(&'static str),
    /// The timestamp is no number.
    #[error("webhook-timestamp must be whole seconds since 1970")]
    Timestamp,
    /// It was sent too long ago: somebody may be sending again what they have overheard.
    #[error("webhook-timestamp is more than {tolerance_seconds} seconds in the past")]
    Past {
        /// What is tolerated.
        tolerance_seconds: u64,
    },
    /// It is yet to be sent, by its own account.
    #[error("webhook-timestamp is more than {tolerance_seconds} seconds in the future")]
    Future {
        /// What is tolerated.
        tolerance_seconds: u64,
    },
    /// It was made with another secret, or for something else.
    #[error(
        "no signature in webhook-signature is that of this id, timestamp and body with a secret that is known here"
    )]
    Wrong,
}

impl SignatureError {
    /// The code of its problem document.
    pub fn code(self) -> Code {
        match self {
            Self::Missing(_) => Code::SignatureMissing,
            Self::Timestamp | Self::Wrong => Code::SignatureInvalid,
            Self::Past { .. } | Self::Future { .. } => Code::SignatureOutOfTime,
        }
    }
}

/// How webhooks are to be signed.
#[derive(Debug, Clone)]
pub struct WebhookSignatures {
    /// With one of these. Without any, signatures are not looked at.
    pub secrets: Option<WebhookSecrets>,
    /// How far the timestamp may be from our clock, either way.
    pub tolerance_seconds: u64,
}

impl WebhookSignatures {
    /// Whether a webhook with these headers and this raw body is to be believed at `now`.
    ///
    /// # Errors
    /// Why it is not.
    pub fn check(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        now: DateTime<Utc>,
    ) -> Result<(), SignatureError> {
        let Some(WebhookSecrets(secrets)) = &self.secrets else { return Ok(()) };
        let header = |name| {
            let mut all = headers.get_all(name).iter();
            let first = all.next().ok_or(SignatureError::Missing(name))?;
            // Of two, one is not what was signed.
            if all.next().is_some() { Err(SignatureError::Wrong) } else { Ok(first) }
        };
        let (id, timestamp) = (header("webhook-id")?, header("webhook-timestamp")?);
        if !headers.contains_key("webhook-signature") {
            return Err(SignatureError::Missing("webhook-signature"));
        }

        let sent_at = timestamp.to_str().ok().and_then(|text| text.parse::<i64>().ok());
        let sent_at = sent_at.ok_or(SignatureError::Timestamp)?;
        let (now, tolerance_seconds) = (now.timestamp(), self.tolerance_seconds);
        if now.abs_diff(sent_at) > tolerance_seconds {
            return Err(match sent_at < now {
                true => SignatureError::Past { tolerance_seconds },
                false => SignatureError::Future { tolerance_seconds },
            });
        }

        // Those of other schemes stand beside ours, `v1a` for one, and are passed over.
        let signatures: Vec<_> = headers
            .get_all("webhook-signature")
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(str::split_ascii_whitespace)
            .filter_map(|text| STANDARD.decode(text.strip_prefix("v1,")?).ok())
            .collect();
        let known = secrets.iter().any(|secret| {
            let mut mac = secret.clone();
            for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
                mac.update(part);
            }
            // In constant time, each of them.
            signatures.iter().any(|signature| mac.clone().verify_slice(signature).is_ok())
        });
        if known { Ok(()) } else { Err(SignatureError::Wrong) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // The example of the project's own libraries.
    const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
    const ID: &str = "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk";
    const SENT_AT: i64 = 1_649_367_553;
    const BODY: &[u8] = br#"{"email":"test@example.com","username":"test_user"}"#;
    const SIGNATURE: &str = "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=";

    const OTHER_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const OTHER_SIGNATURE: &str = "v1,tFtCZ5RDCPxzWQRWXWPgrCgE2frDBe9gjpbWQxnVfsQ=";

    fn signatures(secrets: &str) -> WebhookSignatures {
        WebhookSignatures { secrets: Some(secrets.parse().unwrap()), tolerance_seconds: 300 }
    }

    fn headers(signature: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("webhook-id", ID.parse().unwrap());
        headers.insert("webhook-timestamp", SENT_AT.into());
        headers.insert("webhook-signature", signature.parse().unwrap());
        headers
    }

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(SENT_AT + seconds, 0).unwrap()
    }

    #[test]
    fn the_example_of_the_specifications_libraries_is_believed() {
        assert_eq!(signatures(SECRET).check(&headers(SIGNATURE), BODY, at(0)), Ok(()));
    }

    #[test]
    fn what_was_signed_must_be_what_came() {
        let signatures = signatures(SECRET);
        let check = |headers: &HeaderMap, body: &[u8]| signatures.check(headers, body, at(0));
        let wrong = Err(SignatureError::Wrong);
        assert_eq!(check(&headers(SIGNATURE), &[BODY, b" "].concat()), wrong);
        assert_eq!(check(&headers(SIGNATURE), &BODY[1..]), wrong);
        let mut other_id = headers(SIGNATURE);
        other_id.insert("webhook-id", "msg_other".parse().unwrap());
        assert_eq!(check(&other_id, BODY), wrong);
        let mut two_ids = headers(SIGNATURE);
        two_ids.append("webhook-id", "msg_other".parse().unwrap());
        assert_eq!(check(&two_ids, BODY), wrong);
        let mut later = headers(SIGNATURE);
        later.insert("webhook-timestamp", (SENT_AT + 1).into());
        assert_eq!(check(&later, BODY), wrong);
    }

    #[test]
    fn a_signature_is_taken_whole_and_of_its_own_scheme() {
        let signatures = signatures(SECRET);
        let bare = SIGNATURE.strip_prefix("v1,").unwrap();
        let texts =
            ["", "v1", "v1,", "v1,tZ1I4/hD", bare, &format!("v1a,{bare}"), &format!("v2,{bare}")];
        for text in texts {
            let checked = signatures.check(&headers(text), BODY, at(0));
            assert_eq!(checked, Err(SignatureError::Wrong), "{text}");
        }
    }

    #[test]
    fn one_of_several_signatures_is_enough() {
        let signatures = signatures(SECRET);
        let several = format!("v1a,AAAA {OTHER_SIGNATURE} nonsense {SIGNATURE} v1,AAAA");
        assert_eq!(signatures.check(&headers(&several), BODY, at(0)), Ok(()));
        let mut in_two_headers = headers(OTHER_SIGNATURE);
        in_two_headers.append("webhook-signature", SIGNATURE.parse().unwrap());
        assert_eq!(signatures.check(&in_two_headers, BODY, at(0)), Ok(()));
    }

    #[test]
    fn while_secrets_rotate_each_of_them_counts() {
        let signed = headers(SIGNATURE);
        for secrets in [format!("{SECRET},{OTHER_SECRET}"), format!(" {OTHER_SECRET} ,\n{SECRET} ")]
        {
            assert_eq!(signatures(&secrets).check(&signed, BODY, at(0)), Ok(()));
        }
        let checked = signatures(OTHER_SECRET).check(&signed, BODY, at(0));
        assert_eq!(checked, Err(SignatureError::Wrong));
    }

    #[test]
    fn the_timestamp_may_be_five_minutes_off_either_way() {
        let signatures = signatures(SECRET);
        let check = |seconds| signatures.check(&headers(SIGNATURE), BODY, at(seconds));
        let tolerance_seconds = 300;
        assert_eq!(check(300), Ok(()));
        assert_eq!(check(301), Err(SignatureError::Past { tolerance_seconds }));
        assert_eq!(check(-300), Ok(()));
        assert_eq!(check(-301), Err(SignatureError::Future { tolerance_seconds }));
        for text in ["", "soon", "1649367553.0", "99999999999999999999"] {
            let mut headers = headers(SIGNATURE);
            headers.insert("webhook-timestamp", text.parse().unwrap());
            let checked = signatures.check(&headers, BODY, at(0));
            assert_eq!(checked, Err(SignatureError::Timestamp), "{text}");
        }
    }

    #[test]
    fn no_header_may_be_missing() {
        for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
            let mut headers = headers(SIGNATURE);
            headers.remove(name);
            let checked = signatures(SECRET).check(&headers, BODY, at(0));
            assert_eq!(checked, Err(SignatureError::Missing(name)));
        }
    }

    #[test]
    fn without_secrets_nothing_is_looked_at() {
        let signatures = WebhookSignatures { secrets: None, tolerance_seconds: 300 };
        assert_eq!(signatures.check(&HeaderMap::new(), BODY, at(0)), Ok(()));
    }

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
        let secrets = format!("{:?}", signatures(SECRET));
        assert!(!secrets.contains("C2FV") && secrets.contains("hidden"), "{secrets}");
    }
}
