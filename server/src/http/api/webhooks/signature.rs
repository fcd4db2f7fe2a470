//! Signatures of inbound webhooks, according to Standard Webhooks 1.0.0 (standardwebhooks.com): HMAC-SHA256 over the
//! webhook's id, its timestamp and the raw body, in one header for several secrets. Svix, from which the standard comes,
//! signs in the same way, under header names of its own.

use axum::http::HeaderMap;
use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::{DateTime, Utc};
use hmac::Mac;
use thiserror::Error;

use crate::http::webhook_secrets::WebhookSignatures;

/// Why a webhook has no valid signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SignatureError {
    /// One of the three headers is missing.
    #[error("webhooks must be signed according to Standard Webhooks; the header {0} is missing")]
    Missing(&'static str),
    /// The timestamp is not a number.
    #[error("{0} must be whole seconds since 1970")]
    Timestamp(&'static str),
    /// It was signed too long ago: it may be a replay attack.
    #[error("{header} is more than {tolerance_seconds} seconds in the past")]
    Past {
        /// The header with the timestamp.
        header: &'static str,
        /// The tolerance.
        tolerance_seconds: u64,
    },
    /// Its timestamp is in the future.
    #[error("{header} is more than {tolerance_seconds} seconds in the future")]
    Future {
        /// The header with the timestamp.
        header: &'static str,
        /// The tolerance.
        tolerance_seconds: u64,
    },
    /// The signature has another secret, or is of other content.
    #[error("no signature in {0} matches the webhook's id, timestamp and body with a known secret")]
    Wrong(&'static str),
}

/// The names of the headers.
struct Names {
    id: &'static str,
    timestamp: &'static str,
    signature: &'static str,
}

const STANDARD_NAMES: Names =
    Names { id: "webhook-id", timestamp: "webhook-timestamp", signature: "webhook-signature" };
const SVIX_NAMES: Names =
    Names { id: "svix-id", timestamp: "svix-timestamp", signature: "svix-signature" };

impl Names {
    /// The standard's, unless the webhook has only Svix's. All three headers have names of one kind.
    fn of(headers: &HeaderMap) -> &'static Self {
        let has_one = |Names { id, timestamp, signature }: &Names| {
            [id, timestamp, signature].into_iter().any(|name| headers.contains_key(*name))
        };
        match has_one(&SVIX_NAMES) && !has_one(&STANDARD_NAMES) {
            true => &SVIX_NAMES,
            false => &STANDARD_NAMES,
        }
    }
}

/// Checks the signature of a webhook with these headers and this raw body at `now`.
///
/// # Errors
/// Why it is not valid.
pub fn check(
    settings: &WebhookSignatures,
    headers: &HeaderMap,
    body: &[u8],
    now: DateTime<Utc>,
) -> Result<(), SignatureError> {
    let Some(secrets) = &settings.secrets else { return Ok(()) };
    let names = Names::of(headers);
    let wrong = SignatureError::Wrong(names.signature);
    let header = |name| {
        let mut all = headers.get_all(name).iter();
        let first = all.next().ok_or(SignatureError::Missing(name))?;
        // Only one of two can be the signed one.
        if all.next().is_some() { Err(wrong) } else { Ok(first) }
    };
    let (id, timestamp) = (header(names.id)?, header(names.timestamp)?);
    if !headers.contains_key(names.signature) {
        return Err(SignatureError::Missing(names.signature));
    }

    let header = names.timestamp;
    let sent_at = timestamp.to_str().ok().and_then(|text| text.parse::<i64>().ok());
    let sent_at = sent_at.ok_or(SignatureError::Timestamp(header))?;
    let (now, tolerance_seconds) = (now.timestamp(), settings.tolerance_seconds);
    if now.abs_diff(sent_at) > tolerance_seconds {
        return Err(match sent_at < now {
            true => SignatureError::Past { header, tolerance_seconds },
            false => SignatureError::Future { header, tolerance_seconds },
        });
    }

    // Signatures of other schemes, such as `v1a`, are ignored.
    let signatures: Vec<_> = headers
        .get_all(names.signature)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(str::split_ascii_whitespace)
        .filter_map(|text| STANDARD.decode(text.strip_prefix("v1,")?).ok())
        .collect();
    let known = secrets.hmacs().any(|mut mac| {
        for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
            mac.update(part);
        }
        // Each comparison takes constant time.
        signatures.iter().any(|signature| mac.clone().verify_slice(signature).is_ok())
    });
    if known { Ok(()) } else { Err(wrong) }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderName;

    use super::*;

    // The example of the Standard Webhooks libraries.
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

    const WRONG: Result<(), SignatureError> = Err(SignatureError::Wrong("webhook-signature"));

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(SENT_AT + seconds, 0).unwrap()
    }

    #[test]
    fn the_example_of_the_specifications_libraries_is_valid() {
        assert_eq!(check(&signatures(SECRET), &headers(SIGNATURE), BODY, at(0)), Ok(()));
    }

    #[test]
    fn a_signature_of_other_content_is_wrong() {
        let signatures = signatures(SECRET);
        let check = |headers: &HeaderMap, body: &[u8]| check(&signatures, headers, body, at(0));
        assert_eq!(check(&headers(SIGNATURE), &[BODY, b" "].concat()), WRONG);
        assert_eq!(check(&headers(SIGNATURE), &BODY[1..]), WRONG);
        let mut other_id = headers(SIGNATURE);
        other_id.insert("webhook-id", "msg_other".parse().unwrap());
        assert_eq!(check(&other_id, BODY), WRONG);
        let mut two_ids = headers(SIGNATURE);
        two_ids.append("webhook-id", "msg_other".parse().unwrap());
        assert_eq!(check(&two_ids, BODY), WRONG);
        let mut later = headers(SIGNATURE);
        later.insert("webhook-timestamp", (SENT_AT + 1).into());
        assert_eq!(check(&later, BODY), WRONG);
    }

    #[test]
    fn a_signature_must_be_complete_and_of_the_scheme_v1() {
        let signatures = signatures(SECRET);
        let bare = SIGNATURE.strip_prefix("v1,").unwrap();
        let texts =
            ["", "v1", "v1,", "v1,tZ1I4/hD", bare, &format!("v1a,{bare}"), &format!("v2,{bare}")];
        for text in texts {
            let checked = check(&signatures, &headers(text), BODY, at(0));
            assert_eq!(checked, WRONG, "{text}");
        }
    }

    #[test]
    fn one_of_several_signatures_is_enough() {
        let signatures = signatures(SECRET);
        let several = format!("v1a,AAAA {OTHER_SIGNATURE} nonsense {SIGNATURE} v1,AAAA");
        assert_eq!(check(&signatures, &headers(&several), BODY, at(0)), Ok(()));
        let mut in_two_headers = headers(OTHER_SIGNATURE);
        in_two_headers.append("webhook-signature", SIGNATURE.parse().unwrap());
        assert_eq!(check(&signatures, &in_two_headers, BODY, at(0)), Ok(()));
    }

    #[test]
    fn during_a_rotation_each_secret_is_valid() {
        let signed = headers(SIGNATURE);
        for secrets in [format!("{SECRET},{OTHER_SECRET}"), format!(" {OTHER_SECRET} ,\n{SECRET} ")]
        {
            assert_eq!(check(&signatures(&secrets), &signed, BODY, at(0)), Ok(()));
        }
        let checked = check(&signatures(OTHER_SECRET), &signed, BODY, at(0));
        assert_eq!(checked, WRONG);
    }

    #[test]
    fn the_timestamp_may_be_five_minutes_off_either_way() {
        let signatures = signatures(SECRET);
        let check = |seconds| check(&signatures, &headers(SIGNATURE), BODY, at(seconds));
        let (header, tolerance_seconds) = ("webhook-timestamp", 300);
        assert_eq!(check(300), Ok(()));
        assert_eq!(check(301), Err(SignatureError::Past { header, tolerance_seconds }));
        assert_eq!(check(-300), Ok(()));
        assert_eq!(check(-301), Err(SignatureError::Future { header, tolerance_seconds }));
        for text in ["", "soon", "1649367553.0", "99999999999999999999"] {
            let mut headers = headers(SIGNATURE);
            headers.insert("webhook-timestamp", text.parse().unwrap());
            let checked = super::check(&signatures, &headers, BODY, at(0));
            assert_eq!(checked, Err(SignatureError::Timestamp(header)), "{text}");
        }
    }

    #[test]
    fn every_header_is_required() {
        for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
            let mut headers = headers(SIGNATURE);
            headers.remove(name);
            let checked = check(&signatures(SECRET), &headers, BODY, at(0));
            assert_eq!(checked, Err(SignatureError::Missing(name)));
        }
    }

    #[test]
    fn the_headers_may_have_svixs_names_but_not_some_of_each() {
        let signatures = signatures(SECRET);
        let check = |headers: &HeaderMap| check(&signatures, headers, BODY, at(0));
        let standard = headers(SIGNATURE);
        let renamed =
            |name: &str| -> HeaderName { name.replace("webhook", "svix").parse().unwrap() };
        let svix: HeaderMap =
            standard.iter().map(|(name, value)| (renamed(name.as_str()), value.clone())).collect();
        assert_eq!(check(&svix), Ok(()));
        let mut both = svix.clone();
        both.extend(standard.clone());
        assert_eq!(check(&both), Ok(()));
        for name in ["svix-id", "svix-timestamp", "svix-signature"] {
            let mut one_less = svix.clone();
            one_less.remove(name);
            assert_eq!(check(&one_less), Err(SignatureError::Missing(name)));
        }
        let mut mixed = svix.clone();
        mixed.insert("webhook-id", ID.parse().unwrap());
        assert_eq!(check(&mixed), Err(SignatureError::Missing("webhook-timestamp")));
        let mut other_id = svix;
        other_id.insert("svix-id", "msg_other".parse().unwrap());
        assert_eq!(check(&other_id), Err(SignatureError::Wrong("svix-signature")));
    }

    #[test]
    fn without_secrets_signatures_are_not_checked() {
        let signatures = WebhookSignatures { secrets: None, tolerance_seconds: 300 };
        assert_eq!(check(&signatures, &HeaderMap::new(), BODY, at(0)), Ok(()));
    }
}
