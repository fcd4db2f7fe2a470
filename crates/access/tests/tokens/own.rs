//! Tokens that Onceward issues for a client's key.

use std::time::Duration;

use access::{Access, NewKey, TokenError, TokenRefusal, Tokens};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};
use domain::{PrincipalKind, Role};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio::time::{advance, pause, resume};
use uuid::Uuid;

use crate::{issuer::settings, support::database};

/// A process of its own on the database.
struct Process {
    access: Access,
    tokens: Tokens,
}

impl Process {
    fn on(pool: &PgPool) -> Self {
        let access = Access::new(pool.clone());
        Self { tokens: Tokens::new(&access, settings(None)).unwrap(), access }
    }

    async fn client(&self, name: &str) -> (Uuid, NewKey) {
        let id = self
            .access
            .create_client(&domain::Actor::anonymous(), name, Role::Submitter, None)
            .await
            .unwrap();
        (id, self.access.create_key(&domain::Actor::anonymous(), id, None).await.unwrap())
    }

    async fn issue(&self, name: &str, key: &NewKey, now: DateTime<Utc>) -> String {
        let issued = self.tokens.issue(name, &key.id, now).await.unwrap();
        assert_eq!(issued.expires_in, Duration::from_secs(300));
        issued.token.expose_secret().to_owned()
    }

    async fn role(&self, token: &str) -> Result<Role, TokenError> {
        self.tokens.authenticate(token, Utc::now()).await.map(|holder| holder.role)
    }

    async fn published(&self) -> Vec<String> {
        let set = self.tokens.jwks(Utc::now()).await.unwrap();
        let keys = set["keys"].as_array().unwrap();
        keys.iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
    }
}

/// Makes the keys of the database older.
async fn age(pool: &PgPool, minutes: i64) {
    sqlx::query("update signing_keys set created_at = created_at - $1 * interval '1 minute'")
        .bind(minutes)
        .execute(pool)
        .await
        .unwrap();
}

/// Lets time pass while nothing is in flight, so that no timeout ends.
async fn wait(milliseconds: u64) {
    pause();
    advance(Duration::from_millis(milliseconds)).await;
    resume();
}

fn part(token: &str, number: usize) -> Value {
    let part = token.split('.').nth(number).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

const MONTH: i64 = 31 * 24 * 60;

#[tokio::test]
async fn a_token_stands_for_the_client_in_every_process() {
    let pool = database().await;
    let (one, other) = (Process::on(&pool), Process::on(&pool));
    let (_, key) = one.client("payroll").await;
    let now = Utc::now();
    let token = one.issue("payroll", &key, now).await;
    for process in [&one, &other] {
        let holder = process.tokens.authenticate(&token, now).await.unwrap();
        assert_eq!(holder.principal.as_str(), "payroll");
        assert_eq!((holder.kind, holder.role), (PrincipalKind::Client, Role::Submitter));
        assert_eq!(
            holder.credential,
            format!("token:{}", part(&token, 1)["jti"].as_str().unwrap())
        );
    }
    let (header, claims) = (part(&token, 0), part(&token, 1));
    assert_eq!((&header["typ"], &header["alg"]), (&json!("at+jwt"), &json!("ES256")));
    assert_eq!(claims["role"], Value::Null);
    assert_eq!(claims["exp"], json!(now.timestamp() + 300));
    assert_eq!(one.published().await, [header["kid"].as_str().unwrap()]);
    // To the second, because the clock is Onceward's own.
    let before = now + TimeDelta::seconds(299)
        - TimeDelta::milliseconds(now.timestamp_subsec_millis().into());
    one.tokens.authenticate(&token, before).await.unwrap();
    let refused = one.tokens.authenticate(&token, before + TimeDelta::seconds(1)).await;
    assert!(matches!(refused, Err(TokenError::Refused(TokenRefusal::Expired))));
    assert!(
        !format!("{one:?}", one = one.tokens.issue("payroll", &key.id, now).await).contains("eyJ")
    );
}

#[tokio::test]
async fn what_becomes_of_the_client_and_its_key_is_obeyed_within_a_second() {
    let pool = database().await;
    let (one, other) = (Process::on(&pool), Process::on(&pool));
    let (client, key) = one.client("payroll").await;
    let second_key =
        one.access.create_key(&domain::Actor::anonymous(), client, None).await.unwrap();
    let token = one.issue("payroll", &key, Utc::now()).await;
    let second_token = one.issue("payroll", &second_key, Utc::now()).await;
    assert_eq!(other.role(&token).await.unwrap(), Role::Submitter);
    one.access
        .change_client(&domain::Actor::anonymous(), client, Some(Role::Viewer), None, None)
        .await
        .unwrap();
    wait(500).await;
    assert_eq!(other.role(&token).await.unwrap(), Role::Viewer);
    one.access.revoke_key(&domain::Actor::anonymous(), None, &key.id).await.unwrap();
    wait(500).await;
    for process in [&one, &other] {
        let refused = process.role(&token).await;
        assert!(matches!(refused, Err(TokenError::Refused(TokenRefusal::Revoked))));
        assert_eq!(process.role(&second_token).await.unwrap(), Role::Viewer);
    }
    one.access
        .change_client(&domain::Actor::anonymous(), client, None, None, Some(true))
        .await
        .unwrap();
    wait(500).await;
    let refused = other.role(&second_token).await;
    assert!(matches!(refused, Err(TokenError::Refused(TokenRefusal::Revoked))));
}

#[tokio::test]
async fn two_processes_that_begin_at_once_accept_each_others_tokens() {
    let pool = database().await;
    let (one, other) = (Process::on(&pool), Process::on(&pool));
    let (_, key) = one.client("payroll").await;
    let now = Utc::now();
    let (a, b) = tokio::join!(one.issue("payroll", &key, now), other.issue("payroll", &key, now));
    // A process that knows the keys already reads them again for one that it does not know.
    wait(1_000).await;
    for process in [&one, &other] {
        process.role(&a).await.unwrap();
        process.role(&b).await.unwrap();
    }
}

#[tokio::test]
async fn a_new_signing_key_loses_no_token() {
    let pool = database().await;
    let (one, other) = (Process::on(&pool), Process::on(&pool));
    let (_, key) = one.client("payroll").await;
    let first = one.issue("payroll", &key, Utc::now()).await;
    let first_id = part(&first, 0)["kid"].clone();
    other.role(&first).await.unwrap();

    // After a month there is a new key, which does not sign yet.
    age(&pool, MONTH).await;
    let (one, other) = (Process::on(&pool), Process::on(&pool));
    let second = one.issue("payroll", &key, Utc::now()).await;
    assert_eq!(part(&second, 0)["kid"], first_id);
    assert_eq!(one.published().await.len(), 2);
    other.role(&second).await.unwrap();

    // Ten minutes later it signs, in processes that knew it before and in new ones.
    age(&pool, 10).await;
    let new = Process::on(&pool);
    let third = new.issue("payroll", &key, Utc::now()).await;
    assert_ne!(part(&third, 0)["kid"], first_id);
    for process in [&one, &other, &new] {
        process.role(&first).await.unwrap();
        process.role(&third).await.unwrap();
    }

    // Hours later the first one is no longer published, and with the next new key it is deleted.
    age(&pool, 120).await;
    let late = Process::on(&pool);
    assert_eq!(late.published().await.len(), 1);
    let refused = late.role(&first).await;
    assert!(matches!(refused, Err(TokenError::Refused(TokenRefusal::UnknownKey))));
    age(&pool, MONTH).await;
    Process::on(&pool).issue("payroll", &key, Utc::now()).await;
    let kept: Vec<String> =
        sqlx::query_scalar("select id from signing_keys").fetch_all(&pool).await.unwrap();
    assert_eq!(kept.len(), 2);
    assert!(!kept.contains(&first_id.as_str().unwrap().to_owned()));
}

#[tokio::test]
async fn unknown_keys_cause_at_most_one_read_a_second() {
    let pool = database().await;
    let one = Process::on(&pool);
    let (_, key) = one.client("payroll").await;
    let known = one.issue("payroll", &key, Utc::now()).await;
    sqlx::query("update signing_keys set id = 'onceward-renamed'").execute(&pool).await.unwrap();
    // It was just read, so what it names is still known.
    one.role(&known).await.unwrap();
    let [header, claims, signature] = [0, 1, 2].map(|part| known.split('.').nth(part).unwrap());
    let mut unknown = part(&known, 0);
    unknown["kid"] = json!("onceward-unknown");
    assert_ne!(header, unknown.to_string());
    let unknown = format!("{}.{claims}.{signature}", URL_SAFE_NO_PAD.encode(unknown.to_string()));
    assert!(matches!(one.role(&unknown).await, Err(TokenError::Refused(TokenRefusal::UnknownKey))));
    one.role(&known).await.unwrap();
    wait(1_000).await;
    let _ = one.role(&unknown).await;
    let refused = one.role(&known).await;
    assert!(matches!(refused, Err(TokenError::Refused(TokenRefusal::UnknownKey))));
}
