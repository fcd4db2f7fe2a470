//! The posting client against a server that ends requests in every possible way: what the client
//! concludes, and what it has sent.
#![allow(clippy::unwrap_used)]

#[path = "../support/scripted_server.rs"]
mod scripted_server;

mod credentials;
mod oauth;
mod posts;
mod requests;
mod send_deadline;
mod tls;
mod verifications;

use std::time::Duration;

use domain::{Amount, Currency};
use gateway::{
    BootInstant, CredentialSettings, HttpPostingClient, PostingRequest, SettingFile, TlsFiles,
};
use scripted_server::Action;
use uuid::Uuid;

/// A timeout that a busy machine does not reach.
const LONG: Duration = Duration::from_secs(30);
/// A timeout that is meant to expire.
const SHORT: Duration = Duration::from_millis(700);

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

fn client(url: &str, timeout: Duration) -> HttpPostingClient {
    HttpPostingClient::new(url, timeout).unwrap()
}

/// A client with these certificates and credentials.
fn client_with(url: &str, tls: TlsFiles, credentials: CredentialSettings) -> HttpPostingClient {
    HttpPostingClient::through(None, url, tls, credentials, LONG).unwrap()
}

/// A file with this content in the folder, as a setting names it.
fn file(folder: &tempfile::TempDir, name: &str, content: &str) -> SettingFile {
    let path = folder.path().join(name);
    // Replaced as a rotation does it: at once, by another file.
    let new = folder.path().join(format!("{name}.new"));
    std::fs::write(&new, content).unwrap();
    std::fs::rename(new, &path).unwrap();
    SettingFile { setting: "A_FILE", path }
}

fn header<'a>(request: &'a str, name: &str) -> &'a str {
    let mut lines = request.lines().filter_map(|line| line.split_once(": "));
    lines.find(|(found, _)| found.eq_ignore_ascii_case(name)).unwrap().1
}

fn posting() -> PostingRequest {
    PostingRequest {
        id: Uuid::now_v7(),
        amount: Amount::parse("100.50").unwrap(),
        currency: Currency::parse("USD").unwrap(),
        description: Some("rent".to_owned()),
        timestamp: chrono::DateTime::UNIX_EPOCH,
        metadata: None,
        trace_parent: TRACE.parse().unwrap(),
        trace_state: None,
    }
}

/// A deadline that does not pass in a test.
fn far_deadline() -> BootInstant {
    BootInstant::now() + 2 * LONG
}

fn answer(status: &str, headers: &str, body: &str) -> Action {
    let length = body.len();
    Action::Send(format!("HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\n\r\n{body}"))
}
