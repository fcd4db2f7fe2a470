//! What authentication costs, and how soon a revoked key is refused.

use std::time::{Duration, Instant};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::Serialize;
use tokio::{process::Command, time::sleep};

use crate::environment::onceward_process::OncewardProcess;
use crate::environment::testbed::{DATABASE, Testbed};
use crate::error::Fallible;
use crate::http::Connection;
use crate::scenarios::throughput::{self, Throughput};

/// The client's name.
const CLIENT: &str = "bench";
/// Between two requests with a key that was revoked.
const POLL_INTERVAL: Duration = Duration::from_millis(5);
/// After this time it should have been refused.
const REFUSED_WITHIN: Duration = Duration::from_secs(30);

/// How the load authenticates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Credential {
    /// An API key.
    Key,
    /// A token that was issued for it (ES256).
    Token,
}

/// The throughput of accepting with a credential, and after it the revocation.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Authenticated {
    pub throughput: Throughput,
    /// From the end of the command that revokes the key until its first refusal.
    pub revoked_after_ms: f64,
}

/// Measures on an empty database, without workers.
///
/// # Errors
/// An accepted transaction is not stored, or Onceward fails.
pub async fn measure(testbed: &Testbed, credential: Credential) -> Fallible<Authenticated> {
    testbed.cluster.create_database(DATABASE, None).await?;
    let settings = [("ONCEWARD_AUTH", "required".to_owned())];
    let web = testbed.start("web", DATABASE, &settings).await?;
    onceward(testbed, &["client", "create", CLIENT, "--role", "submitter"]).await?;
    let key = onceward(testbed, &["client", "key", "create", CLIENT]).await?;
    let bearer = match credential {
        Credential::Key => key.clone(),
        Credential::Token => token(&web, &key).await?,
    };
    let throughput = throughput::load(testbed, DATABASE, &web, Some(&bearer)).await?;

    let id = key.split('_').nth(1).ok_or("the key has no id")?;
    onceward(testbed, &["client", "key", "revoke", id]).await?;
    let revoked_at = Instant::now();
    let request = format!(
        "GET /api/me HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {bearer}\r\n\r\n"
    );
    let mut connection = Connection::open(web.web()?).await?;
    while connection.call(request.as_bytes()).await?.0 != 401 {
        if revoked_at.elapsed() > REFUSED_WITHIN {
            return Err("a revoked key is still accepted".into());
        }
        sleep(POLL_INTERVAL).await;
    }
    let revoked_after_ms = revoked_at.elapsed().as_secs_f64() * 1_000.0;
    web.stop().await?;
    Ok(Authenticated { throughput, revoked_after_ms })
}

/// What the program prints with these arguments.
async fn onceward(testbed: &Testbed, arguments: &[&str]) -> Fallible<String> {
    let mut command = Command::new(testbed.program());
    command.args(arguments).env_clear().env("DATABASE_URL", testbed.cluster.url(DATABASE));
    let output = command.kill_on_drop(true).output().await?;
    if !output.status.success() {
        let log = String::from_utf8_lossy(&output.stderr);
        return Err(format!("onceward {}: {log}", arguments.join(" ")).into());
    }
    Ok(String::from_utf8(output.stdout)?.trim_end().to_owned())
}

/// A token for a key.
async fn token(web: &OncewardProcess, key: &str) -> Fallible<String> {
    let basic = BASE64_STANDARD.encode(format!("{CLIENT}:{key}"));
    let body = "grant_type=client_credentials";
    let request = format!(
        "POST /api/auth/token HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Basic {basic}\r\n\
         content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut connection = Connection::open(web.web()?).await?;
    let (status, answer) = connection.call(request.as_bytes()).await?;
    let answer: serde_json::Value = serde_json::from_slice(answer)?;
    match (status, answer["access_token"].as_str()) {
        (200, Some(token)) => Ok(token.to_owned()),
        _ => Err(format!("no token was issued: {status}").into()),
    }
}
