//! Whether a token is good, as a pure function of the token, the keys, the rules and the time (RFC 8725).

use std::sync::Arc;

use data_encoding::HEXLOWER;
use domain::{Principal, Role};
use sha2::{Digest, Sha256};

use super::{
    claims::Claims,
    error::TokenRefusal,
    issue::{AUDIENCE, ISSUER},
    jws::{Jws, TokenType},
    key::{Algorithm, VerificationKey},
    rules::TokenRules,
};
use crate::principals::RESERVED;

/// The longest principal and the longest id of a token, in characters.
const MAX_NAME_CHARS: usize = 128;

/// A token whose signature and claims are right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct VerifiedToken {
    pub subject: Subject,
    /// Its own id, or if it has none, one that is derived from it.
    pub id: String,
    /// When it expires, in seconds since 1970.
    pub expires_at: i64,
}

/// Who a token is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Subject {
    /// A client, by the key that it exchanged. Its role is not the token's to say.
    Client { name: String, key: String },
    /// Someone whom another issuer knows.
    External { principal: Principal, role: Role },
}

/// Verifies a token of another issuer.
///
/// # Errors
/// The first thing that is wrong with it.
pub(super) fn external(
    token: &Jws<'_>,
    keys: &[Arc<VerificationKey>],
    rules: &TokenRules,
    now: i64,
) -> Result<VerifiedToken, TokenRefusal> {
    let claims = signed_claims(token, keys)?;
    if let Some(issuer) = &rules.issuer {
        claims.check_issuer(issuer)?;
    }
    claims.check_audience(rules.audience.as_deref())?;
    let expires_at = claims.expiry_by_another_clock(now)?;
    let name = rules.principal.of(claims.all()).and_then(|claim| claim.as_str());
    let name = name
        .filter(|name| is_fit(name) && !RESERVED.contains(name))
        .ok_or(TokenRefusal::Claim("principal"))?;
    let role = rules.role.of(claims.all()).and_then(|claim| rules.roles.role(claim));
    let role = role.ok_or(TokenRefusal::Claim("role"))?;
    let subject = Subject::External { principal: Principal::named(name.to_owned()), role };
    Ok(VerifiedToken { subject, id: id(&claims, token), expires_at })
}

/// Verifies a token that Onceward issued.
///
/// # Errors
/// The first thing that is wrong with it.
pub(super) fn own(
    token: &Jws<'_>,
    keys: &[Arc<VerificationKey>],
    now: i64,
) -> Result<VerifiedToken, TokenRefusal> {
    let claims = signed_claims(token, keys)?;
    if token.token_type != TokenType::AccessToken {
        return Err(TokenRefusal::Type);
    }
    claims.check_issuer(ISSUER)?;
    claims.check_audience(Some(AUDIENCE))?;
    let expires_at = claims.expiry(now)?;
    let text = |name| claims.text(name).map(str::to_owned).ok_or(TokenRefusal::Claim(name));
    let subject = Subject::Client { name: text("sub")?, key: text("key")? };
    Ok(VerifiedToken { subject, id: id(&claims, token), expires_at })
}

/// The claims of a token, if one of the keys signed it.
fn signed_claims(token: &Jws<'_>, keys: &[Arc<VerificationKey>]) -> Result<Claims, TokenRefusal> {
    let is_verified = |key: &&Arc<VerificationKey>| key.verifies(token.signed, &token.signature);
    if !candidates(token, keys)?.iter().any(is_verified) {
        return Err(TokenRefusal::Signature);
    }
    Claims::parse(&token.payload)
}

/// The keys that may have signed a token. A key verifies only its own algorithm, whatever the token says.
fn candidates<'k>(
    token: &Jws<'_>,
    keys: &'k [Arc<VerificationKey>],
) -> Result<Vec<&'k Arc<VerificationKey>>, TokenRefusal> {
    let goes = |key: &&Arc<VerificationKey>| key.algorithm() == token.algorithm;
    let Some(id) = token.key_id.as_deref() else {
        let keys: Vec<_> = keys.iter().filter(goes).collect();
        return if keys.is_empty() { Err(TokenRefusal::Algorithm) } else { Ok(keys) };
    };
    let of_id: Vec<_> = keys.iter().filter(|key| key.id.as_deref() == Some(id)).collect();
    if !of_id.is_empty() {
        let keys: Vec<_> = of_id.into_iter().filter(goes).collect();
        return if keys.is_empty() { Err(TokenRefusal::Algorithm) } else { Ok(keys) };
    }
    // The secret has no id of its own, so its issuer may call it anything.
    let is_secret = |key: &&Arc<VerificationKey>| goes(key) && token.algorithm == Algorithm::Hs256;
    let secrets: Vec<_> = keys.iter().filter(is_secret).collect();
    if secrets.is_empty() { Err(TokenRefusal::UnknownKey) } else { Ok(secrets) }
}

/// The id of a token. One that is missing or unfit for the audit is derived from the signature.
fn id(claims: &Claims, token: &Jws<'_>) -> String {
    let derived =
        || format!("sha256-{}", &HEXLOWER.encode(&Sha256::digest(&token.signature))[..16]);
    claims.text("jti").filter(|id| is_fit(id)).map_or_else(derived, str::to_owned)
}

/// Whether a text from outside can be a name: it is shown to people, and compared.
fn is_fit(text: &str) -> bool {
    text.trim() == text
        && (1..=MAX_NAME_CHARS).contains(&text.chars().count())
        && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use proptest::{prelude::*, sample::Index};
    use ring::hmac;
    use serde_json::{Value, json};

    use super::{super::key::Material, *};

    fn keys() -> Vec<Arc<VerificationKey>> {
        let secret = hmac::Key::new(hmac::HMAC_SHA256, &[7; 32]);
        vec![Arc::new(VerificationKey { id: None, material: Material::Secret(secret) })]
    }

    fn rules() -> TokenRules {
        TokenRules {
            issuer: None,
            audience: None,
            principal: "sub".parse().unwrap(),
            role: "role".parse().unwrap(),
            roles: "".parse().unwrap(),
        }
    }

    fn signed(header: &str, claims: &str) -> String {
        use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
        let signed =
            format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let key = hmac::Key::new(hmac::HMAC_SHA256, &[7; 32]);
        let signature = hmac::sign(&key, signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn verified(token: &str) -> Result<VerifiedToken, TokenRefusal> {
        external(&Jws::parse(token)?, &keys(), &rules(), 1_000)
    }

    fn good() -> String {
        signed(r#"{"alg":"HS256"}"#, r#"{"sub":"erp","role":"viewer","exp":2000}"#)
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            "\\PC{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(2, 8, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::hash_map("\\PC{0,4}", inner, 0..3).prop_map(|all| json!(all)),
            ]
        })
    }

    fn any_members(names: &'static [&'static str]) -> impl Strategy<Value = String> {
        let member = (prop::sample::select(names), any_json());
        prop::collection::vec(member, 0..5).prop_map(|members| {
            let object: serde_json::Map<_, _> =
                members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
            Value::Object(object).to_string()
        })
    }

    #[test]
    fn a_good_token_is_verified() {
        let token = verified(&good()).unwrap();
        assert_eq!(token.expires_at, 2_005);
        assert_eq!(
            token.subject,
            Subject::External { principal: Principal::named("erp".to_owned()), role: Role::Viewer }
        );
    }

    proptest! {
        #[test]
        fn a_token_with_one_other_bit_is_refused(at: Index, bit in 0..8_u8) {
            let mut bytes = good().into_bytes();
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            if let Ok(token) = String::from_utf8(bytes) {
                prop_assert!(verified(&token).is_err(), "{token}");
            }
        }

        #[test]
        fn any_text_is_refused_without_a_panic(token in "(\\PC|[.=_-]){0,60}") {
            prop_assert!(verified(&token).is_err());
        }

        #[test]
        fn any_header_and_claims_are_judged_without_a_panic(
            header in any_members(&["alg", "typ", "kid", "jku", "crit"]),
            claims in any_members(&["sub", "role", "exp", "nbf", "iss", "aud", "jti"]),
        ) {
            let _ = verified(&signed(&header, &claims));
            let _ = verified(&signed(r#"{"alg":"HS256"}"#, &claims));
            let own = signed(r#"{"alg":"HS256","typ":"at+jwt"}"#, &claims);
            let _ = own_of(&own);
        }
    }

    fn own_of(token: &str) -> Result<VerifiedToken, TokenRefusal> {
        super::own(&Jws::parse(token)?, &keys(), 1_000)
    }
}
