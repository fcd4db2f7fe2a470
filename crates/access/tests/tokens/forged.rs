//! Forged tokens, each refused for its own reason.

use access::{Access, JwksLocation, TokenError, TokenRefusal, Tokens};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::Utc;
use serde_json::{Value, json};

use crate::{
    issuer::{
        AUDIENCE, RSA_MODULUS, RSA_TOKEN, SigningKey, claims, encode, file, rsa_jwk, settings, with,
    },
    support::database,
};

#[tokio::test]
async fn each_forged_token_is_refused_for_its_own_reason() {
    let (es, ed, stranger) = (SigningKey::es256(), SigningKey::ed_dsa(), SigningKey::es256());
    let secret = SigningKey::Hs256(vec![7; 32]);
    let secret_file = file([7; 32]);
    let set = file(json!({"keys": [rsa_jwk(), es.jwk("es"), ed.jwk("ed")]}).to_string());
    let mut settings = settings(Some(JwksLocation::File(set.path().into())));
    settings.hs256_secret = Some(secret_file.path().into());
    let tokens = Tokens::new(&Access::new(database().await), settings).unwrap();

    let now = Utc::now();
    let good = || claims("erp:7");
    let header = || json!({"alg": "ES256", "typ": "JWT", "kid": "es"});
    let headed = |name: &str, value: Value| es.sign(&with(header(), name, value), &good());
    let claiming = |name: &str, value: Value| es.token("es", &with(good(), name, value));
    let exchanged = |part: usize, other: &str| {
        let token = es.token("es", &good());
        let mut parts: Vec<_> = token.split('.').collect();
        parts[part] = other;
        parts.join(".")
    };
    // What the published key looks like to a careless verifier: a text, or its bytes.
    let rsa_as_secret =
        [RSA_MODULUS.as_bytes().to_vec(), URL_SAFE_NO_PAD.decode(RSA_MODULUS).unwrap()]
            .map(SigningKey::Hs256);
    let admin = encode(with(good(), "role", json!("admin")).to_string());
    let unsigned = |alg: &str| format!("{}.{admin}.", encode(json!({"alg": alg}).to_string()));
    use TokenRefusal::*;
    let cases = vec![
        // Not signed, or with what is no key.
        ("none", unsigned("none"), Algorithm),
        ("none in capitals", unsigned("NONE"), Algorithm),
        ("none with a key id", headed("alg", json!("none")), Algorithm),
        ("HS256 with the RSA key's text", rsa_as_secret[0].token("rsa", &good()), Signature),
        ("HS256 with the RSA key's bytes", rsa_as_secret[1].token("rsa", &good()), Signature),
        (
            "HS256 with another secret",
            SigningKey::Hs256(vec![8; 32]).token("es", &good()),
            Signature,
        ),
        ("HS256 with an empty secret", SigningKey::Hs256(vec![]).token("es", &good()), Signature),
        ("HS512", headed("alg", json!("HS512")), Algorithm),
        ("PS256", headed("alg", json!("PS256")), Algorithm),
        ("the algorithm of another key", headed("alg", json!("EdDSA")), Algorithm),
        ("the id of another key", headed("kid", json!("ed")), Algorithm),
        ("an unknown key", stranger.token("stranger", &good()), UnknownKey),
        ("an unknown key of ours", stranger.token("onceward-1", &good()), UnknownKey),
        ("a key id that is a path", headed("kid", json!("../../dev/null")), UnknownKey),
        ("the id of a known key", stranger.token("es", &good()), Signature),
        ("no key id", stranger.sign(&json!({"alg": "ES256"}), &good()), Signature),
        ("an empty signature", exchanged(2, ""), Signature),
        ("a signature of zeros", exchanged(2, &encode([0; 64])), Signature),
        ("other claims", exchanged(1, &admin), Signature),
        ("another header", exchanged(0, &encode(json!({"alg": "ES256"}).to_string())), Signature),
        (
            "RS256 over other claims",
            {
                let parts: Vec<_> = RSA_TOKEN.split('.').collect();
                format!("{}.{admin}.{}", parts[0], parts[2])
            },
            Signature,
        ),
        // Keys that the token brings along, and extensions.
        ("jku", headed("jku", json!("https://evil.example/jwks.json")), Header("jku")),
        ("jwk", stranger.sign(&with(header(), "jwk", stranger.jwk("es")), &good()), Header("jwk")),
        ("x5u", headed("x5u", json!("https://evil.example/cert")), Header("x5u")),
        ("x5c", headed("x5c", json!([])), Header("x5c")),
        ("crit", headed("crit", json!(["exp"])), Header("crit")),
        ("b64", headed("b64", json!(false)), Header("b64")),
        ("a token in a token", headed("cty", json!("JWT")), Header("cty")),
        // Another kind of token.
        ("typ of a logout token", headed("typ", json!("logout+jwt")), Type),
        ("typ that is no text", headed("typ", json!(7)), Type),
        ("another issuer", claiming("iss", json!("https://evil.example")), Issuer),
        ("no issuer", claiming("iss", Value::Null), Issuer),
        ("two issuers", claiming("iss", json!([crate::issuer::NAME])), Issuer),
        ("another audience", claiming("aud", json!("payroll")), Audience),
        ("other audiences", claiming("aud", json!(["payroll", 7])), Audience),
        ("no audience", claiming("aud", Value::Null), Audience),
        ("an audience in another case", claiming("aud", json!(AUDIENCE.to_uppercase())), Audience),
        // Its time.
        ("expired", claiming("exp", json!(now.timestamp() - 60)), Expired),
        ("expired in 1969", claiming("exp", json!(-1)), Expired),
        ("no expiry", claiming("exp", Value::Null), Claim("exp")),
        ("an expiry that is a text", claiming("exp", json!("4102444800")), Claim("exp")),
        ("not valid yet", claiming("nbf", json!(now.timestamp() + 60)), NotYetValid),
        ("a beginning that is a text", claiming("nbf", json!("0")), Claim("nbf")),
        // Who it is for.
        ("no subject", claiming("sub", Value::Null), Claim("principal")),
        ("an empty subject", claiming("sub", json!("")), Claim("principal")),
        ("a long subject", claiming("sub", json!("x".repeat(129))), Claim("principal")),
        ("a subject with a line break", claiming("sub", json!("a\nb")), Claim("principal")),
        (
            "a subject with a blank at its end",
            claiming("sub", json!("payroll ")),
            Claim("principal"),
        ),
        ("anonymous", claiming("sub", json!("anonymous")), Claim("principal")),
        ("the command line", claiming("sub", json!("command-line")), Claim("principal")),
        ("no role", claiming("role", Value::Null), Claim("role")),
        ("an unknown role", claiming("role", json!("root")), Claim("role")),
        ("two roles", claiming("role", json!(["viewer", "admin"])), Claim("role")),
        // Not a token.
        ("nothing", String::new(), Malformed),
        ("two parts", "e30.e30".to_owned(), Malformed),
        ("five parts", format!("{RSA_TOKEN}.e30.e30"), Malformed),
        ("padding", es.token("es", &good()) + "=", Malformed),
        ("a blank", es.token("es", &good()) + " ", Malformed),
        ("a header that is no object", exchanged(0, &encode("[]")), Malformed),
        ("two algorithms", exchanged(0, &encode(r#"{"alg":"ES256","alg":"none"}"#)), Malformed),
        ("no algorithm", exchanged(0, &encode("{}")), Malformed),
        ("a key id that is no text", headed("kid", json!({})), Malformed),
        ("more than 8 KiB", claiming("x", json!("x".repeat(8_192))), Malformed),
    ];
    for (what, token, reason) in cases {
        match tokens.authenticate(&token, now).await {
            Err(TokenError::Refused(refusal)) => {
                assert_eq!(refusal, reason, "{what}");
                let text = format!("{refusal} {refusal:?} {}", refusal.as_str());
                let repeats = token.len() > 20 && text.contains(&token[..20]);
                assert!(!repeats, "{what}: the reason repeats the token");
            }
            other => panic!("{what}: {other:?}"),
        }
    }
    // The same setup accepts what is right, so nothing was refused for want of keys.
    for token in [
        es.token("es", &good()),
        ed.token("ed", &good()),
        secret.token("any", &good()),
        RSA_TOKEN.to_owned(),
    ] {
        tokens.authenticate(&token, now).await.unwrap();
    }
}
