//! JSON Web Key Sets (RFC 7517). Keys that cannot verify a token here are left out: an issuer may publish them too.

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use domain::json;
use ring::{hmac, signature::RsaPublicKeyComponents};
use serde_json::{Map, Value};

use super::{
    error::KeysError,
    key::{Algorithm, Material, VerificationKey},
};

/// The most keys of a set.
const MAX_KEYS: usize = 64;
/// The shortest and the longest modulus of an RSA key. ring accepts no others.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2_048..=8_192;
/// The shortest secret: as long as the hash (RFC 7518, 3.2).
const MIN_SECRET_BYTES: usize = 32;

/// The usable keys of a set; there may be none.
///
/// # Errors
/// If it is no set, or too large.
pub(super) fn read_set(bytes: &[u8]) -> Result<Vec<Arc<VerificationKey>>, KeysError> {
    let Ok(Value::Object(mut set)) = json::read(bytes) else { return Err(KeysError::NotASet) };
    let Some(Value::Array(keys)) = set.remove("keys") else { return Err(KeysError::NotASet) };
    if keys.len() > MAX_KEYS {
        return Err(KeysError::TooMany);
    }
    Ok(keys.iter().filter_map(Value::as_object).filter_map(read).map(Arc::new).collect())
}

/// The key of a file that has a secret. One line break at its end does not belong to the secret.
///
/// # Errors
/// If the secret is too short.
pub(super) fn read_secret(bytes: &[u8]) -> Result<Vec<Arc<VerificationKey>>, KeysError> {
    let secret = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let secret = secret.strip_suffix(b"\r").unwrap_or(secret);
    if secret.len() < MIN_SECRET_BYTES {
        return Err(KeysError::ShortSecret);
    }
    let material = Material::Secret(hmac::Key::new(hmac::HMAC_SHA256, secret));
    Ok(vec![Arc::new(VerificationKey { id: None, material })])
}

/// The key, if it is for signatures and of a kind that is accepted. A secret is never taken from a set.
fn read(jwk: &Map<String, Value>) -> Option<VerificationKey> {
    let text = |name: &str| jwk.get(name).and_then(Value::as_str);
    let material = match (text("kty")?, text("crv")) {
        ("RSA", _) => {
            let n = decode(text("n")?)?;
            let n = n[n.iter().position(|byte| *byte != 0)?..].to_vec();
            let bits = n.len() * 8 - n.first()?.leading_zeros() as usize;
            let e = decode(text("e")?)?;
            RSA_BITS.contains(&bits).then_some(Material::Rsa(RsaPublicKeyComponents { n, e }))?
        }
        ("EC", Some("P-256")) => {
            let (x, y) = (decode_32(text("x")?)?, decode_32(text("y")?)?);
            Material::P256(point(&x, &y))
        }
        ("OKP", Some("Ed25519")) => Material::Ed25519(decode_32(text("x")?)?),
        _ => return None,
    };
    let id = match jwk.get("kid") {
        None => None,
        Some(id) => Some(id.as_str()?.to_owned()),
    };
    let key = VerificationKey { id, material };
    let is_for_signatures = jwk.get("use").is_none_or(|purpose| purpose == "sig");
    let verifies = jwk.get("key_ops").is_none_or(|operations| {
        operations.as_array().is_some_and(|all| all.iter().any(|one| one == "verify"))
    });
    let is_of_algorithm = jwk.get("alg").is_none_or(|name| {
        name.as_str().and_then(Algorithm::named).is_some_and(|named| named == key.algorithm())
    });
    (is_for_signatures && verifies && is_of_algorithm).then_some(key)
}

/// A point of P-256, uncompressed.
fn point(x: &[u8; 32], y: &[u8; 32]) -> [u8; 65] {
    let mut point = [4; 65];
    point[1..33].copy_from_slice(x);
    point[33..].copy_from_slice(y);
    point
}

fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

fn decode_32(text: &str) -> Option<[u8; 32]> {
    decode(text)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ids(keys: Value) -> Vec<String> {
        let set = json!({"keys": keys}).to_string();
        let keys = read_set(set.as_bytes()).unwrap();
        keys.iter().map(|key| key.id.clone().unwrap_or_default()).collect()
    }

    fn bytes(length: usize) -> String {
        URL_SAFE_NO_PAD.encode(vec![0xC1; length])
    }

    #[test]
    fn keys_that_are_not_for_signatures_of_an_accepted_kind_are_left_out() {
        let rsa = |id: &str, bits: usize| json!({"kty": "RSA", "kid": id, "n": bytes(bits / 8), "e": "AQAB"});
        let with = |mut jwk: Value, name: &str, value: Value| {
            jwk[name] = value;
            jwk
        };
        let ec = json!({"kty": "EC", "crv": "P-256", "kid": "ec", "x": bytes(32), "y": bytes(32)});
        let ed = json!({"kty": "OKP", "crv": "Ed25519", "kid": "ed", "x": bytes(32)});
        let kept = [
            rsa("2048", 2_048),
            rsa("8192", 8_192),
            with(rsa("sig", 2_048), "use", json!("sig")),
            with(rsa("verify", 2_048), "key_ops", json!(["verify"])),
            with(ec.clone(), "alg", json!("ES256")),
            with(ed.clone(), "alg", json!("EdDSA")),
        ];
        assert_eq!(ids(json!(kept)), ["2048", "8192", "sig", "verify", "ec", "ed"]);
        let left_out = [
            rsa("1024", 1_024),
            rsa("16384", 16_384),
            json!({"kty": "RSA", "kid": "zeros", "n": URL_SAFE_NO_PAD.encode([0; 256]), "e": "AQAB"}),
            json!({"kty": "RSA", "kid": "padded", "n": bytes(256) + "==", "e": "AQAB"}),
            with(rsa("enc", 2_048), "use", json!("enc")),
            with(rsa("sign", 2_048), "key_ops", json!(["sign"])),
            with(rsa("ps256", 2_048), "alg", json!("PS256")),
            with(rsa("es256", 2_048), "alg", json!("ES256")),
            with(rsa("number", 2_048), "kid", json!(7)),
            with(ec.clone(), "crv", json!("P-384")),
            with(ec.clone(), "x", json!(bytes(33))),
            with(ed, "crv", json!("Ed448")),
            json!({"kty": "oct", "kid": "oct", "k": bytes(32), "alg": "HS256"}),
            json!("no object"),
        ];
        assert_eq!(ids(json!(left_out)), [""; 0]);
    }

    #[test]
    fn what_is_no_set_or_too_large_is_an_error() {
        for text in ["", "[]", "{}", r#"{"keys": {}}"#, r#"{"keys": [], "keys": []}"#] {
            assert!(matches!(read_set(text.as_bytes()), Err(KeysError::NotASet)), "{text}");
        }
        let many = json!({"keys": vec![json!({}); 65]}).to_string();
        assert!(matches!(read_set(many.as_bytes()), Err(KeysError::TooMany)));
    }

    #[test]
    fn a_secret_has_32_bytes_without_the_line_break_at_its_end() {
        for secret in ["x".repeat(32), "x".repeat(32) + "\n", "x".repeat(32) + "\r\n"] {
            assert!(read_secret(secret.as_bytes()).is_ok(), "{secret:?}");
        }
        for secret in [String::new(), "x".repeat(31), "x".repeat(31) + "\n"] {
            let read = read_secret(secret.as_bytes());
            assert!(matches!(read, Err(KeysError::ShortSecret)), "{secret:?}");
        }
    }
}
