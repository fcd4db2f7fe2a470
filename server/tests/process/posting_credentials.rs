//! The credentials towards the posting service, from the settings to the wire.

use std::{fs, path::Path, process::Stdio, time::Duration};

use serde_json::json;
use tokio::{process::Command, time::timeout};

use crate::support::{Program, Service, command, database, run_to_end};

const LONG: Duration = Duration::from_secs(60);
const SECRET: &str = "s3cret-of-the-client";

/// The path of a file with this content.
fn file(folder: &Path, name: &str, content: &str) -> String {
    let path = folder.join(name);
    fs::write(&path, content).unwrap();
    path.to_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_service_that_wants_access_tokens_gets_them_and_no_secret_is_in_the_log() {
    let (folder, service) = (tempfile::tempdir().unwrap(), Service::start().await);
    service.faults(json!({"tokenLifetimeMs": 3_600_000})).await;
    let mut command = service.command("serve", &database().await);
    command
        .env("POSTING_OAUTH_TOKEN_URL", format!("{}/oauth/token", service.url()))
        .env("POSTING_OAUTH_CLIENT_ID", "onceward")
        .env("POSTING_OAUTH_CLIENT_SECRET_FILE", file(folder.path(), "secret", SECRET))
        .env("POSTING_HEADERS_FILE", file(folder.path(), "headers", "X-Api-Key: k3y-of-the-api"))
        .env("POSTING_HMAC_SECRET_FILE", file(folder.path(), "hmac", "s3cret-of-signatures"))
        .env("RUST_LOG", "trace");
    let log = folder.path().join("log");
    let writer = Stdio::from(fs::File::create(&log).unwrap());
    let program = Program::start_logging_to(command, writer).await;
    let id = program.submit_one(1).await;
    program.wait_for(&id, "completed").await;
    let log = fs::read_to_string(log).unwrap();
    assert!(log.contains("a worker has started"), "{log}");
    for secret in [SECRET, "k3y-of-the-api", "s3cret-of-signatures", "Bearer ", "v1="] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
}

#[tokio::test]
async fn health_and_the_status_of_posting_say_that_the_service_refuses_our_credentials() {
    let (folder, service) = (tempfile::tempdir().unwrap(), Service::start().await);
    service.faults(json!({"tokenLifetimeMs": 3_600_000})).await;
    let mut command = service.command("serve", &database().await);
    command.env("POSTING_BEARER_TOKEN_FILE", file(folder.path(), "token", "stale"));
    let program = Program::start(command).await;
    let id = program.submit_one(1).await;
    let says = |health: &serde_json::Value| {
        health["reasons"].to_string().contains("the posting service refuses our credentials")
    };
    program.read_until("/api/health", says).await;
    let refused = |status: &serde_json::Value| status["circuits"]["credentialsRefused"] == 1;
    program.read_until("/api/posting", refused).await;
    let transaction = program.read(&format!("/api/transactions/{id}")).await;
    assert_eq!(transaction["attempts"], 0, "{transaction}");
    assert!(transaction["error"].to_string().contains("401"), "{transaction}");
}

/// What a worker with these settings says instead of starting. It would wait for its database.
async fn refusal(settings: &[(&str, &str)]) -> String {
    let mut command: Command = command(&["worker"]);
    command.env("DATABASE_URL", "postgres://127.0.0.1:9/onceward").envs(settings.iter().copied());
    let (ok, error) = timeout(LONG, run_to_end(command)).await.expect("it starts");
    assert!(!ok, "{error}");
    error
}

#[tokio::test]
async fn credentials_that_cannot_be_used_are_refused_at_the_start_by_the_settings_name() {
    let folder = tempfile::tempdir().unwrap();
    let (token, none) = (file(folder.path(), "token", SECRET), folder.path().join("none"));
    let spaced = file(folder.path(), "spaced", &format!("{SECRET} {SECRET}"));
    let (token, spaced) = (token.as_str(), spaced.as_str());
    let (bank, plain) = (("POSTING_URL", "https://bank"), ("POSTING_URL", "http://bank"));
    let bearer = ("POSTING_BEARER_TOKEN_FILE", token);
    let missing = ("POSTING_BEARER_TOKEN_FILE", none.to_str().unwrap());
    for (settings, expected) in [
        (vec![bank, bearer, ("POSTING_BASIC_AUTH_FILE", token)], "POSTING_BASIC_AUTH_FILE"),
        (vec![bank, missing], "POSTING_BEARER_TOKEN_FILE: "),
        (vec![bank, ("POSTING_BEARER_TOKEN_FILE", spaced)], "POSTING_BEARER_TOKEN_FILE: "),
        (vec![bank, ("POSTING_CA_FILE", token)], "POSTING_CA_FILE: "),
        (vec![bank, ("POSTING_CLIENT_CERT_FILE", token)], "POSTING_CLIENT_KEY_FILE"),
        (vec![bank, ("POSTING_OAUTH_CLIENT_ID", "onceward")], "POSTING_OAUTH_TOKEN_URL"),
        (vec![bank, ("POSTING_OAUTH_TOKEN_URL", SECRET)], "POSTING_OAUTH_TOKEN_URL: "),
        (vec![plain, bearer], "POSTING_CREDENTIALS_OVER_HTTP"),
    ] {
        let said = refusal(&settings).await;
        assert!(said.contains(expected) && !said.contains(SECRET), "{settings:?}: {said}");
    }
}
