//! Accounts, one-time links, and the first administrator.

use access::{Access, AccessError, FirstAdmin, Visit};
use domain::Role;

use crate::{
    fixture::{OTHER, PASSWORD, actor, again, attempt, password, refusal, signed_in, with_alice},
    support::database,
};

#[tokio::test]
async fn users_are_listed_with_what_they_have() {
    let (_, access) = with_alice(Role::Viewer).await;
    access.create_user(&actor(), "bob@example.com", Role::Admin, None).await.unwrap();
    signed_in(&access).await;
    let users = access.users().await.unwrap();
    let seen: Vec<_> = users
        .iter()
        .map(|user| (user.name.as_str(), user.role, user.has_password, user.sessions))
        .collect();
    assert_eq!(
        seen,
        [("alice", Role::Viewer, true, 1), ("bob@example.com", Role::Admin, false, 0)]
    );
}

#[tokio::test]
async fn a_name_belongs_to_one_user_and_keeps_the_rules() {
    let (_, access) = with_alice(Role::Viewer).await;
    let taken = access.create_user(&actor(), "alice", Role::Viewer, None).await;
    assert!(matches!(taken, Err(AccessError::NameTaken)), "{taken:?}");
    for name in ["", "Alice", "a b", "anonymous", &"a".repeat(65)] {
        let refused = access.create_user(&actor(), name, Role::Viewer, None).await;
        assert!(matches!(refused, Err(AccessError::Invalid("name", _))), "{name}");
    }
}

#[tokio::test]
async fn the_last_administrator_stays_one() {
    let (_, access) = with_alice(Role::Admin).await;
    for last in [
        access.change_user(&actor(), "alice", Some(Role::Viewer), None).await,
        access.change_user(&actor(), "alice", None, Some(true)).await,
    ] {
        assert!(matches!(last, Err(AccessError::LastAdmin)), "{last:?}");
    }
    // One who cannot sign in yet is none.
    access.create_user(&actor(), "bob", Role::Admin, None).await.unwrap();
    let last = access.change_user(&actor(), "alice", Some(Role::Viewer), None).await;
    assert!(matches!(last, Err(AccessError::LastAdmin)), "{last:?}");
    access.set_user_password(&actor(), "bob", password(OTHER, "bob")).await.unwrap();
    access.change_user(&actor(), "alice", Some(Role::Viewer), None).await.unwrap();
    let missing = access.change_user(&actor(), "carol", Some(Role::Viewer), None).await;
    assert!(matches!(missing, Err(AccessError::NotFound(_))), "{missing:?}");
}

#[tokio::test]
async fn of_two_administrators_who_take_the_role_from_each_other_one_stays() {
    let (pool, access) = with_alice(Role::Admin).await;
    access.create_user(&actor(), "bob", Role::Admin, Some(password(OTHER, "bob"))).await.unwrap();
    for _ in 0..10 {
        let by = actor();
        let take = |name| access.change_user(&by, name, Some(Role::Viewer), None);
        let taken = tokio::join!(take("alice"), take("bob"));
        match taken {
            (Ok(()), Err(AccessError::LastAdmin)) | (Err(AccessError::LastAdmin), Ok(())) => {}
            taken => panic!("{taken:?}"),
        }
        sqlx::query("update principals set role = 'admin'").execute(&pool).await.unwrap();
    }
}

#[tokio::test]
async fn a_change_of_role_and_of_a_disabled_user_are_one_and_audited_each() {
    let (pool, access) = with_alice(Role::Viewer).await;
    let both = (Some(Role::Operator), Some(true));
    access.change_user(&actor(), "alice", both.0, both.1).await.unwrap();
    access.change_user(&actor(), "alice", both.0, both.1).await.unwrap();
    let actions = "select action from audit where object = 'user:alice' order by action";
    let actions: Vec<String> = sqlx::query_scalar(actions).fetch_all(&pool).await.unwrap();
    assert_eq!(actions, ["create", "disable", "set_role"]);
    let user = access.users().await.unwrap().remove(0);
    assert_eq!(access.user(user.id).await.unwrap(), Some(user.clone()));
    assert!(user.role == Role::Operator && user.disabled_at.is_some());
    assert_eq!(access.user(uuid::Uuid::now_v7()).await.unwrap(), None);
}

#[tokio::test]
async fn a_link_sets_a_password_once_and_ends_what_the_old_one_opened() {
    let (_, access) = with_alice(Role::Viewer).await;
    let begun = signed_in(&access).await;
    let link = access.create_link(&actor(), "alice").await.unwrap();
    assert!(access.session(&begun.id).await.unwrap().is_some());
    assert_eq!(access.link_owner(&link).await.unwrap().unwrap().user, "alice");
    access.use_link(&link, password(OTHER, "alice"), &Visit::default()).await.unwrap();
    assert!(access.session(&begun.id).await.unwrap().is_none());
    assert!(refusal(&access, &attempt("alice", PASSWORD)).await.is_some());
    assert!(refusal(&access, &attempt("alice", OTHER)).await.is_none());
    assert!(access.link_owner(&link).await.unwrap().is_none());
    assert!(access.use_link(&link, password(PASSWORD, "alice"), &Visit::default()).await.is_err());
}

#[tokio::test]
async fn a_link_is_valid_for_a_day_and_until_the_next_one_or_a_disable() {
    let (pool, access) = with_alice(Role::Viewer).await;
    let (first, second) = (
        access.create_link(&actor(), "alice").await.unwrap(),
        access.create_link(&actor(), "alice").await.unwrap(),
    );
    assert!(access.link_owner(&first).await.unwrap().is_none());
    let owner = access.link_owner(&second).await.unwrap().unwrap();
    let hours = (owner.expires_at - chrono::Utc::now()).num_minutes();
    assert!((23 * 60..=24 * 60).contains(&hours), "{hours}");
    sqlx::query("update one_time_links set expires_at = now()").execute(&pool).await.unwrap();
    assert!(access.use_link(&second, password(OTHER, "alice"), &Visit::default()).await.is_err());
    let third = access.create_link(&actor(), "alice").await.unwrap();
    access.change_user(&actor(), "alice", None, Some(true)).await.unwrap();
    assert!(access.link_owner(&third).await.unwrap().is_none());
    assert!(access.create_link(&actor(), "alice").await.is_err());
}

#[tokio::test]
async fn the_first_administrator_is_created_with_a_password() {
    let access = Access::new(database().await);
    let made = access.ensure_admin(Some(password(PASSWORD, "admin"))).await.unwrap();
    assert!(matches!(made, FirstAdmin::Created), "{made:?}");
    assert!(refusal(&access, &attempt("admin", PASSWORD)).await.is_none());
    let made = access.ensure_admin(Some(password(OTHER, "admin"))).await.unwrap();
    assert!(matches!(made, FirstAdmin::Exists), "{made:?}");
    assert!(refusal(&access, &attempt("admin", OTHER)).await.is_some());
}

#[tokio::test]
async fn the_first_administrator_gets_a_link_until_one_is_used() {
    let access = Access::new(database().await);
    let Ok(FirstAdmin::NeedsLink(first)) = access.ensure_admin(None).await else { panic!() };
    let Ok(FirstAdmin::NeedsLink(second)) = access.ensure_admin(None).await else { panic!() };
    assert!(access.link_owner(&first).await.unwrap().is_none());
    access
        .use_link(&again(&second), password(PASSWORD, "first-admin"), &Visit::default())
        .await
        .unwrap();
    assert!(matches!(access.ensure_admin(None).await.unwrap(), FirstAdmin::Exists));
    assert!(refusal(&access, &attempt("first-admin", PASSWORD)).await.is_none());
}

#[tokio::test]
async fn an_outdated_hash_is_replaced_at_the_next_sign_in() {
    let (pool, access) = with_alice(Role::Viewer).await;
    // "seven purple walruses" with 1 MiB and one pass.
    let weaker = argon2::Argon2::from(argon2::Params::new(1024, 1, 1, None).unwrap());
    let hash = argon2::PasswordHasher::hash_password(&weaker, PASSWORD.as_bytes()).unwrap();
    sqlx::query("update users set password_hash = $1")
        .bind(hash.to_string())
        .execute(&pool)
        .await
        .unwrap();
    signed_in(&access).await;
    let stored: String =
        sqlx::query_scalar("select password_hash from users").fetch_one(&pool).await.unwrap();
    assert!(stored.starts_with("$argon2id$v=19$m=19456,"), "{stored}");
    signed_in(&access).await;
}
