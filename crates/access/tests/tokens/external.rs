//! Tokens of another issuer that are accepted, and who they stand for.

use access::{Access, JwksLocation, TokenError, TokenRefusal, Tokens};
use chrono::{TimeDelta, Utc};
use domain::{PrincipalKind, Role};
use serde_json::{Value, json};

use crate::{
    issuer::{AUDIENCE, SigningKey, claims, file, rsa_jwk, settings, with},
    support::database,
};

fn set(keys: &[Value]) -> String {
    json!({ "keys": keys }).to_string()
}

#[tokio::test]
async fn a_token_stands_for_its_subject_in_the_role_that_it_names() {
    let key = SigningKey::es256();
    let file = file(set(&[rsa_jwk(), key.jwk("k")]));
    let settings = settings(Some(JwksLocation::File(file.path().into())));
    let tokens = Tokens::new(&Access::new(database().await), settings).unwrap();
    let now = Utc::now();
    let claims = with(claims("auth0|ä 7"), "jti", json!("t-1"));
    let holder = tokens.authenticate(&key.token("k", &claims), now).await.unwrap();
    assert_eq!(holder.principal.as_str(), "auth0|ä 7");
    assert_eq!(holder.kind, PrincipalKind::External);
    assert_eq!(holder.role, Role::Submitter);
    assert_eq!(holder.credential, "token:t-1");
    for header in [
        json!({"alg": "ES256"}),
        json!({"alg": "ES256", "typ": "at+jwt"}),
        json!({"alg": "ES256", "typ": "application/AT+JWT", "kid": "k", "x5t": "x"}),
    ] {
        tokens.authenticate(&key.sign(&header, &claims), now).await.unwrap();
    }
    for (name, value) in [
        ("aud", json!(["others", AUDIENCE])),
        ("exp", json!(now.timestamp() as f64 + 60.5)),
        ("exp", json!(1e300)),
        ("exp", json!(now.timestamp() - 4)),
        ("nbf", json!(now.timestamp() + 5)),
        ("jti", json!("unfit\n")),
        ("role", json!(["offline_access", "viewer"])),
    ] {
        let token = key.token("k", &with(claims.clone(), name, value.clone()));
        let holder = tokens.authenticate(&token, now).await;
        let holder = holder.unwrap_or_else(|error| panic!("{name} {value}: {error}"));
        assert!(!holder.credential.contains('\n'));
    }
}

#[tokio::test]
async fn claims_are_mapped_to_principal_and_role_by_settings() {
    let key = SigningKey::ed_dsa();
    let file = file(set(&[key.jwk("k")]));
    let mut settings = settings(Some(JwksLocation::File(file.path().into())));
    settings.rules.principal = "client_id".parse().unwrap();
    settings.rules.role = "/realm_access/roles".parse().unwrap();
    settings.rules.roles = "payments-ops=operator".parse().unwrap();
    let tokens = Tokens::new(&Access::new(database().await), settings).unwrap();
    let of = |roles: Value| {
        let claims = with(claims("7f3a"), "client_id", json!("batch"));
        key.token("k", &with(claims, "realm_access", json!({ "roles": roles })))
    };
    let holder = tokens.authenticate(&of(json!(["x", "payments-ops"])), Utc::now()).await.unwrap();
    assert_eq!((holder.principal.as_str(), holder.role), ("batch", Role::Operator));
    // Once values are mapped, a role's own name means nothing.
    let refused = tokens.authenticate(&of(json!(["admin"])), Utc::now()).await;
    assert!(matches!(refused, Err(TokenError::Refused(TokenRefusal::Claim("role")))));
}

#[tokio::test]
async fn a_subject_with_the_name_of_a_client_is_refused() {
    let pool = database().await;
    let access = Access::new(pool);
    let key = SigningKey::es256();
    let file = file(set(&[key.jwk("k")]));
    let settings = settings(Some(JwksLocation::File(file.path().into())));
    access.create_client(&domain::Actor::anonymous(), "payroll", Role::Viewer, None).await.unwrap();
    let tokens = Tokens::new(&access, settings).unwrap();
    for token in [key.token("k", &claims("payroll")), key.token("k", &claims("payroll"))] {
        let refused = tokens.authenticate(&token, Utc::now()).await;
        assert!(matches!(refused, Err(TokenError::Refused(TokenRefusal::NameTaken))));
    }
    tokens.authenticate(&key.token("k", &claims("Payroll")), Utc::now()).await.unwrap();
}

#[tokio::test]
async fn a_verified_token_is_refused_once_it_has_expired() {
    let key = SigningKey::es256();
    let file = file(set(&[key.jwk("k")]));
    let settings = settings(Some(JwksLocation::File(file.path().into())));
    let tokens = Tokens::new(&Access::new(database().await), settings).unwrap();
    let now = Utc::now();
    let token = key.token("k", &claims("erp:7"));
    let holder = tokens.authenticate(&token, now).await.unwrap();
    let refused = tokens.authenticate(&token, now + TimeDelta::seconds(400)).await;
    assert!(matches!(refused, Err(TokenError::Refused(TokenRefusal::Expired))));
    assert!(holder.expires_at <= now.timestamp() + 306);
}

#[tokio::test]
async fn without_settings_no_token_of_another_issuer_is_accepted() {
    let tokens = Tokens::new(&Access::new(database().await), settings(None)).unwrap();
    for key in [SigningKey::es256(), SigningKey::ed_dsa(), SigningKey::Hs256(vec![7; 32])] {
        let refused = tokens.authenticate(&key.token("k", &claims("erp:7")), Utc::now()).await;
        assert!(matches!(refused, Err(TokenError::Refused(TokenRefusal::Algorithm))));
    }
}

#[tokio::test]
async fn a_token_with_an_audience_is_refused_where_none_is_set() {
    let key = SigningKey::es256();
    let file = file(set(&[key.jwk("k")]));
    let mut settings = settings(Some(JwksLocation::File(file.path().into())));
    (settings.rules.audience, settings.rules.issuer) = (None, None);
    let tokens = Tokens::new(&Access::new(database().await), settings).unwrap();
    let refused = tokens.authenticate(&key.token("k", &claims("erp:7")), Utc::now()).await;
    assert!(matches!(refused, Err(TokenError::Refused(TokenRefusal::Audience))));
    let without = with(with(claims("erp:7"), "aud", Value::Null), "iss", Value::Null);
    tokens.authenticate(&key.token("k", &without), Utc::now()).await.unwrap();
}

#[tokio::test]
async fn the_start_fails_if_a_file_has_no_usable_key() {
    let access = Access::new(database().await);
    let weak = with(rsa_jwk(), "n", json!("AQAB"));
    for content in ["", "{}", &set(&[]), &set(&[weak])] {
        let file = file(content);
        let settings = settings(Some(JwksLocation::File(file.path().into())));
        assert_eq!(Tokens::new(&access, settings).unwrap_err().0, "JWT_JWKS", "{content}");
    }
    let mut settings = settings(None);
    let short = file([7; 31]);
    settings.hs256_secret = Some(short.path().into());
    assert_eq!(Tokens::new(&access, settings).unwrap_err().0, "JWT_HS256_SECRET_FILE");
}
