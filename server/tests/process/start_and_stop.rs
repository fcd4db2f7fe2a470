//! Signals, and what is answered until the database is there.

use std::{path::Path, time::Duration};

use nix::sys::signal::{Signal, kill};
use reqwest::StatusCode;
use serde_json::Value;
use tokio::{net::TcpListener, process::Command, time::timeout};

#[path = "../chaos/testbed/proxy.rs"]
#[allow(dead_code)]
mod proxy;

use crate::support::{self, Data, Program, command, database};
use proxy::Proxy;

const LONG: Duration = Duration::from_secs(120);

#[tokio::test]
async fn until_the_database_answers_the_program_is_alive_and_refuses_everything_else() {
    let url = database().await;
    let (start, folder) = url.split_once("host=").unwrap();
    let folder = folder.split('&').next().unwrap();
    let name = start.trim_end_matches('?').rsplit('/').next().unwrap();
    let proxy = Proxy::start(&Path::new(folder).join(".s.PGSQL.5432")).await.unwrap();
    proxy.stall(true);
    let mut command = command(&["web"]);
    command.env("DATABASE_URL", proxy.url().replace("/onceward", &format!("/{name}")));
    let program = Program::start_listening(command).await;

    assert_eq!(program.read_text("/livez").await, "alive");
    for path in ["/readyz", "/api/transactions", "/api/health", "/metrics", "/"] {
        let refused = program.get(path).send().await.unwrap();
        assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE, "{path}");
        assert_eq!(refused.headers()["content-type"], "application/problem+json", "{path}");
        assert_eq!(refused.headers()["retry-after"], "1", "{path}");
        let problem: Value = refused.json().await.unwrap();
        assert_eq!(problem["code"], "starting", "{path}");
        assert!(problem["detail"].as_str().unwrap().contains("database"), "{problem}");
    }
    let refused = program.submit(r#"{"amount": 1, "currency": "USD"}"#).await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);

    proxy.stall(false);
    program.ready().await;
    program.submit_one(1).await;
    assert!(program.end(Signal::SIGTERM).await.success());
}

#[tokio::test]
async fn readiness_names_the_reason_and_a_signal_ends_the_waiting() {
    let nothing = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut command = command(&["web"]);
    command.env("DATABASE_URL", format!("postgres://someone@{nothing}/unused"));
    let program = Program::start_listening(command).await;
    program
        .read_until("/readyz", |problem| problem["detail"].to_string().contains("refused"))
        .await;
    assert!(program.end(Signal::SIGTERM).await.success());
}

#[tokio::test]
async fn every_signal_that_asks_for_an_end_lets_it_finish_in_order() {
    let data = Data::new();
    for signal in [Signal::SIGHUP, Signal::SIGQUIT] {
        let mut command = command(&["serve"]);
        command.env("ONCEWARD_DATA", data.path());
        let program = Program::start(not_ignoring(command)).await;
        assert!(timeout(LONG, program.end(signal)).await.unwrap().success(), "{signal}");
        assert!(!data.pid_file().exists(), "{signal}");
    }
}

#[tokio::test]
async fn a_second_signal_ends_it_without_its_grace_period_but_not_without_its_postgresql() {
    // A posting service that never answers.
    let service = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let data = Data::new();
    let mut command = command(&["serve"]);
    command.env("ONCEWARD_DATA", data.path());
    command.env("POSTING_URL", format!("http://{}", service.local_addr().unwrap()));
    command.env("POSTING_TIMEOUT_MS", "3600000").env("SHUTDOWN_GRACE_MS", "3600000");
    let program = Program::start(command).await;
    program.submit_one(1).await;
    let _in_flight = service.accept().await.unwrap();
    kill(program.pid(), Signal::SIGTERM).unwrap();
    // The first signal has been received when nothing listens any more.
    program.until("it stops listening", async || program.get("/livez").send().await.is_err()).await;
    assert!(data.pid_file().exists());
    let ended = timeout(LONG, program.end(Signal::SIGTERM)).await.unwrap();
    assert_eq!(ended.code(), Some(130));
    assert!(!data.pid_file().exists());
}

#[tokio::test]
async fn with_few_open_files_every_submission_is_answered_although_many_connections_are_idle() {
    let mut limited = Command::new("sh");
    limited.args(["-c", r#"ulimit -n 64; exec "$0" serve"#, env!("CARGO_BIN_EXE_onceward")]);
    let data = Data::new();
    let mut configured = command(&["serve"]);
    configured.env("ONCEWARD_DATA", data.path()).env("DATABASE_URL", database().await);
    for (name, value) in configured.as_std().get_envs() {
        match value {
            Some(value) => limited.env(name, value),
            None => limited.env_remove(name),
        };
    }
    limited.current_dir(support::root()).kill_on_drop(true);
    let program = Program::start(limited).await;
    let addr = program.url.trim_start_matches("http://").to_owned();
    let accepted = program.submit_one(1).await;
    let mut idle = Vec::new();
    for _ in 0..64 {
        idle.push(tokio::net::TcpStream::connect(&addr).await.unwrap());
    }
    let body = r#"{"amount": 1, "currency": "USD"}"#;
    let submissions = (0..32).map(|_| async {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let url = format!("{}/api/transactions", program.url);
        let request = client.post(url).header("content-type", "application/json").body(body);
        timeout(LONG, request.send()).await.expect("a submission hangs").unwrap().status().as_u16()
    });
    let statuses = futures::future::join_all(submissions).await;
    assert!(statuses.iter().all(|status| [202, 503].contains(status)), "{statuses:?}");
    drop(idle);
    program.wait_for(&accepted, "completed").await;
    assert!(program.end(Signal::SIGTERM).await.success());
}

/// The same command, whatever signals these tests were started to ignore.
fn not_ignoring(command: Command) -> Command {
    let std = command.as_std();
    let mut wrapped = Command::new("env");
    wrapped.arg("--default-signal=HUP,QUIT,INT,TERM").arg(std.get_program()).args(std.get_args());
    for (name, value) in std.get_envs() {
        match value {
            Some(value) => wrapped.env(name, value),
            None => wrapped.env_remove(name),
        };
    }
    wrapped.current_dir(support::root()).kill_on_drop(true).stdin(std::process::Stdio::null());
    wrapped
}
