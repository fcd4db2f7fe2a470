//! `onceward load` as a process: stopped half-way, and its exit codes.
#![allow(clippy::unwrap_used)]

mod support;

use std::{
    net::{Ipv4Addr, TcpListener},
    process::{Output, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use support::{Program, Service, command, database};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

/// A load that would go on for hours.
fn long_load(program: &Program, service: &Service) -> Command {
    let mut load = command(&["load", "--json", "--rate", "50", "--duration", "10h"]);
    load.args(["--url", &program.url, "--posting-url", service.url()]);
    load.stdout(Stdio::piped()).stderr(Stdio::piped());
    load
}

fn interrupt(load: &Child) {
    kill(Pid::from_raw(load.id().unwrap().try_into().unwrap()), Signal::SIGINT).unwrap();
}

async fn some_submitted(program: &Program) {
    let path = "/api/transactions?limit=20";
    program.read_until(path, |page| page["data"].as_array().unwrap().len() == 20).await;
}

fn json_of(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"))
}

#[tokio::test]
async fn ctrl_c_ends_the_submissions_and_the_report_audits_those_made_by_then() {
    let (service, database) = (Service::start().await, database().await);
    let program = Program::start(service.command("serve", &database)).await;
    let load = long_load(&program, &service).spawn().unwrap();
    some_submitted(&program).await;
    interrupt(&load);
    let output = load.wait_with_output().await.unwrap();
    let report = json_of(&output);
    assert_eq!(output.status.code(), Some(0), "{report}");
    assert_eq!(report["stoppedEarly"], true);
    assert!(report["accepted"].as_u64() >= Some(20), "{report}");
    assert_eq!(report["offered"], report["accepted"]);
    assert_eq!(report["completed"], report["accepted"]);
    assert_eq!((&report["lost"], &report["duplicated"]), (&json!(0), &json!(0)));
    // None that Onceward has is missing from the report.
    let mut table = PgConnection::connect(&database).await.unwrap();
    let count = sqlx::query_scalar::<_, i64>("select count(*) from transactions");
    assert_eq!(report["accepted"], count.fetch_one(&mut table).await.unwrap());
}

#[tokio::test]
async fn a_second_ctrl_c_audits_without_waiting_until_everything_is_final() {
    let service = Service::start().await;
    let program = Program::start(service.command("serve", &database().await)).await;
    let pause = program.post_json("/api/posting/pause", &json!({})).await;
    assert_eq!(pause.status(), 200);
    let mut load = long_load(&program, &service).spawn().unwrap();
    let mut log = BufReader::new(load.stderr.take().unwrap()).lines();
    some_submitted(&program).await;
    interrupt(&load);
    while !log.next_line().await.unwrap().unwrap().contains("Ctrl-C again") {}
    interrupt(&load);
    let output = load.wait_with_output().await.unwrap();
    let report = json_of(&output);
    assert!(report["unfinished"].as_u64() >= Some(20), "{report}");
    assert_eq!(report["unfinished"], report["accepted"]);
    assert_eq!(report["lost"], 0);
    assert_eq!(output.status.code(), Some(2), "{report}");
}

#[tokio::test]
async fn with_json_an_error_is_json_too_and_its_exit_code_is_2() {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let no_listener = format!("http://{free}");
    for (arguments, code, word) in [
        (["--url", &no_listener], "unreachable", no_listener.as_str()),
        (["--rate", "fast"], "usage", "--rate"),
        (["--no-such-flag", "1"], "usage", "--no-such-flag"),
    ] {
        let mut load = command(&["load", "--json"]);
        let output = load.args(arguments).output().await.unwrap();
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        let error = &json_of(&output)["error"];
        assert_eq!(error["code"], code, "{error}");
        assert!(error["message"].as_str().unwrap().contains(word), "{error}");
    }
    let output = command(&["load", "--url", &no_listener]).output().await.unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(output.stdout.is_empty());
    assert!(String::from_utf8(output.stderr).unwrap().contains(&no_listener));
}
