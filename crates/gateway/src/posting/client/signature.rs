//! The signature of a request: a posting service that shares a secret with Onceward can tell that a request comes from
//! it, is unaltered, and is recent.
//!
//! `X-Onceward-Timestamp` holds whole seconds since 1970, and `X-Onceward-Signature` holds `v1=` and, in hexadecimal,
//! the HMAC-SHA256 of the timestamp, a full stop, and what is signed: the body of a POST, byte for byte, and the path
//! of a GET, as it is in the request's first line. A body begins with a brace and a path with a slash, so the
//! signature of one is never that of the other.

use std::fmt::Write;

use hmac::{Hmac, KeyInit, Mac};
use reqwest::RequestBuilder;
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

const TIMESTAMP: &str = "x-onceward-timestamp";
const SIGNATURE: &str = "x-onceward-signature";

/// Signs `content` at `timestamp`, which is in seconds since 1970.
pub fn signed(
    request: RequestBuilder,
    secret: &SecretString,
    timestamp: i64,
    content: &[u8],
) -> RequestBuilder {
    request.header(TIMESTAMP, timestamp).header(SIGNATURE, signature(secret, timestamp, content))
}

fn signature(secret: &SecretString, timestamp: i64, content: &[u8]) -> String {
    let mut hmac = Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes())
        .expect("HMAC takes a key of any length");
    hmac.update(format!("{timestamp}.").as_bytes());
    hmac.update(content);
    let mut text = "v1=".to_owned();
    for byte in hmac.finalize().into_bytes() {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed with `printf '1700000000.{"id":1}' | openssl dgst -sha256 -hmac secret`.
    #[test]
    fn the_signature_is_the_hmac_of_timestamp_and_content() {
        assert_eq!(
            signature(&"secret".into(), 1_700_000_000, br#"{"id":1}"#),
            "v1=3dd1b9aef568d75f6790a84bd2e5dfa1f44409eef3cbdbd3f10b837376100c11"
        );
    }
}
