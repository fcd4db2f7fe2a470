//! A program whose whole log is searched for secrets when its test ends.

use std::{io::Read, ops::Deref, process::Stdio, thread::JoinHandle};

use nix::sys::signal::{Signal, kill};
use tokio::process::Command;

use crate::support::Program;

/// What the tests use as passwords and as the secret of a token's issuer, and what comes before a secret in a cookie, an
/// address or a header.
const MARKS: [&str; 9] = [
    "purple walruses",
    "orange narwhals",
    "0123456789abcdef0123456789abcdef",
    "onceward_session=",
    "onceward_device=",
    "token=",
    "secret=",
    "Bearer ow_",
    "Basic cGF5",
];
/// Keys, tokens, the ids of sessions and links have at least so many characters in a row.
const SECRET_CHARS: usize = 40;

/// A program that logs as much as it can.
pub struct Watched {
    program: Program,
    log: Option<JoinHandle<String>>,
}

impl Watched {
    /// Starts it and waits until it serves requests.
    pub async fn start(mut command: Command) -> Self {
        let (mut reader, writer) = std::io::pipe().unwrap();
        let log = std::thread::spawn(move || {
            let mut log = Vec::new();
            reader.read_to_end(&mut log).unwrap();
            String::from_utf8_lossy(&log).into_owned()
        });
        command.env("RUST_LOG", "debug");
        let program = Program::start_logging_to(command, Stdio::from(writer)).await;
        program.ready().await;
        Self { program, log: Some(log) }
    }
}

impl Deref for Watched {
    type Target = Program;

    fn deref(&self) -> &Program {
        &self.program
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        // It writes the rest of its log, and the log ends with it.
        let stopped = kill(self.program.pid(), Signal::SIGTERM);
        let log = self.log.take().and_then(|log| log.join().ok()).unwrap_or_default();
        if std::thread::panicking() {
            return eprintln!("{log}");
        }
        assert!(stopped.is_ok() && log.contains("DEBUG"), "the log is not complete: {log}");
        let leaks: Vec<_> = log.lines().filter(|line| has_secret(line)).collect();
        assert!(leaks.is_empty(), "there are secrets in the log: {leaks:#?}");
    }
}

fn has_secret(line: &str) -> bool {
    MARKS.iter().any(|mark| line.contains(mark))
        || line.split(|c: char| !(c.is_ascii_alphanumeric() || "-_".contains(c))).any(is_random)
}

/// Whether a word is as long as a secret, and has every kind of character, which no name has.
fn is_random(word: &str) -> bool {
    let has = |kind: fn(&char) -> bool| word.chars().any(|c| kind(&c));
    word.len() >= SECRET_CHARS
        && has(char::is_ascii_uppercase)
        && has(char::is_ascii_lowercase)
        && has(char::is_ascii_digit)
}

#[test]
fn every_kind_of_secret_is_found_in_a_log() {
    for line in [
        "INFO key=ow_vF0dQ2sPZzJ7mY1x_Zq3vN8cK5tR1yB6uE9wJ2aL7pX4hG0dMfS8kQ3nTbVw03WzSJ",
        "DEBUG authorization: Bearer eyJhbGciOiJFUzI1NiIsInR5cCI6ImF0K2p3dCJ9.eyJzdWIiOiJwYXkifQ.c2ln",
        r#"cookies "__Host-onceward" -> "q8Jt3ZKx0cY5mR7vL1nB9wD2fH4gS6aPzXuEiOyTkMQ""#,
        "POST /sign-in name=ann&password=seven purple walruses",
        "GET /set-password?token=x",
    ] {
        assert!(has_secret(line), "{line}");
    }
    for line in [
        "INFO request{id=7c9e6679-7425-40de-944b-e07fc1f90ae7}: listening addr=127.0.0.1:3000",
        "DEBUG sqlx::query: summary=\"insert into transactions\" elapsed=1.2ms rows_affected=1",
        "DEBUG hyper_util::client::legacy::pool: pooling idle connection for (\"http\", 127.0.0.1:80)",
    ] {
        assert!(!has_secret(line), "{line}");
    }
}
