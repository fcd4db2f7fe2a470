//! Another issuer: its keys, its tokens, and what Onceward is told about it.

use std::{io::Write, time::Duration};

use access::{JwksLocation, TokenRules, TokenSettings};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::Utc;
use ring::{
    hmac,
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair},
};
use serde_json::{Value, json};
use tempfile::NamedTempFile;

pub const NAME: &str = "https://issuer.example";
pub const AUDIENCE: &str = "payments";

/// The modulus of an RSA key of 2,048 bits, whose private half no longer exists.
pub const RSA_MODULUS: &str = "z6o_J1ktQM3CCiBn-ILTEb0HxfCoLTjfi5gV9bsaIK8m9ppH0_uqjWWlNRufZzf0MHMhbpnttZdHQ-TEeEymxqTC-ocQxxG4mBi4-3rayWyPhfq3kfld8sjFf7S-8f3_c6CZ1S-ZAvC-CjdMB8UgcDxaOzGaDkyjS0tOno9ECUaIoIx2DFcvzRlEV960B9BBWpDPnoMBEfqEHz1GDWqBW62Na1WwXnvayQFMv2ughBOX54CWrX1bExrLltJG7MPhdSmj47p8vvzo00C9b3AuVESOeAOtDDIuI1anyFBunUNHhVgQxrkLJVw25Knd8c0vRaE8Z-9Kz_qquhr86_FBRw";
/// A token for the submitter `ledger` that it signed with RS256 while it existed. It expires in the year 2100.
pub const RSA_TOKEN: &str = "eyJhbGciOiJSUzI1NiIsImtpZCI6InJzYSIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJodHRwczovL2lzc3Vlci5leGFtcGxlIiwiYXVkIjoicGF5bWVudHMiLCJzdWIiOiJsZWRnZXIiLCJyb2xlIjoic3VibWl0dGVyIiwiZXhwIjo0MTAyNDQ0ODAwfQ.J6QfvjuTR1Bf9EuRwHOFyV63WByZZsoC5u9wxCUWh2PAvpldxzU9NOnjvZV3yCJNuI0rG6IEQxUFTlvZgWcmaSHQ8w3gCqKXhMdnfIZ0E3x3Suyg7u8s4EVxS0wNDS-SmfQ60f4h4uYc_PzteG5zMcgkhOPfJUYbIyCLNhKQnC0FKSS7i7G_dcZD-pCy3uuwfdG_aanYU9Gri3PatWuMN_7Xg3Il-M3FBCDDLdy6zFaPDzgBXKAbzliPrnxWZ1ZmgdLyIMQhrRelljFNNps80kaMlKhw1A1BODTF93Vv_CzKIw0120gs72Iyq5O8y95or6rqGC9X_OD2cBfk0hCB8w";

/// One of the issuer's keys.
pub enum SigningKey {
    Es256(EcdsaKeyPair),
    EdDsa(Ed25519KeyPair),
    Hs256(Vec<u8>),
}

impl SigningKey {
    pub fn es256() -> Self {
        let rng = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &rng).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &rng);
        Self::Es256(pair.unwrap())
    }

    pub fn ed_dsa() -> Self {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        Self::EdDsa(Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap())
    }

    pub fn algorithm(&self) -> &'static str {
        match self {
            Self::Es256(_) => "ES256",
            Self::EdDsa(_) => "EdDSA",
            Self::Hs256(_) => "HS256",
        }
    }

    /// The public half.
    pub fn jwk(&self, id: &str) -> Value {
        match self {
            Self::Es256(pair) => {
                let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
                json!({"kty": "EC", "crv": "P-256", "kid": id, "x": encode(x), "y": encode(y)})
            }
            Self::EdDsa(pair) => {
                let x = encode(pair.public_key());
                json!({"kty": "OKP", "crv": "Ed25519", "kid": id, "x": x})
            }
            Self::Hs256(_) => panic!("a secret has no public half"),
        }
    }

    /// A token with exactly this header and these claims.
    pub fn sign(&self, header: &Value, claims: &Value) -> String {
        let signed = format!("{}.{}", encode(header.to_string()), encode(claims.to_string()));
        let message = signed.as_bytes();
        let signature = match self {
            Self::Es256(pair) => {
                pair.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec()
            }
            Self::EdDsa(pair) => pair.sign(message).as_ref().to_vec(),
            Self::Hs256(secret) => {
                hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message).as_ref().to_vec()
            }
        };
        format!("{signed}.{}", encode(signature))
    }

    /// A usual token.
    pub fn token(&self, id: &str, claims: &Value) -> String {
        self.sign(&json!({"alg": self.algorithm(), "typ": "JWT", "kid": id}), claims)
    }
}

/// The claims of a usual token.
pub fn claims(subject: &str) -> Value {
    let exp = Utc::now().timestamp() + 300;
    json!({"iss": NAME, "aud": AUDIENCE, "sub": subject, "role": "submitter", "exp": exp})
}

/// An object, with one member changed. Null removes it.
pub fn with(mut object: Value, name: &str, value: Value) -> Value {
    let members = object.as_object_mut().unwrap();
    match value {
        Value::Null => _ = members.remove(name),
        value => _ = members.insert(name.to_owned(), value),
    }
    object
}

pub fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The RSA key of [`RSA_TOKEN`].
pub fn rsa_jwk() -> Value {
    json!({"kty": "RSA", "kid": "rsa", "alg": "RS256", "use": "sig", "n": RSA_MODULUS, "e": "AQAB"})
}

pub fn file(content: impl AsRef<[u8]>) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(content.as_ref()).unwrap();
    file
}

pub fn settings(jwks: Option<JwksLocation>) -> TokenSettings {
    TokenSettings {
        hs256_secret: None,
        jwks,
        rules: TokenRules {
            issuer: Some(NAME.to_owned()),
            audience: Some(AUDIENCE.to_owned()),
            principal: "sub".parse().unwrap(),
            role: "role".parse().unwrap(),
            roles: "".parse().unwrap(),
        },
        lifetime: Duration::from_secs(300),
    }
}
