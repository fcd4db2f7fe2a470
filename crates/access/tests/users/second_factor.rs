//! Authenticator apps and recovery codes.

use access::{Access, Attempt, Refusal, Session};
use chrono::Utc;
use data_encoding::BASE32_NOPAD;
use domain::Role;
use ring::hmac;
use secrecy::ExposeSecret;

use crate::fixture::{PASSWORD, actor, attempt, refusal, signed_in, with_alice};

/// What an app shows in the current step, or some steps off.
fn code_of(secret: &str, steps: i64) -> String {
    let secret = BASE32_NOPAD.decode(secret.as_bytes()).unwrap();
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &secret);
    let step = Utc::now().timestamp() / 30 + steps;
    let tag = hmac::sign(&key, &step.to_be_bytes());
    let start = usize::from(tag.as_ref()[19] & 0xf);
    let number = u32::from_be_bytes(tag.as_ref()[start..start + 4].try_into().unwrap());
    format!("{:06}", (number & 0x7fff_ffff) % 1_000_000)
}

fn with_code(code: &str) -> Attempt {
    Attempt { code: code.to_owned(), ..attempt("alice", PASSWORD) }
}

/// Alice with an app: its secret, the recovery codes, and a session.
async fn enrolled(access: &Access) -> (String, Vec<String>, Session) {
    let begun = signed_in(access).await;
    let session = access.session(&begun.id).await.unwrap().unwrap();
    let enrolment = access.begin_totp(&session).await.unwrap().unwrap();
    let secret = enrolment.secret.expose_secret().to_owned();
    let codes =
        access.confirm_totp(&actor(), &session, &code_of(&secret, -1)).await.unwrap().unwrap();
    let codes = codes.iter().map(|code| code.expose_secret().to_owned()).collect();
    let session = access.session(&begun.id).await.unwrap().unwrap();
    (secret, codes, (*session).clone())
}

#[tokio::test]
async fn with_an_app_signing_in_needs_a_code_which_is_accepted_once() {
    let (_, access) = with_alice(Role::Viewer).await;
    let (secret, ..) = enrolled(&access).await;
    let wrong = Some(Refusal::Wrong);
    assert_eq!(refusal(&access, &with_code("")).await, wrong);
    assert_eq!(refusal(&access, &with_code("000000x")).await, wrong);
    let code = code_of(&secret, 1);
    assert_eq!(refusal(&access, &with_code(&code)).await, None);
    assert_eq!(refusal(&access, &with_code(&code)).await, wrong);
}

#[tokio::test]
async fn a_recovery_code_signs_in_once() {
    let (_, access) = with_alice(Role::Viewer).await;
    let (_, codes, session) = enrolled(&access).await;
    assert_eq!(codes.len(), 10);
    assert_eq!(refusal(&access, &with_code(&codes[3])).await, None);
    assert_eq!(refusal(&access, &with_code(&codes[3])).await, Some(Refusal::Wrong));
    assert_eq!(access.recovery_codes_left(&session).await.unwrap(), 9);
}

#[tokio::test]
async fn of_sign_ins_at_once_with_one_recovery_code_one_succeeds() {
    let (_, access) = with_alice(Role::Viewer).await;
    let (_, codes, _) = enrolled(&access).await;
    let attempt = with_code(&codes[0]);
    let (one, other) = tokio::join!(access.sign_in(&attempt), access.sign_in(&attempt));
    let succeeded = [one, other].into_iter().filter(|one| one.as_ref().unwrap().is_ok()).count();
    assert_eq!(succeeded, 1);
}

#[tokio::test]
async fn an_app_counts_once_a_code_confirms_it() {
    let (_, access) = with_alice(Role::Viewer).await;
    let begun = signed_in(&access).await;
    let session = access.session(&begun.id).await.unwrap().unwrap();
    let enrolment = access.begin_totp(&session).await.unwrap().unwrap();
    let wrong = access.confirm_totp(&actor(), &session, "000000x").await.unwrap();
    assert_eq!(wrong.unwrap_err(), Refusal::Wrong);
    assert_eq!(refusal(&access, &with_code("")).await, None);
    let secret = enrolment.secret.expose_secret();
    assert_eq!(
        access.totp_enrolment(&session).await.unwrap().unwrap().secret.expose_secret(),
        secret
    );
    access.confirm_totp(&actor(), &session, &code_of(secret, 0)).await.unwrap().unwrap();
    assert_eq!(refusal(&access, &with_code("")).await, Some(Refusal::Wrong));
    assert!(access.begin_totp(&session).await.unwrap().is_none());
}

#[tokio::test]
async fn new_recovery_codes_and_giving_up_the_app_need_the_password() {
    let (_, access) = with_alice(Role::Viewer).await;
    let (_, codes, session) = enrolled(&access).await;
    let wrong = "nine orange narwhals".into();
    assert!(access.renew_recovery_codes(&actor(), &session, &wrong).await.unwrap().is_err());
    assert!(access.give_up_totp(&actor(), &session, &wrong).await.unwrap().is_err());
    access.renew_recovery_codes(&actor(), &session, &PASSWORD.into()).await.unwrap().unwrap();
    assert_eq!(refusal(&access, &with_code(&codes[0])).await, Some(Refusal::Wrong));
    access.give_up_totp(&actor(), &session, &PASSWORD.into()).await.unwrap().unwrap();
    assert_eq!(refusal(&access, &with_code("")).await, None);
}
