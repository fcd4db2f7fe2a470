//! Forged and spent credentials: each is refused with 401, and each refusal is one entry of the audit.

use chrono::Utc;
use reqwest::RequestBuilder;
use serde_json::{Value, json};

use crate::{
    Guarded,
    browser::{Browser, PASSWORD},
    issuer::{AUDIENCE, NAME, RSA_MODULUS, SigningKey, claims, encode, file, rsa_jwk, with},
    support::{self, Service},
    watched::Watched,
};

/// What was refused, and the id of the request.
type Refused = (&'static str, String);

async fn refused(what: &'static str, request: RequestBuilder) -> Refused {
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 401, "{what}");
    let id = answer.headers()["x-request-id"].to_str().unwrap().to_owned();
    let problem: Value = answer.json().await.unwrap();
    assert_eq!(problem["code"], "unauthenticated", "{what}");
    (what, id)
}

/// Waits until each refusal is in the audit, and checks that it is there once.
async fn each_has_one_entry(program: &Watched, admin: &str, refused: &[Refused]) {
    // The refused requests are the newest, and each page is larger than their number.
    assert!(refused.len() < 200);
    let entries = async || {
        let page = program.read_as(admin, "/api/audit?action=authenticate&limit=200").await;
        page["data"].as_array().unwrap().clone()
    };
    let of = |entries: &[Value], id: &str| -> Vec<Value> {
        entries.iter().filter(|entry| entry["requestId"] == id).cloned().collect()
    };
    let all_are_there = async || {
        let entries = entries().await;
        refused.iter().all(|(_, id)| !of(&entries, id).is_empty())
    };
    program.until("each refusal is in the audit", all_are_there).await;
    let entries = entries().await;
    for (what, id) in refused {
        let found = of(&entries, id);
        assert_eq!(found.len(), 1, "{what}: {found:?}");
        let entry = &found[0];
        assert_eq!(entry["outcome"], "refused", "{what}");
        assert_eq!(entry["object"], "request:GET /api/me", "{what}");
        assert_eq!(entry["address"], "127.0.0.1", "{what}");
        // A credential that does not hold proves nothing about who has sent it.
        assert_eq!(entry["principal"], "anonymous", "{what}");
        assert!(entry["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{what}");
    }
}

#[tokio::test]
async fn each_forged_token_is_refused_and_is_one_entry_of_the_audit() {
    let (es, stranger) = (SigningKey::es256(), SigningKey::es256());
    let secret = file([7; 32]);
    let set = file(json!({"keys": [rsa_jwk(), es.jwk("es")]}).to_string());
    let (database, service) = (support::database().await, Service::start().await);
    let mut command = Guarded::command(&service, &database);
    command
        .env("JWT_HS256_SECRET_FILE", secret.path())
        .env("JWT_JWKS", set.path())
        .env("JWT_ISSUER", NAME)
        .env("JWT_AUDIENCE", AUDIENCE);
    let program = Watched::start(command).await;
    let guarded = Guarded { program, database, service };
    let admin = guarded.client("auditor", "admin").await;

    let now = Utc::now().timestamp();
    let good = claims("erp:7");
    let header = json!({"alg": "ES256", "typ": "JWT", "kid": "es"});
    let headed = |name: &str, value: Value| es.sign(&with(header.clone(), name, value), &good);
    let claiming = |name: &str, value: Value| es.token("es", &with(good.clone(), name, value));
    let unsigned = |alg: &str| {
        let header = encode(json!({"alg": alg, "typ": "JWT"}).to_string());
        format!("{header}.{}.", encode(good.to_string()))
    };
    let with_jwk = with(header.clone(), "jwk", stranger.jwk("es"));
    let of_rsa_key = SigningKey::Hs256(RSA_MODULUS.as_bytes().to_vec());
    let tokens = [
        ("none", unsigned("none")),
        ("HS256 signed with the RSA public key", of_rsa_key.token("rsa", &good)),
        ("expired", claiming("exp", json!(now - 60))),
        ("not yet valid", claiming("nbf", json!(now + 60))),
        ("another audience", claiming("aud", json!("payroll"))),
        ("another issuer", claiming("iss", json!("https://evil.example"))),
        ("another type", headed("typ", json!("logout+jwt"))),
        ("an unknown key id", stranger.token("stranger", &good)),
        ("jku", headed("jku", json!("https://evil.example/jwks.json"))),
        ("jwk", stranger.sign(&with_jwk, &good)),
        ("x5u", headed("x5u", json!("https://evil.example/cert"))),
    ];
    // The setup accepts what is right.
    guarded.program.read_as(&es.token("es", &good), "/api/me").await;
    let mut all = Vec::new();
    for (what, token) in tokens {
        all.push(refused(what, guarded.program.get("/api/me").bearer_auth(token)).await);
    }
    each_has_one_entry(&guarded.program, &admin, &all).await;
}

#[tokio::test]
async fn each_forged_or_spent_key_and_session_is_refused_and_is_one_entry_of_the_audit() {
    let (guarded, elsewhere) = (Guarded::start().await, Guarded::start().await);
    let program = &guarded.program;
    let admin = guarded.client("auditor", "admin").await;
    let revoked = guarded.client("payroll", "submitter").await;
    let expired =
        guarded.onceward(&["client", "key", "create", "payroll", "--expires-in", "1s"]).await;
    let of_another = elsewhere.client("payroll", "submitter").await;
    let checksum = revoked.len() - 1;
    let other = if revoked.ends_with('x') { "y" } else { "x" };
    let wrong_checksum = format!("{}{other}", &revoked[..checksum]);
    program.read_as(&revoked, "/api/me").await;
    guarded.onceward(&["client", "key", "revoke", revoked.split('_').nth(1).unwrap()]).await;
    for key in [&revoked, &expired] {
        let is_refused = async || program.status_as(key, "/api/me").await == 401;
        program.until("the key is refused", is_refused).await;
    }
    let mut all = Vec::new();
    for (what, key) in [
        ("a key with a wrong checksum", wrong_checksum),
        ("a revoked key", revoked),
        ("an expired key", expired),
        ("a key of another environment", of_another),
    ] {
        all.push(refused(what, program.get("/api/me").bearer_auth(key)).await);
    }

    guarded.user("ann", "viewer").await;
    let me = |browser: &Browser| browser.request(reqwest::Method::GET, "/api/me");
    let mut browser = Browser::new(&guarded);
    browser.sign_in("ann", PASSWORD).await;
    let signed_out = browser.copy();
    browser.post("/sign-out", &[]).await;
    all.push(refused("a session after its end", me(&signed_out)).await);
    browser.sign_in("ann", PASSWORD).await;
    let before = browser.copy();
    let change = [("password", PASSWORD), ("new-password", "nine orange narwhals")];
    browser.post("/account/password", &change).await;
    all.push(refused("a session after a change of password", me(&before)).await);
    guarded.onceward(&["user", "set-role", "ann", "--role", "operator"]).await;
    let has_ended = async || browser.get("/api/me").await.status() == 401;
    program.until("the session has ended", has_ended).await;
    all.push(refused("a session after a change of role", me(&browser)).await);
    each_has_one_entry(program, &admin, &all).await;
}
