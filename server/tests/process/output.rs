//! Standard output and standard error that cannot be written.

use std::{
    fs::File,
    io::{PipeReader, Write, pipe},
    process::Stdio,
    time::Duration,
};

use nix::sys::signal::Signal;
use serde_json::json;
use tokio::time::timeout;

use crate::support::{Data, Program, command};

const LONG: Duration = Duration::from_secs(120);
const TRANSACTIONS: u32 = 60;

fn full() -> Stdio {
    File::options().write(true).open("/dev/full").unwrap().into()
}

/// A pipe that takes nothing more, and its reader, which does not read.
fn unread() -> (Stdio, PipeReader) {
    let (reader, mut writer) = pipe().unwrap();
    writer.write_all(&[b'\n'; 64 * 1024]).unwrap();
    (writer.into(), reader)
}

fn without_reader() -> Stdio {
    pipe().unwrap().1.into()
}

/// With this standard error the program accepts and posts, and ends together with its PostgreSQL.
async fn works_with(log: Stdio, loses_at_once: bool) {
    let data = Data::new();
    let mut command = command(&["serve"]);
    command.env("ONCEWARD_DATA", data.path()).env("RUST_LOG", "debug");
    let program = timeout(LONG, Program::start_logging_to(command, log)).await.unwrap();
    let work = async {
        let mut ids = Vec::new();
        for amount in 1..=TRANSACTIONS {
            ids.push(program.submit_one(amount).await);
        }
        for id in &ids {
            program.wait_for(id, "completed").await;
        }
        let metrics = program.read_text("/metrics").await;
        let lost = metrics.lines().find(|line| line.starts_with("onceward_log_lines_lost_total "));
        lost.unwrap().rsplit(' ').next().unwrap().parse::<u64>().unwrap()
    };
    let lost = timeout(LONG, work).await.unwrap();
    assert!(lost > 0 || !loses_at_once);
    assert!(timeout(LONG, program.end(Signal::SIGTERM)).await.unwrap().success());
    assert!(!data.pid_file().exists());
}

#[tokio::test]
async fn with_its_log_on_a_full_disk_it_accepts_posts_and_ends_in_order() {
    works_with(full(), true).await;
}

#[tokio::test]
async fn with_its_log_in_a_pipe_that_nobody_reads_it_accepts_posts_and_ends_in_order() {
    let (log, _reader) = unread();
    works_with(log, false).await;
}

#[tokio::test]
async fn with_its_log_in_a_pipe_whose_reader_is_gone_it_accepts_posts_and_ends_in_order() {
    works_with(without_reader(), true).await;
}

#[tokio::test]
async fn it_starts_although_neither_output_can_be_written() {
    let database = crate::support::database().await;
    for (stdout, stderr) in [(full(), full()), (without_reader(), without_reader())] {
        let mut command = command(&["web"]);
        command.env("DATABASE_URL", &database).stdout(stdout).stderr(stderr);
        let program = Program::start_listening(command).await;
        program.ready().await;
        assert!(program.end(Signal::SIGTERM).await.success());
    }
    let (stdout, _reader) = unread();
    let mut command = command(&["web"]);
    command.env("DATABASE_URL", &database).stdout(stdout);
    let program = Program::start_listening(command).await;
    program.ready().await;
    assert!(program.end(Signal::SIGTERM).await.success());
}

#[tokio::test]
async fn a_command_whose_reader_is_gone_ends_quietly() {
    let data = Data::new();
    let mut serve = command(&["simulator"]);
    serve.env("ONCEWARD_DATA", data.path());
    let simulator = Program::start(serve).await;
    let mut web = command(&["serve"]);
    web.env("DATABASE_URL", crate::support::database().await).env("POSTING_URL", &simulator.url);
    let web = Program::start(web).await;
    let faults = json!({"latencyMedianMs": 0, "preWriteFailureRate": 0, "postWriteFailureRate": 0});
    assert_eq!(
        simulator.put("/admin/faults").body(faults.to_string()).send().await.unwrap().status(),
        200
    );
    let load = [
        "load",
        "--rate",
        "5",
        "--duration",
        "1s",
        "--url",
        &web.url,
        "--posting-url",
        &simulator.url,
    ];
    for arguments in
        [&["--help"][..], &["serve", "--help"], &load, &[&load[..], &["--json"]].concat()]
    {
        let mut command = command(arguments);
        let ended = command.stdout(without_reader()).stderr(Stdio::piped()).spawn().unwrap();
        let ended = ended.wait_with_output().await.unwrap();
        let log = String::from_utf8(ended.stderr).unwrap();
        assert!(ended.status.success() && !log.contains("panicked"), "{arguments:?}: {log}");
    }
    // And an error that cannot be printed.
    let mut wrong = command(&["worker"]);
    wrong.env("DATABASE_URL", "postgres:///unused").stderr(full());
    assert_eq!(wrong.status().await.unwrap().code(), Some(1));
}
