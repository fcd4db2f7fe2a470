//! When a session begins and ends.

use std::time::Duration;

use access::{Access, Attempt, SessionSettings, Visit};
use domain::{PrincipalKind, Role};

use crate::fixture::{
    OTHER, PASSWORD, actor, again, attempt, password, refusal, signed_in, with_alice,
};

#[tokio::test]
async fn a_session_names_its_user_as_the_caller() {
    let (_, access) = with_alice(Role::Operator).await;
    let begun = access.sign_in(&attempt(" Alice ", PASSWORD)).await.unwrap().unwrap();
    let session = access.session(&begun.id).await.unwrap().unwrap();
    let caller = session.caller(None, Some("request".to_owned())).unwrap();
    assert_eq!((caller.principal().as_str(), caller.role), ("alice", Role::Operator));
    assert_eq!(caller.actor.kind, PrincipalKind::User);
    assert_eq!(caller.actor.credential, Some(format!("session:{}", session.handle)));
}

#[tokio::test]
async fn an_id_that_was_never_given_out_is_no_session() {
    let (_, access) = with_alice(Role::Viewer).await;
    let begun = signed_in(&access).await;
    assert!(access.session(begun.device.as_ref().unwrap()).await.unwrap().is_none());
}

#[tokio::test]
async fn only_hashes_of_secrets_are_stored() {
    let (pool, access) = with_alice(Role::Viewer).await;
    signed_in(&access).await;
    let (id, device, hash): (i32, i32, String) = sqlx::query_as(
        "select octet_length(id_sha256), octet_length(token_sha256), password_hash
         from sessions, known_devices, users",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    assert_eq!((id, device), (32, 32));
    assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
}

#[tokio::test]
async fn a_session_has_ended_after_signing_out() {
    let (_, access) = with_alice(Role::Viewer).await;
    let begun = signed_in(&access).await;
    let session = access.session(&begun.id).await.unwrap().unwrap();
    access.end_session(&actor(), Some("alice"), session.handle).await.unwrap();
    assert!(access.session(&begun.id).await.unwrap().is_none());
}

#[tokio::test]
async fn all_sessions_have_ended_after_a_change_of_the_password_but_the_one_that_begins_with_it() {
    let (_, access) = with_alice(Role::Viewer).await;
    let (one, other) = (signed_in(&access).await, signed_in(&access).await);
    let session = access.session(&one.id).await.unwrap().unwrap();
    let new = password(OTHER, "alice");
    let changed = access
        .change_password(&session, &PASSWORD.into(), new, &Visit::default())
        .await
        .unwrap()
        .unwrap();
    for ended in [&one.id, &other.id] {
        assert!(access.session(ended).await.unwrap().is_none());
    }
    assert!(access.session(&changed.id).await.unwrap().is_some());
    assert!(refusal(&access, &attempt("alice", PASSWORD)).await.is_some());
    assert!(refusal(&access, &attempt("alice", OTHER)).await.is_none());
}

#[tokio::test]
async fn a_password_is_not_changed_without_the_present_one() {
    let (_, access) = with_alice(Role::Viewer).await;
    let begun = signed_in(&access).await;
    let session = access.session(&begun.id).await.unwrap().unwrap();
    let new = password(OTHER, "alice");
    let changed = access.change_password(&session, &OTHER.into(), new, &Visit::default()).await;
    assert!(changed.unwrap().is_err());
    assert!(access.session(&begun.id).await.unwrap().is_some());
}

#[tokio::test]
async fn a_session_has_ended_after_a_change_of_role() {
    let (_, access) = with_alice(Role::Viewer).await;
    let begun = signed_in(&access).await;
    assert!(access.session(&begun.id).await.unwrap().is_some());
    access.change_user(&actor(), "alice", Some(Role::Viewer), None).await.unwrap();
    assert!(access.session(&begun.id).await.unwrap().is_some(), "it had this role already");
    access.change_user(&actor(), "alice", Some(Role::Operator), None).await.unwrap();
    assert!(access.session(&begun.id).await.unwrap().is_none());
}

#[tokio::test]
async fn a_user_who_is_disabled_has_no_session_and_cannot_sign_in() {
    let (_, access) = with_alice(Role::Viewer).await;
    let begun = signed_in(&access).await;
    access.change_user(&actor(), "alice", None, Some(true)).await.unwrap();
    assert!(access.session(&begun.id).await.unwrap().is_none());
    assert!(refusal(&access, &attempt("alice", PASSWORD)).await.is_some());
    access.change_user(&actor(), "alice", None, Some(false)).await.unwrap();
    assert!(access.session(&begun.id).await.unwrap().is_none());
    assert!(refusal(&access, &attempt("alice", PASSWORD)).await.is_none());
}

#[tokio::test]
async fn signing_in_ends_the_session_so_far() {
    let (_, access) = with_alice(Role::Viewer).await;
    let first = signed_in(&access).await;
    let attempt = Attempt { session: Some(again(&first.id)), ..attempt("alice", PASSWORD) };
    let second = access.sign_in(&attempt).await.unwrap().unwrap();
    assert!(access.session(&first.id).await.unwrap().is_none());
    assert!(access.session(&second.id).await.unwrap().is_some());
}

#[tokio::test]
async fn a_session_ends_when_it_is_idle_and_at_the_latest_after_its_lifetime() {
    let (pool, access) = with_alice(Role::Viewer).await;
    for column in ["last_seen_at = now() - interval '31 minutes'", "expires_at = now()"] {
        let begun = signed_in(&access).await;
        let age = format!("update sessions set {column}");
        sqlx::query(sqlx::AssertSqlSafe(age)).execute(&pool).await.unwrap();
        // Another process, which has not read it yet.
        let access = Access::new(pool.clone());
        assert!(access.session(&begun.id).await.unwrap().is_none(), "{column}");
    }
}

#[tokio::test]
async fn the_use_of_a_session_is_recorded_once_a_minute() {
    let (pool, access) = with_alice(Role::Viewer).await;
    let begun = signed_in(&access).await;
    for (seconds_ago, is_recorded) in [(50, false), (70, true)] {
        let age = format!("update sessions set last_seen_at = now() - interval '{seconds_ago} s'");
        sqlx::query(sqlx::AssertSqlSafe(age)).execute(&pool).await.unwrap();
        Access::new(pool.clone()).session(&begun.id).await.unwrap().unwrap();
        let recorded: bool =
            sqlx::query_scalar("select last_seen_at > now() - interval '40 s' from sessions")
                .fetch_one(&pool)
                .await
                .unwrap();
        assert_eq!(recorded, is_recorded, "{seconds_ago}");
    }
}

#[tokio::test]
async fn what_goes_on_by_itself_does_not_keep_a_session_from_being_idle() {
    let (pool, access) = with_alice(Role::Viewer).await;
    let begun = signed_in(&access).await;
    let age = "update sessions set last_seen_at = now() - interval '29 minutes'";
    sqlx::query(age).execute(&pool).await.unwrap();
    assert!(access.unused_session(&begun.id).await.unwrap().is_some());
    let was_seen = "select last_seen_at > now() - interval '28 minutes' from sessions";
    let was_seen = async || sqlx::query_scalar::<_, bool>(was_seen).fetch_one(&pool).await.unwrap();
    assert!(!was_seen().await);
    // What was read for the stream is not what a request of the user finds.
    assert!(access.session(&begun.id).await.unwrap().is_some());
    assert!(was_seen().await);
}

#[tokio::test]
async fn a_user_sees_and_ends_its_own_sessions() {
    let (_, access) = with_alice(Role::Viewer).await;
    let (one, other) = (signed_in(&access).await, signed_in(&access).await);
    let session = access.session(&one.id).await.unwrap().unwrap();
    let listed = access.sessions("alice").await.unwrap();
    assert_eq!(listed.len(), 2);
    assert_eq!(listed[0].address.as_deref(), Some("192.0.2.1"));
    assert_eq!(listed[0].user_agent.as_deref(), Some("Firefox"));
    assert_eq!(
        access.end_sessions(&actor(), session.user_id, Some(session.handle)).await.unwrap(),
        1
    );
    assert!(access.session(&one.id).await.unwrap().is_some());
    assert!(access.session(&other.id).await.unwrap().is_none());
    assert!(access.end_session(&actor(), Some("bob"), session.handle).await.is_err());
    access.end_session(&actor(), None, session.handle).await.unwrap();
    assert!(access.session(&one.id).await.unwrap().is_none());
}

#[tokio::test]
async fn what_is_out_of_date_is_deleted() {
    let (pool, access) = with_alice(Role::Viewer).await;
    signed_in(&access).await;
    refusal(&access, &attempt("alice", OTHER)).await.unwrap();
    let old = "with a as (update sessions set expires_at = now() - interval '1 s'),
        b as (update known_devices set expires_at = now() - interval '1 s')
        update sign_in_failures set last_failed_at = now() - interval '25 hours'";
    sqlx::query(old).execute(&pool).await.unwrap();
    access.tidy_people().await.unwrap();
    let left: i64 = sqlx::query_scalar(
        "select (select count(*) from sessions) + (select count(*) from known_devices)
            + (select count(*) from sign_in_failures)",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    assert_eq!(left, 0);
}

#[tokio::test]
async fn a_role_that_needs_an_authenticator_app_is_no_caller_without_one() {
    let (pool, _) = with_alice(Role::Admin).await;
    let totp_required = vec![Role::Admin];
    let settings = SessionSettings {
        idle: Duration::from_secs(60),
        totp_required,
        ..SessionSettings::default()
    };
    let access = Access::new(pool).with_sessions(settings);
    let begun = signed_in(&access).await;
    let session = access.session(&begun.id).await.unwrap().unwrap();
    assert!(session.must_set_up_totp);
    assert_eq!(session.caller(None, None), None);
}
