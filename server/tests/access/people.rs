//! People in a browser without script: signing in and out, their account, and users.

use reqwest::header::SET_COOKIE;

use crate::{
    Guarded,
    browser::{Browser, PASSWORD, location},
};

#[tokio::test]
async fn a_person_signs_in_and_out_and_the_session_is_refused_afterwards() {
    let guarded = Guarded::start().await;
    guarded.user("ann", "viewer").await;
    let mut browser = Browser::new(&guarded);
    let refused = browser.sign_in("ann", "nine orange narwhals").await;
    assert_eq!(refused.status(), 422);
    assert!(refused.text().await.unwrap().contains("The name, the password or the code is wrong."));
    let answer = browser.sign_in("ann", PASSWORD).await;
    assert_eq!((answer.status().as_u16(), location(&answer)), (303, "/account"));
    let cookie = answer.headers()[SET_COOKIE].to_str().unwrap();
    assert!(cookie.ends_with("; Path=/; HttpOnly; SameSite=Lax"), "{cookie}");
    let account = browser.get("/account").await;
    assert_eq!(account.headers()["cache-control"], "no-store");
    assert!(account.text().await.unwrap().contains("ann, viewer"));
    assert_eq!(browser.get("/").await.status(), 200);
    assert_eq!(browser.get("/api/me").await.status(), 200);
    let kept = browser.copy();
    let answer = browser.post("/sign-out", &[]).await;
    assert_eq!(location(&answer), "/sign-in?done=signed-out");
    assert_eq!(location(&kept.get("/").await), "/sign-in?next=%2F");
    assert_eq!(kept.get("/api/me").await.status(), 401);
    assert_eq!(location(&kept.get("/account").await), "/sign-in?next=%2Faccount");
}

#[tokio::test]
async fn a_session_is_refused_after_a_change_of_password_and_of_role() {
    let guarded = Guarded::start().await;
    guarded.user("ann", "viewer").await;
    let mut browser = Browser::new(&guarded);
    browser.sign_in("ann", PASSWORD).await;
    let before = browser.copy();
    let change = [("password", PASSWORD), ("new-password", "nine orange narwhals")];
    let answer = browser.post("/account/password", &change).await;
    assert_eq!(location(&answer), "/account?done=password");
    assert_eq!(before.get("/api/me").await.status(), 401);
    assert_eq!(browser.get("/api/me").await.status(), 200);
    guarded.onceward(&["user", "set-role", "ann", "--role", "operator"]).await;
    let is_refused = async || browser.get("/api/me").await.status() == 401;
    guarded.program.until("the session has ended", is_refused).await;
}

#[tokio::test]
async fn an_administrator_creates_a_user_who_sets_a_password_with_the_link() {
    let guarded = Guarded::start().await;
    guarded.user("boss", "admin").await;
    let mut admin = Browser::new(&guarded);
    admin.sign_in("boss", PASSWORD).await;
    let page = admin.post("/users", &[("name", "bob"), ("role", "operator")]).await;
    assert_eq!(page.status(), 200);
    let page = page.text().await.unwrap();
    let start = page.find("/set-password?token=").unwrap() + "/set-password?token=".len();
    let token = &page[start..start + 43];
    let mut bob = Browser::new(&guarded);
    let form = bob.get(&format!("/set-password?token={token}")).await;
    assert!(form.text().await.unwrap().contains("value=\"bob\""));
    let fields = [("token", token), ("new-password", PASSWORD)];
    assert_eq!(location(&bob.post("/set-password", &fields).await), "/sign-in?done=password-set");
    assert_eq!(bob.post("/set-password", &fields).await.status(), 404);
    assert_eq!(location(&bob.sign_in("bob", PASSWORD).await), "/account");
    assert_eq!(bob.get("/users").await.status(), 403);
    let last = admin.post("/users/boss/role", &[("role", "viewer")]).await;
    assert_eq!(last.status(), 409);
    assert_eq!(admin.get("/users").await.status(), 200);
}

#[tokio::test]
async fn the_commands_reach_the_users_of_a_running_onceward() {
    let guarded = Guarded::start().await;
    guarded.user("ann", "viewer").await;
    let listed = guarded.onceward(&["user", "list"]).await;
    assert!(listed.contains("ann\tviewer\t"), "{listed}");
    guarded.onceward(&["user", "disable", "ann"]).await;
    assert_eq!(Browser::new(&guarded).sign_in("ann", PASSWORD).await.status(), 422);
    guarded.onceward(&["user", "enable", "ann"]).await;
    let link = guarded.onceward(&["user", "reset-password", "ann", "--url", "https://x/"]).await;
    assert!(link.starts_with("https://x/set-password?token="), "{link}");
    assert_eq!(link.lines().count(), 1);
}

#[tokio::test]
async fn an_administrator_creates_a_client_and_a_key_and_revokes_it() {
    let guarded = Guarded::start().await;
    guarded.user("boss", "admin").await;
    let mut admin = Browser::new(&guarded);
    admin.sign_in("boss", PASSWORD).await;
    let created = admin.post("/clients", &[("name", "till"), ("role", "submitter")]).await;
    assert_eq!(location(&created), "/clients?done=client");
    let page = admin.post("/clients/till/keys", &[("days", "90")]).await.text().await.unwrap();
    let start = page.find("ow_").unwrap();
    let key = page[start..].split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap();
    assert_eq!(guarded.program.status_as(key, "/api/me").await, 200);
    let id = key.split('_').nth(1).unwrap();
    assert!(admin.get("/clients").await.text().await.unwrap().contains(id));
    let revoked = admin.post(&format!("/clients/till/keys/{id}/revoke"), &[]).await;
    assert_eq!(location(&revoked), "/clients?done=revoked");
    assert_eq!(guarded.program.status_as(key, "/api/me").await, 401);
}
