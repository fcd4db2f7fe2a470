//! How another issuer's keys change.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use access::{Access, JwksLocation, TokenError, TokenRefusal, Tokens};
use chrono::Utc;
use serde_json::json;
use tokio::{
    sync::RwLock,
    time::{advance, pause, resume},
};

use crate::{
    issuer::{SigningKey, claims, file, settings, with},
    jwks_server::JwksServer,
    support::database,
};

/// Lets time pass while nothing is in flight, so that no timeout ends.
async fn wait(seconds: u64) {
    pause();
    advance(Duration::from_secs(seconds)).await;
    resume();
}

async fn tokens(location: JwksLocation) -> Tokens {
    Tokens::new(&Access::new(database().await), settings(Some(location))).unwrap()
}

async fn authenticate(tokens: &Tokens, token: &str) -> Result<(), TokenError> {
    tokens.authenticate(token, Utc::now()).await.map(drop)
}

#[tokio::test]
async fn a_rotation_of_the_issuers_keys_loses_no_request() {
    let server = JwksServer::start().await;
    let keys = Arc::new([SigningKey::es256(), SigningKey::es256(), SigningKey::es256()]);
    let jwk = |number: usize| keys[number].jwk(&number.to_string());
    server.publish(&[jwk(0)]);
    let tokens = tokens(server.location.clone()).await;

    let signs_with = Arc::new(Mutex::new(0));
    let accepted = Arc::new(Mutex::new([0; 3]));
    let in_flight = Arc::new(RwLock::new(()));
    let load: Vec<_> = (0..4)
        .map(|client| {
            let (keys, tokens, signs_with) = (keys.clone(), tokens.clone(), signs_with.clone());
            let (accepted, in_flight) = (accepted.clone(), in_flight.clone());
            tokio::spawn(async move {
                let mut number = 0_u64;
                while accepted.lock().unwrap()[2] < 100 {
                    let _in_flight = in_flight.read().await;
                    number += 1;
                    let key = *signs_with.lock().unwrap();
                    let claims = with(claims("erp:7"), "jti", json!(format!("{client}-{number}")));
                    authenticate(&tokens, &keys[key].token(&key.to_string(), &claims)).await?;
                    accepted.lock().unwrap()[key] += 1;
                    tokio::task::yield_now().await;
                }
                Ok::<_, TokenError>(())
            })
        })
        .collect();
    for next in [1, 2] {
        while accepted.lock().unwrap()[next - 1] < 100 {
            assert!(load.iter().all(|task| !task.is_finished()), "a request was lost");
            tokio::task::yield_now().await;
        }
        // The new key signs at once, and the one before the last is withdrawn.
        let _none_in_flight = in_flight.write().await;
        wait(60).await;
        server.publish(&[jwk(next - 1), jwk(next)]);
        *signs_with.lock().unwrap() = next;
    }
    for task in load {
        task.await.unwrap().unwrap();
    }
    assert_eq!(server.fetches(), 3);
}

#[tokio::test]
async fn unknown_keys_cause_at_most_one_fetch_a_minute() {
    let server = JwksServer::start().await;
    let (known, stranger) = (SigningKey::es256(), SigningKey::es256());
    server.publish(&[known.jwk("known")]);
    let tokens = tokens(server.location.clone()).await;
    for fetches in [1, 2] {
        for number in 0..50 {
            let token = stranger.token(&number.to_string(), &claims("erp:7"));
            let refused = authenticate(&tokens, &token).await;
            assert!(matches!(refused, Err(TokenError::Refused(TokenRefusal::UnknownKey))));
            authenticate(&tokens, &known.token("known", &claims("erp:7"))).await.unwrap();
        }
        wait(59).await;
        let _ = authenticate(&tokens, &stranger.token("late", &claims("erp:7"))).await;
        assert_eq!(server.fetches(), fetches);
        wait(1).await;
    }
}

#[tokio::test]
async fn a_key_that_the_issuer_withdraws_is_refused_also_for_a_remembered_token() {
    let server = JwksServer::start().await;
    let (old, new) = (SigningKey::es256(), SigningKey::es256());
    server.publish(&[old.jwk("old"), new.jwk("new")]);
    let tokens = tokens(server.location.clone()).await;
    let token = old.token("old", &claims("erp:7"));
    authenticate(&tokens, &token).await.unwrap();
    server.requested.notified().await;
    server.publish(&[new.jwk("new")]);
    wait(300).await;
    // This request begins a fetch and does not wait for it; the next ones find what it brought.
    let _ = authenticate(&tokens, &token).await;
    server.requested.notified().await;
    loop {
        match authenticate(&tokens, &token).await {
            Ok(()) => tokio::task::yield_now().await,
            Err(TokenError::Refused(TokenRefusal::UnknownKey)) => break,
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(server.fetches(), 2);
}

#[tokio::test]
async fn a_fetch_that_fails_keeps_the_keys() {
    let server = JwksServer::start().await;
    let key = SigningKey::ed_dsa();
    server.publish(&[key.jwk("k")]);
    let tokens = tokens(server.location.clone()).await;
    let token = key.token("k", &claims("erp:7"));
    authenticate(&tokens, &token).await.unwrap();
    let long = format!(r#"{{"keys": [{}]}}"#, " ".repeat(300_000));
    for (status, body) in [
        ("500 Internal Server Error", "{}"),
        ("302 Found", r#"{"keys": []}"#),
        ("200 OK", "<html>"),
        ("200 OK", &long),
    ] {
        server.answer_with(status, body);
        let fetches = server.fetches();
        wait(60).await;
        let stranger = key.token("other", &claims("erp:7"));
        let refused = authenticate(&tokens, &stranger).await;
        assert!(matches!(refused, Err(TokenError::Refused(TokenRefusal::UnknownKey))));
        assert_eq!(server.fetches(), fetches + 1, "{status}");
        authenticate(&tokens, &key.token("k", &claims("erp:7"))).await.unwrap();
        authenticate(&tokens, &token).await.unwrap();
    }
}

#[tokio::test]
async fn before_the_first_fetch_succeeds_a_token_is_not_refused_but_cannot_be_judged() {
    let server = JwksServer::start().await;
    server.answer_with("503 Service Unavailable", "");
    let tokens = tokens(server.location.clone()).await;
    let key = SigningKey::es256();
    let token = key.token("k", &claims("erp:7"));
    for _ in 0..3 {
        let unknown = authenticate(&tokens, &token).await;
        assert!(matches!(unknown, Err(TokenError::NoKeysYet)));
    }
    server.publish(&[key.jwk("k")]);
    wait(60).await;
    authenticate(&tokens, &token).await.unwrap();
    assert_eq!(server.fetches(), 2);
}

#[tokio::test]
async fn a_fetch_goes_on_when_the_request_that_began_it_ends() {
    let server = JwksServer::start().await;
    let key = SigningKey::es256();
    server.publish(&[key.jwk("k")]);
    let tokens = tokens(server.location.clone()).await;
    let token = key.token("k", &claims("erp:7"));
    let gate = server.gate.clone().lock_owned().await;
    let first = tokio::spawn({
        let (tokens, token) = (tokens.clone(), token.clone());
        async move { authenticate(&tokens, &token).await }
    });
    server.requested.notified().await;
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    drop(gate);
    authenticate(&tokens, &token).await.unwrap();
    assert_eq!(server.fetches(), 1);
}

#[tokio::test]
async fn a_file_is_read_again_when_it_changes() {
    let (old, new) = (SigningKey::es256(), SigningKey::es256());
    let set = |key: &SigningKey, id: &str| json!({"keys": [key.jwk(id)]}).to_string();
    let file = file(set(&old, "old"));
    let tokens = tokens(JwksLocation::File(file.path().into())).await;
    let token = old.token("old", &claims("erp:7"));
    authenticate(&tokens, &token).await.unwrap();
    std::fs::write(file.path(), "not finished").unwrap();
    wait(1).await;
    authenticate(&tokens, &token).await.unwrap();
    std::fs::write(file.path(), set(&new, "new")).unwrap();
    wait(1).await;
    let refused = authenticate(&tokens, &token).await;
    assert!(matches!(refused, Err(TokenError::Refused(TokenRefusal::UnknownKey))));
    authenticate(&tokens, &new.token("new", &claims("erp:7"))).await.unwrap();
}
