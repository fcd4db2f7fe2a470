//! The credentials that a request carries, and what follows when they are refused or their file changes.

use std::time::Duration;

use domain::{Ending, Finding};
use gateway::{
    AuthorizationSettings, CredentialSettings, HttpPostingClient, PostingService, TlsFiles,
};
use tempfile::{TempDir, tempdir};

use crate::{
    LONG, answer, client_with, far_deadline, file, header, posting,
    scripted_server::{Action, ScriptedServer},
};

/// Answers requests on one connection with these statuses, one after another.
async fn answering(statuses: &[&str]) -> ScriptedServer {
    let script = statuses.iter().flat_map(|status| [Action::ReadRequest, answer(status, "", "{}")]);
    ScriptedServer::start(script.collect::<Vec<_>>()).await
}

fn bearing(url: &str, folder: &TempDir, token: &str) -> HttpPostingClient {
    let authorization = AuthorizationSettings::Bearer(file(folder, "token", token));
    let credentials = CredentialSettings { authorization, ..CredentialSettings::default() };
    client_with(url, TlsFiles::default(), credentials)
}

async fn status(client: &HttpPostingClient) -> (u16, bool) {
    let answer = client.post(&posting(), far_deadline()).await;
    let Ending::Answered { status, .. } = answer.ending else { panic!("{answer:?}") };
    (status, answer.credentials_renewed)
}

#[tokio::test]
async fn posts_and_verifications_carry_the_token_or_the_password_and_the_further_headers() {
    let folder = tempdir().unwrap();
    for (authorization, expected) in [
        (AuthorizationSettings::Bearer(file(&folder, "token", "t0ken\n")), "Bearer t0ken"),
        (AuthorizationSettings::Basic(file(&folder, "pair", "ann:word\n")), "Basic YW5uOndvcmQ="),
    ] {
        let headers = Some(file(&folder, "headers", "X-Api-Key: k1\nX-Tenant: eu\n"));
        let credentials =
            CredentialSettings { authorization, headers, ..CredentialSettings::default() };
        let server = answering(&["201 Created", "404 Not Found"]).await;
        let client = client_with(&server.url(), TlsFiles::default(), credentials);
        assert_eq!(status(&client).await, (201, false));
        assert_eq!(client.verify(&posting()).await.finding, Finding::Absent);
        let received = server.received().concat();
        let (post, verification) = received.split_at(received.find("GET ").unwrap());
        for request in [post, verification] {
            assert_eq!(header(request, "authorization"), expected);
            assert_eq!(header(request, "x-api-key"), "k1");
            assert_eq!(header(request, "x-tenant"), "eu");
        }
    }
}

#[tokio::test]
async fn requests_are_signed_over_time_and_content() {
    let folder = tempdir().unwrap();
    let hmac_secret = Some(file(&folder, "secret", "s3cret\n"));
    let credentials = CredentialSettings { hmac_secret, ..CredentialSettings::default() };
    let server = answering(&["201 Created", "404 Not Found"]).await;
    let client = client_with(&format!("{}/ledger", server.url()), TlsFiles::default(), credentials);
    let posting = posting();
    client.post(&posting, far_deadline()).await;
    client.verify(&posting).await;
    let received = server.received().concat();
    let (post, verification) = received.split_at(received.find("GET ").unwrap());
    let body = post.split_once("\r\n\r\n").unwrap().1;
    let path = format!("/ledger/transactions/{}", posting.id);
    for (request, content) in [(post, body), (verification, path.as_str())] {
        let timestamp: i64 = header(request, "x-onceward-timestamp").parse().unwrap();
        assert!((chrono::Utc::now().timestamp() - timestamp).abs() < 3600, "{timestamp}");
        let expected = hmac_sha256("s3cret", &format!("{timestamp}.{content}"));
        assert_eq!(header(request, "x-onceward-signature"), format!("v1={expected}"));
    }
}

/// By another implementation than the client's.
fn hmac_sha256(secret: &str, content: &str) -> String {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret.as_bytes());
    let tag = ring::hmac::sign(&key, content.as_bytes());
    tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn a_token_that_is_refused_is_read_again_and_one_that_has_changed_is_not_held_against_it() {
    let folder = tempdir().unwrap();
    let server =
        answering(&["201 Created", "401 Unauthorized", "201 Created", "403 Forbidden"]).await;
    let client = bearing(&server.url(), &folder, "first");
    assert_eq!(status(&client).await, (201, false));
    file(&folder, "token", "second");
    assert_eq!(status(&client).await, (401, true));
    assert_eq!(status(&client).await, (201, false));
    // Nothing has changed by now.
    assert_eq!(status(&client).await, (403, false));
    let received = server.received().concat();
    assert_eq!(received.matches("authorization: Bearer second\r\n").count(), 2, "{received}");
}

#[tokio::test]
async fn a_verification_that_is_refused_proves_nothing_and_says_whether_others_may_do_better() {
    let folder = tempdir().unwrap();
    let server = answering(&["401 Unauthorized", "403 Forbidden"]).await;
    let client = bearing(&server.url(), &folder, "first");
    file(&folder, "token", "second");
    let refused = client.verify(&posting()).await;
    assert_eq!((refused.finding, refused.http_status), (Finding::Failed, Some(401)));
    assert!(refused.credentials_renewed && !refused.refuses_credentials());
    let refused = client.verify(&posting()).await;
    assert_eq!((refused.finding, refused.http_status), (Finding::Failed, Some(403)));
    assert!(refused.refuses_credentials());
}

#[tokio::test]
async fn a_token_that_changes_is_used_without_a_refusal() {
    let folder = tempdir().unwrap();
    let server =
        ScriptedServer::start([Action::ReadRequest, answer("201 Created", "", "{}")]).await;
    let client = bearing(&server.url(), &folder, "first");
    client.post(&posting(), far_deadline()).await;
    file(&folder, "token", "second");
    let sending = async {
        while !server.received().concat().contains("Bearer second") {
            client.post(&posting(), far_deadline()).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(LONG, sending).await.expect("the new token is never sent");
    // A file that is gone leaves the token in use.
    std::fs::remove_file(folder.path().join("token")).unwrap();
    client.post(&posting(), far_deadline()).await;
    assert!(server.received().last().unwrap().contains("Bearer second"));
}

#[tokio::test]
async fn a_file_that_cannot_be_used_is_refused_with_the_settings_name_and_without_its_content() {
    let folder = tempdir().unwrap();
    let names = std::cell::Cell::new(0);
    let file = |content| {
        names.set(names.get() + 1);
        file(&folder, &names.get().to_string(), content)
    };
    let bearer = |content| AuthorizationSettings::Bearer(file(content));
    let basic = |content| AuthorizationSettings::Basic(file(content));
    let headers = |content| Some(file(content));
    for (authorization, headers) in [
        (bearer("s3cret token"), None),
        (bearer(""), None),
        (basic("s3cret"), None),
        (AuthorizationSettings::None, headers("s3cret")),
        (AuthorizationSettings::None, headers("Content-Length: s3cret")),
        (bearer("token"), headers("Authorization: s3cret")),
    ] {
        let credentials =
            CredentialSettings { authorization, headers, ..CredentialSettings::default() };
        let (tls, url) = (TlsFiles::default(), "http://127.0.0.1:9");
        let refused = HttpPostingClient::through(None, url, tls, credentials, LONG);
        let error = refused.err().unwrap().to_string();
        assert!(error.starts_with("A_FILE: ") && !error.contains("s3cret"), "{error}");
    }
}
