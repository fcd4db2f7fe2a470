//! Tokens: those that a key is exchanged for, and those of another issuer.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use reqwest::{RequestBuilder, Response, header};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::{
    Guarded,
    support::{self, Program, Service},
    watched::Watched,
};

async fn exchange(program: &Program, form: &[(&str, &str)]) -> Response {
    with_form(program.post("/api/auth/token"), form).send().await.unwrap()
}

/// A request with a form, in whose values nothing needs to be encoded.
fn with_form(request: RequestBuilder, form: &[(&str, &str)]) -> RequestBuilder {
    let pairs: Vec<_> = form.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let form = "application/x-www-form-urlencoded";
    request.header(header::CONTENT_TYPE, form).body(pairs.join("&"))
}

#[tokio::test]
async fn a_key_is_exchanged_for_a_token_that_ends_with_the_key() {
    let guarded = Guarded::start().await;
    let program = &guarded.program;
    let key = guarded.client("payroll", "submitter").await;
    let grant = ("grant_type", "client_credentials");
    let answer =
        exchange(program, &[grant, ("client_id", "payroll"), ("client_secret", &key)]).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()[header::CACHE_CONTROL], "no-store");
    let token: Value = answer.json().await.unwrap();
    assert_eq!((&token["token_type"], &token["expires_in"]), (&json!("Bearer"), &json!(300)));
    let token = token["access_token"].as_str().unwrap().to_owned();
    let basic = program.post("/api/auth/token").basic_auth("payroll", Some(&key));
    assert_eq!(with_form(basic, &[grant]).send().await.unwrap().status(), 200);

    // It stands for the client in every process, also for what the client submitted with its key.
    let another = guarded.another().await;
    let with_key = program.submit_as(&key, "a").await;
    let with_token = another.submit_as(&token, "b").await;
    for (process, credential) in [(program, &token), (&another, &token), (&another, &key)] {
        let me = process.read_as(credential, "/api/me").await;
        assert_eq!((&me["principal"], &me["kind"]), (&json!("payroll"), &json!("client")));
        for id in [&with_key, &with_token] {
            process.read_as(credential, &format!("/api/transactions/{id}")).await;
        }
    }
    let me = program.read_as(&token, "/api/me").await;
    assert!(me["credential"].as_str().unwrap().starts_with("token:"), "{me}");

    let keys: Value = program.read("/.well-known/jwks.json").await;
    assert_eq!(keys["keys"].as_array().unwrap().len(), 1);
    assert_eq!(keys["keys"][0]["d"], Value::Null);

    let id = key.split('_').nth(1).unwrap();
    guarded.onceward(&["client", "key", "revoke", id]).await;
    for process in [program, &another] {
        let is_refused = async || process.status_as(&token, "/api/me").await == 401;
        process.until("the token ends with its key", is_refused).await;
    }
}

#[tokio::test]
async fn a_request_for_a_token_is_refused_as_oauth_wants_it() {
    let guarded = Guarded::start().await;
    let program = &guarded.program;
    let key = guarded.client("payroll", "submitter").await;
    guarded.client("ledger", "submitter").await;
    let grant = ("grant_type", "client_credentials");
    let other_key = format!("{}x", &key[..key.len() - 1]);
    for (form, status, error) in [
        (vec![("client_id", "payroll")], 400, "invalid_request"),
        (vec![("grant_type", "password")], 400, "unsupported_grant_type"),
        (vec![grant], 401, "invalid_client"),
        (
            vec![grant, ("client_id", "payroll"), ("client_secret", &other_key)],
            401,
            "invalid_client",
        ),
        (vec![grant, ("client_id", "ledger"), ("client_secret", &key)], 401, "invalid_client"),
        (vec![grant, ("client_id", "nobody"), ("client_secret", "x")], 401, "invalid_client"),
    ] {
        let answer = exchange(program, &form).await;
        assert_eq!(answer.status(), status, "{form:?}");
        assert_eq!(answer.headers()[header::CACHE_CONTROL], "no-store");
        let challenge = answer.headers().get(header::WWW_AUTHENTICATE);
        let is_basic = challenge.is_some_and(|value| value.to_str().unwrap().starts_with("Basic"));
        assert_eq!(is_basic, status == 401, "{challenge:?}");
        let refused: Value = answer.json().await.unwrap();
        assert_eq!(refused["error"], error, "{refused}");
        assert!(!refused.to_string().contains("ow_"), "the answer repeats the key");
    }
    let json = program.post_json("/api/auth/token", &json!({})).await;
    assert_eq!(json.status(), 400);
    assert_eq!(json.json::<Value>().await.unwrap()["error"], "invalid_request");
}

/// A token of an issuer that signs by HS256.
fn signed(secret: &[u8], header: &Value, claims: &Value) -> String {
    let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
    let signed = format!("{}.{}", encode(header), encode(claims));
    let mac = Hmac::<Sha256>::new_from_slice(secret).unwrap().chain_update(&signed);
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}

#[tokio::test]
async fn a_token_of_another_issuer_is_accepted_by_the_settings() {
    let (database, service) = (support::database().await, Service::start().await);
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), "0123456789abcdef0123456789abcdef\n").unwrap();
    let mut command = Guarded::command(&service, &database);
    command
        .env("JWT_HS256_SECRET_FILE", secret.path())
        .env("JWT_ISSUER", "https://issuer.example")
        .env("JWT_AUDIENCE", "payments")
        .env("JWT_ROLE_CLAIM", "/realm/roles")
        .env("JWT_ROLES", "pay=submitter");
    let program = Watched::start(command).await;
    let header = json!({"alg": "HS256", "typ": "JWT"});
    let claims = json!({
        "iss": "https://issuer.example", "aud": "payments", "sub": "erp|7", "exp": 4_102_444_800_u64,
        "realm": {"roles": ["pay"]},
    });
    let token = signed(b"0123456789abcdef0123456789abcdef", &header, &claims);
    let me = program.read_as(&token, "/api/me").await;
    assert_eq!((&me["principal"], &me["kind"]), (&json!("erp|7"), &json!("external")));
    assert_eq!(me["role"], "submitter");
    program.submit_as(&token, "a").await;
    let unsigned = token.rsplit_once('.').unwrap().0.to_owned() + ".";
    for forged in [&unsigned, &signed(&[0; 32], &header, &claims), &token[1..]] {
        let answer = program.get("/api/me").bearer_auth(forged).send().await.unwrap();
        assert_eq!(answer.status(), 401);
        assert!(!answer.text().await.unwrap().contains("eyJ"), "the answer repeats the token");
    }
}
