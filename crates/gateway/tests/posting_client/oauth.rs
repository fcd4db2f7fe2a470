//! Access tokens: when one is requested, and what follows if none can be had.

use std::time::Duration;

use domain::{Ending, Finding, breaker::Signal};
use futures::future::join_all;
use gateway::{
    AuthorizationSettings, CredentialError, CredentialSettings, HttpPostingClient, OAuthSettings,
    PostingService, TlsFiles,
};
use tempfile::{TempDir, tempdir};

use crate::{
    LONG, SHORT, answer, far_deadline, file, header, posting,
    scripted_server::{Action, ScriptedServer},
};

const SECRET: &str = "s3cret/with+signs";

fn granted(token: &str) -> Action {
    let body = format!(r#"{{"access_token":"{token}","token_type":"bearer","expires_in":3600}}"#);
    answer("200 OK", "content-type: application/json\r\n", &body)
}

/// Answers requests on one connection like this, one after another.
async fn answering(answers: impl IntoIterator<Item = Action>) -> ScriptedServer {
    let script = answers.into_iter().flat_map(|answer| [Action::ReadRequest, answer]);
    ScriptedServer::start(script.collect::<Vec<_>>()).await
}

fn statuses(statuses: &[&str]) -> Vec<Action> {
    statuses.iter().map(|status| answer(status, "", "{}")).collect()
}

fn client(service: &str, tokens: &str, folder: &TempDir, timeout: Duration) -> HttpPostingClient {
    let authorization = AuthorizationSettings::OAuth(OAuthSettings {
        token_url: format!("{tokens}/oauth/token"),
        client_id: "once ward".to_owned(),
        client_secret: file(folder, "secret", SECRET),
        scope: Some("post verify".to_owned()),
        audience: Some("https://bank/".to_owned()),
        proxy: None,
    });
    let credentials = CredentialSettings { authorization, ..CredentialSettings::default() };
    HttpPostingClient::through(None, service, TlsFiles::default(), credentials, timeout).unwrap()
}

async fn status(client: &HttpPostingClient) -> (u16, bool) {
    let answer = client.post(&posting(), far_deadline()).await;
    let Ending::Answered { status, .. } = answer.ending else { panic!("{answer:?}") };
    (status, answer.credentials_renewed)
}

#[tokio::test]
async fn callers_that_ask_at_once_share_one_request_whose_token_all_later_requests_carry() {
    let folder = tempdir().unwrap();
    let tokens = answering([granted("t1")]).await;
    let service = answering(statuses(&["201 Created", "404 Not Found"])).await;
    let client = client(&service.url(), &tokens.url(), &folder, LONG);
    let prepared = join_all((0..20).map(|_| client.prepare())).await;
    assert!(prepared.iter().all(Result::is_ok), "{prepared:?}");
    assert_eq!(status(&client).await, (201, false));
    assert_eq!(client.verify(&posting()).await.finding, Finding::Absent);
    assert_eq!(tokens.requests(), 1);
    let request = tokens.received().concat();
    assert!(request.starts_with("POST /oauth/token HTTP/1.1\r\n"), "{request}");
    // Id and secret are encoded before they are joined: `once%20ward:s3cret%2Fwith%2Bsigns`.
    let basic = "Basic b25jZSUyMHdhcmQ6czNjcmV0JTJGd2l0aCUyQnNpZ25z";
    assert_eq!(header(&request, "authorization"), basic);
    assert_eq!(header(&request, "content-type"), "application/x-www-form-urlencoded");
    let form = "grant_type=client_credentials&scope=post%20verify&audience=https%3A%2F%2Fbank%2F";
    assert_eq!(tokens.bodies(), form);
    let received = service.received().concat();
    assert_eq!(received.matches("authorization: Bearer t1\r\n").count(), 2, "{received}");
}

#[tokio::test]
async fn a_token_that_was_accepted_is_replaced_when_it_is_refused() {
    let folder = tempdir().unwrap();
    let tokens = answering([granted("t1"), granted("t2"), granted("t3")]).await;
    let answers = ["201 Created", "401 Unauthorized", "401 Unauthorized", "201 Created"];
    let service = answering(statuses(&answers)).await;
    let client = client(&service.url(), &tokens.url(), &folder, LONG);
    assert_eq!(status(&client).await, (201, false));
    // It has expired. The next request has another one.
    assert_eq!(status(&client).await, (401, true));
    assert_eq!(tokens.requests(), 1, "it is requested when it is needed");
    // That one was never accepted, so a third will hardly do better: the breaker has to open.
    assert_eq!(status(&client).await, (401, false));
    // The probe tries a new one all the same.
    assert_eq!(status(&client).await, (201, false));
    let received = service.received().concat();
    for token in ["t1", "t2", "t3"] {
        assert!(received.contains(&format!("Bearer {token}\r\n")), "{token}: {received}");
    }
}

#[tokio::test]
async fn a_token_that_does_not_suffice_is_not_excused() {
    let folder = tempdir().unwrap();
    let tokens = answering([granted("t1"), granted("t2")]).await;
    let service = answering(statuses(&["201 Created", "403 Forbidden"])).await;
    let client = client(&service.url(), &tokens.url(), &folder, LONG);
    assert_eq!(status(&client).await, (201, false));
    assert_eq!(status(&client).await, (403, false));
}

#[tokio::test]
async fn without_a_token_nothing_is_sent_and_callers_share_the_error() {
    let folder = tempdir().unwrap();
    let invalid = r#"{"error":"invalid_client","error_description":"s3cret"}"#;
    let (refused, unusable) =
        ("401 Unauthorized", r#"{"access_token":"a b","token_type":"bearer"}"#);
    for (answer, error, signal) in [
        (
            answer(refused, "", invalid),
            "no access token: the token endpoint refuses our credentials (401 Unauthorized, invalid_client)",
            Signal::CredentialsRefused,
        ),
        (
            answer("503 Service Unavailable", "", ""),
            "no access token: it answered 503 Service Unavailable",
            Signal::NoCredential,
        ),
        (
            answer("200 OK", "", unusable),
            "no access token: no header may hold the token",
            Signal::NoCredential,
        ),
    ] {
        let tokens = ScriptedServer::start([Action::ReadRequest, answer]).await;
        let service = answering(statuses(&["201 Created"])).await;
        let client = client(&service.url(), &tokens.url(), &folder, LONG);
        for prepared in join_all((0..20).map(|_| client.prepare())).await {
            let found = prepared.unwrap_err();
            assert_eq!((found.to_string().as_str(), found.signal()), (error, signal));
        }
        assert_eq!(tokens.requests(), 1);
        let posted = client.post(&posting(), far_deadline()).await;
        assert_eq!(posted.ending, Ending::NotWritten);
        assert_eq!(posted.transport_error.as_deref(), Some(error));
        let looked_up = client.verify(&posting()).await;
        assert_eq!((looked_up.finding, looked_up.http_status), (Finding::Failed, None));
        assert_eq!(service.requests(), 0);
    }
}

#[tokio::test]
async fn a_token_endpoint_that_hangs_is_given_up_on() {
    let folder = tempdir().unwrap();
    let tokens = ScriptedServer::start([Action::ReadRequest, Action::Hold]).await;
    let client = client("http://127.0.0.1:9", &tokens.url(), &folder, SHORT);
    let error = client.prepare().await.unwrap_err();
    assert!(matches!(error, CredentialError::NoToken(_) | CredentialError::TimedOut), "{error:?}");
}
