//! A machine without the certificates of any authority, as in a container that has only the program.

use std::{path::Path, time::Duration};

use tokio::{process::Command, time::timeout};

use crate::support::{Program, Service, command, database, run_to_end};

const LONG: Duration = Duration::from_secs(60);

/// Takes the certificates away from a command.
fn without_certificates(mut command: Command, folder: &Path) -> Command {
    command.env("SSL_CERT_FILE", folder.join("none.pem")).env("SSL_CERT_DIR", folder);
    command
}

#[tokio::test]
async fn without_certificates_transactions_are_posted_and_audited_over_plain_http() {
    let (folder, service) = (tempfile::tempdir().unwrap(), Service::start().await);
    let serve = service.command("serve", &database().await);
    let program = Program::start(without_certificates(serve, folder.path())).await;
    let load = [
        "load",
        "--rate",
        "5",
        "--duration",
        "1s",
        "--url",
        &program.url,
        "--posting-url",
        service.url(),
    ];
    let (ok, log) = run_to_end(without_certificates(command(&load), folder.path())).await;
    assert!(ok, "{log}");
}

#[tokio::test]
async fn https_without_certificates_is_refused_before_anything_else_with_what_to_install() {
    let folder = tempfile::tempdir().unwrap();
    for role in ["serve", "worker"] {
        let mut command = command(&[role, "--posting-url", "https://127.0.0.1:9"]);
        // It would wait for this database.
        command.env("DATABASE_URL", "postgres://127.0.0.1:9/onceward");
        let ended = run_to_end(without_certificates(command, folder.path()));
        let (ok, error) = timeout(LONG, ended).await.expect("it waits for its database");
        assert!(!ok && error.contains("POSTING_URL: https is not possible"), "{error}");
        assert!(error.contains("ca-certificates") && error.contains("SSL_CERT_FILE"), "{error}");
    }
    let load =
        command(&["load", "--url", "http://127.0.0.1:9", "--posting-url", "https://127.0.0.1:9"]);
    let (ok, error) = run_to_end(without_certificates(load, folder.path())).await;
    assert!(!ok && error.contains("ca-certificates"), "{error}");
}
