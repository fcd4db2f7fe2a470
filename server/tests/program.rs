//! The program as a process: its own PostgreSQL, its signals, its crashes.
#![allow(clippy::unwrap_used)]

mod support;

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use support::{Data, Program, command, database, run_to_end};
use tokio::process::Command;

#[tokio::test]
async fn without_a_database_url_onceward_runs_its_own_postgresql() {
    let data = Data::new();
    let start = || {
        let mut command = command(&["serve"]);
        command.env("ONCEWARD_DATA", data.path());
        command
    };
    let program = Program::start(start()).await;
    let submitted: Value =
        program.submit(r#"{"amount": 1, "currency": "USD"}"#).await.json().await.unwrap();
    let id = submitted["transactionId"].as_str().unwrap();
    program.wait_for(id, "completed").await;

    let (ok, error) = run_to_end(start()).await;
    assert!(!ok && error.contains("another Onceward is running"), "{error}");

    // After a kill its PostgreSQL keeps running. The next start takes it over, with all its data.
    let _ = program.end(Signal::SIGKILL).await;
    let program = Program::start(start()).await;
    assert_eq!(program.wait_for(id, "completed").await["transactionId"], id);
    assert!(program.end(Signal::SIGTERM).await.success());

    // After a regular stop nothing keeps running.
    assert!(!data.pid_file().exists());
    let program = Program::start(start()).await;
    assert_eq!(program.wait_for(id, "completed").await["transactionId"], id);
    assert!(program.end(Signal::SIGINT).await.success());
}

#[tokio::test]
async fn a_kill_under_load_loses_and_duplicates_nothing() {
    let (data, database) = (Data::new(), database().await);
    let start = || {
        let mut command = command(&["serve"]);
        command.env("ONCEWARD_DATA", data.path()).env("DATABASE_URL", &database);
        command
    };
    let program = Program::start(start()).await;
    let mut ids = Vec::new();
    for i in 1..=120 {
        let body = json!({"amount": i, "currency": "USD"}).to_string();
        let submitted: Value = program.submit(&body).await.json().await.unwrap();
        ids.push(submitted["transactionId"].as_str().unwrap().to_owned());
        if i == 60 {
            program.wait_for(&ids[0], "completed").await;
        }
    }
    let _ = program.end(Signal::SIGKILL).await;
    let program = Program::start(start()).await;
    for id in &ids {
        program.wait_for(id, "completed").await;
    }
    let _ = program.end(Signal::SIGTERM).await;
    let ledger = std::fs::read_to_string(data.path().join("simulator/ledger.jsonl")).unwrap();
    for id in &ids {
        assert_eq!(ledger.matches(id.as_str()).count(), 1, "{id}");
    }
}

#[tokio::test]
async fn web_and_worker_are_two_processes_on_one_database() {
    let (data, database) = (Data::new(), database().await);
    let mut simulator = command(&["simulator"]);
    simulator.env("ONCEWARD_DATA", data.path());
    let simulator = Program::start(simulator).await;
    let posting_url = simulator.url.rsplit(' ').next().unwrap().to_owned();
    let mut web = command(&["web"]);
    let web = Program::start(std::mem::replace(
        web.env("DATABASE_URL", &database).env("POSTING_URL", &posting_url),
        command(&[]),
    ))
    .await;
    let submitted: Value =
        web.submit(r#"{"amount": 2, "currency": "EUR"}"#).await.json().await.unwrap();
    let id = submitted["transactionId"].as_str().unwrap();
    assert_eq!(web.wait_for(id, "pending").await["attempts"], 0);
    let mut worker = command(&["worker"]);
    worker.env("DATABASE_URL", &database).env("POSTING_URL", &posting_url);
    let worker = Program::start(worker).await;
    web.wait_for(id, "completed").await;
    // A cleanup exists only with the simulator inside.
    assert_eq!(web.post("/cleanup").send().await.unwrap().status(), 404);
    for program in [worker, web, simulator] {
        assert!(program.end(Signal::SIGTERM).await.success());
    }
}

#[tokio::test]
async fn the_program_raises_its_open_file_limit_to_the_hard_limit() {
    let configured = command(&["web"]);
    let mut command = Command::new("sh");
    command.args(["-c", r#"ulimit -Sn 300; exec "$0" web"#, env!("CARGO_BIN_EXE_onceward")]);
    for (name, value) in configured.as_std().get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.current_dir(support::root()).env("DATABASE_URL", database().await).kill_on_drop(true);
    let program = Program::start(command).await;
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", program.pid())).unwrap();
    let open_files = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    let mut limits = open_files.split_whitespace();
    let (soft, hard) = (limits.next().unwrap(), limits.next().unwrap());
    assert_ne!(soft, "300");
    assert_eq!(soft, hard);
}

#[tokio::test]
async fn a_database_that_can_never_be_used_ends_the_program_with_the_reason() {
    let good = database().await;
    let name = good.split_once('?').unwrap().0.rsplit_once('/').unwrap().1;
    for (url, reason) in [
        ("mysql://127.0.0.1/x".to_owned(), "postgres://"),
        (good.replace(name, "no_such_database"), "no_such_database"),
        (good.replace("user=postgres", "user=no_such_user"), "no_such_user"),
    ] {
        let mut command = command(&["web"]);
        command.env("DATABASE_URL", &url);
        let (ok, error) = run_to_end(command).await;
        assert!(!ok && error.contains("DATABASE_URL") && error.contains(reason), "{url}: {error}");
    }
}

#[tokio::test]
async fn a_name_that_stands_for_loopback_is_listened_on() {
    let mut command = command(&["web"]);
    command.env("DATABASE_URL", database().await).env("LEPTOS_SITE_ADDR", "localhost:0");
    let web = Program::start(command).await;
    assert_eq!(web.get("/livez").send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn an_invalid_setting_is_refused_at_the_start_by_its_name() {
    for (arguments, name, value) in [
        (["serve"], "LEPTOS_SITE_ADDR", "0.0.0.0:3000"),
        (["serve"], "SIMULATOR_ADDR", "0.0.0.0:8080"),
        (["web"], "LEPTOS_SITE_ADDR", "nowhere"),
        (["worker"], "POSTING_URL", "not a url"),
        (["worker"], "POSTING_URL", "http://127.0.0.1/?a=b"),
        (["worker"], "POSTING_TIMEOUT_MS", "-5"),
    ] {
        let mut command = command(&arguments);
        command.env(name, value).env("DATABASE_URL", "postgres:///unused");
        let (ok, error) = run_to_end(command).await;
        assert!(!ok && error.contains(name), "{name}: {error}");
    }
    let mut worker = command(&["worker"]);
    worker.env("DATABASE_URL", "postgres:///unused");
    let (ok, error) = run_to_end(worker).await;
    assert!(!ok && error.contains("POSTING_URL"), "{error}");
}
