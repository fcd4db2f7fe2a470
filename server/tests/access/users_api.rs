//! Users and their sessions over the API.

use reqwest::{Method, Response, header};
use serde_json::{Value, json};

use crate::{
    Guarded,
    browser::{Browser, PASSWORD, location},
};

impl Guarded {
    /// Sends a request with a key.
    async fn send(&self, key: &str, method: &str, path: &str, body: Value) -> Response {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let url = format!("{}{path}", self.program.url);
        let request = client.request(method.parse().unwrap(), url).bearer_auth(key);
        let request = request.header(header::CONTENT_TYPE, "application/json");
        request.body(body.to_string()).send().await.unwrap()
    }

    /// Sets a password with a one-time link, and signs in.
    async fn set_password(&self, name: &str, path: &str) -> Browser {
        let token = path.strip_prefix("/set-password?token=").unwrap();
        let mut browser = Browser::new(self);
        let fields = [("token", token), ("new-password", PASSWORD)];
        let answer = browser.post("/set-password", &fields).await;
        assert_eq!(location(&answer), "/sign-in?done=password-set");
        assert_eq!(location(&browser.sign_in(name, PASSWORD).await), "/account");
        browser
    }
}

async fn status_and_body(answer: Response) -> (u16, Value) {
    let status = answer.status().as_u16();
    (status, answer.json().await.unwrap_or_default())
}

#[tokio::test]
async fn an_administrator_creates_changes_and_disables_users_over_the_api() {
    let guarded = Guarded::start().await;
    let admin = guarded.client("root", "admin").await;
    let send = async |method: &str, path: &str, body: Value| {
        status_and_body(guarded.send(&admin, method, path, body).await).await
    };
    let new = json!({"name": "ann", "role": "operator"});
    let answer = guarded.send(&admin, "POST", "/api/users", new.clone()).await;
    assert_eq!(answer.headers()[header::CACHE_CONTROL], "no-store");
    let path = location(&answer).to_owned();
    let (status, created) = status_and_body(answer).await;
    assert_eq!(status, 201);
    assert_eq!(path, format!("/api/users/{}", created["id"].as_str().unwrap()));
    assert_eq!((&created["name"], &created["role"]), (&json!("ann"), &json!("operator")));
    assert_eq!(created["hasPassword"], false);

    let (status, problem) = send("POST", "/api/users", new).await;
    assert_eq!((status, &problem["errors"][0]["pointer"]), (409, &json!("/name")));
    for (body, pointer) in [
        (json!({"role": "viewer"}), "/name"),
        (json!({"name": "Ann", "role": "viewer"}), "/name"),
        (json!({"name": "x", "role": "root"}), "/role"),
        (json!({"name": "x", "role": "viewer", "password": "y"}), "/password"),
    ] {
        let (status, problem) = send("POST", "/api/users", body.clone()).await;
        assert_eq!((status, &problem["errors"][0]["pointer"]), (422, &json!(pointer)), "{body}");
    }

    let link = created["setPasswordPath"].as_str().unwrap();
    let ann = guarded.set_password("ann", link).await;
    let (status, user) = send("GET", &path, Value::Null).await;
    assert_eq!((status, &user["hasPassword"], &user["sessions"]), (200, &json!(true), &json!(1)));
    let (_, users) = send("GET", "/api/users", Value::Null).await;
    assert!(users["data"].as_array().unwrap().contains(&user), "{users}");
    assert!(!users.to_string().contains("set-password"), "{users}");

    let (status, user) = send("PATCH", &path, json!({"role": "viewer"})).await;
    assert_eq!((status, &user["role"], &user["sessions"]), (200, &json!("viewer"), &json!(0)));
    assert_eq!(ann.get("/api/me").await.status(), 401, "the session ends with the role");
    let (status, problem) = send("PATCH", &path, json!({"disabled": "yes", "role": 7})).await;
    assert_eq!((status, problem["errors"].as_array().unwrap().len()), (422, 2), "{problem}");

    let answer = guarded.send(&admin, "POST", &format!("{path}/reset-password"), json!({})).await;
    assert_eq!(answer.headers()[header::CACHE_CONTROL], "no-store");
    let (status, reset) = status_and_body(answer).await;
    assert_eq!(status, 200);
    let ann = guarded.set_password("ann", reset["setPasswordPath"].as_str().unwrap()).await;
    let (status, user) = send("PATCH", &path, json!({"disabled": true})).await;
    assert_eq!(status, 200);
    assert!(user["disabledAt"].is_string(), "{user}");
    assert_eq!(ann.get("/api/me").await.status(), 401);
    assert_eq!(send("POST", &format!("{path}/reset-password"), json!({})).await.0, 409);
    let (_, user) = send("PATCH", &path, json!({"disabled": false})).await;
    assert_eq!(user["disabledAt"], Value::Null);

    for nobody in ["nothing", "0199e2a4-5f7c-7cc3-9d3c-2f1a55b0a6f1"] {
        let path = format!("/api/users/{nobody}");
        assert_eq!(send("GET", &path, Value::Null).await.0, 404);
        assert_eq!(send("PATCH", &path, json!({"role": "admin"})).await.0, 404);
        assert_eq!(send("POST", &format!("{path}/reset-password"), json!({})).await.0, 404);
    }
}

#[tokio::test]
async fn the_last_administrator_who_can_sign_in_stays_one_over_the_api() {
    let guarded = Guarded::start().await;
    guarded.user("boss", "admin").await;
    let mut boss = Browser::new(&guarded);
    boss.sign_in("boss", PASSWORD).await;
    let users: Value = boss.get("/api/users").await.json().await.unwrap();
    let id = |name: &str| {
        let users = users["data"].as_array().unwrap();
        let user = users.iter().find(|user| user["name"] == name).unwrap();
        user["id"].as_str().unwrap().to_owned()
    };
    let path = format!("/api/users/{}", id("boss"));
    for change in [json!({"role": "viewer"}), json!({"disabled": true})] {
        let request = boss.request(Method::PATCH, &path);
        let request = request.header(header::CONTENT_TYPE, "application/json");
        let answer = request.body(change.to_string()).send().await.unwrap();
        let (status, problem) = status_and_body(answer).await;
        assert_eq!((status, &problem["code"]), (409, &json!("conflict")), "{change}");
    }
    assert_eq!(boss.get("/api/me").await.status(), 200);
}

#[tokio::test]
async fn a_user_lists_and_ends_its_own_sessions_and_an_administrator_those_of_all() {
    let guarded = Guarded::start().await;
    let admin = guarded.client("root", "admin").await;
    let client = guarded.client("payroll", "operator").await;
    let mut browsers = Vec::new();
    for name in ["ann", "bob"] {
        guarded.user(name, "viewer").await;
    }
    for name in ["ann", "ann", "bob"] {
        let mut browser = Browser::new(&guarded);
        browser.sign_in(name, PASSWORD).await;
        browsers.push(browser);
    }
    let [ann, elsewhere, bob] = &browsers[..] else { panic!() };
    let sessions =
        async |browser: &Browser, path: &str| status_and_body(browser.get(path).await).await;
    let (status, listed) = sessions(ann, "/api/sessions").await;
    assert_eq!(status, 200);
    for browser in &browsers {
        assert!(!listed.to_string().contains(browser.session()), "an id is a secret");
    }
    let listed = listed["data"].as_array().unwrap().clone();
    assert_eq!(listed.len(), 2, "{listed:?}");
    let other = listed.iter().find(|session| session["isCurrent"] == false).unwrap();
    assert_eq!(listed.iter().filter(|session| session["isCurrent"] == true).count(), 1);
    assert_eq!(sessions(ann, "/api/sessions?user=ann").await.0, 200);
    for user in ["bob", "nobody", ""] {
        let (status, problem) = sessions(ann, &format!("/api/sessions?user={user}")).await;
        assert_eq!((status, &problem["code"]), (403, &json!("forbidden")), "{user}");
    }

    let (_, of_bob) = sessions(bob, "/api/sessions").await;
    let path = |session: &Value| format!("/api/sessions/{}", session["handle"].as_str().unwrap());
    let (of_ann, of_bob) = (path(other), path(&of_bob["data"][0]));
    let end = async |browser: &Browser, path: &str| {
        browser.request(Method::DELETE, path).send().await.unwrap().status().as_u16()
    };
    assert_eq!(end(ann, &of_bob).await, 404, "the session of another user");
    assert_eq!(end(ann, "/api/sessions/nothing").await, 404);
    assert_eq!(bob.get("/api/me").await.status(), 200);
    assert_eq!(end(ann, &of_ann).await, 204);
    assert_eq!(end(ann, &of_ann).await, 404);
    assert_eq!(elsewhere.get("/api/me").await.status(), 401);
    assert_eq!(ann.get("/api/me").await.status(), 200);

    let with_key = async |key: &str, method: &str, path: &str| {
        status_and_body(guarded.send(key, method, path, Value::Null).await).await
    };
    let (status, none) = with_key(&client, "GET", "/api/sessions").await;
    assert_eq!((status, none), (200, json!({"data": []})));
    assert_eq!(with_key(&client, "GET", "/api/sessions?user=bob").await.0, 403);
    assert_eq!(with_key(&client, "DELETE", &of_bob).await.0, 404);
    let (_, seen) = with_key(&admin, "GET", "/api/sessions?user=bob").await;
    assert_eq!(path(&seen["data"][0]), of_bob);
    assert_eq!(with_key(&admin, "DELETE", &of_bob).await.0, 204);
    assert_eq!(bob.get("/api/me").await.status(), 401);
}
