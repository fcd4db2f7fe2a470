//! Onceward's own PostgreSQL: where its files are, whose they are, and what happens when it ends.
#![allow(clippy::unwrap_used)]

mod support;

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Uid,
};
use serde_json::Value;
use support::{Data, Program, command, contract};
use tokio::process::Command;

fn serve(data: &Path) -> Command {
    let mut command = command(&["serve"]);
    command.env("ONCEWARD_DATA", data);
    command
}

async fn refused(mut command: Command) -> String {
    let output = command.output().await.unwrap();
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8(output.stderr).unwrap()
}

/// Starts on a folder, stores a transaction and stops.
async fn store_one(data: &Path) -> String {
    let program = Program::start(serve(data)).await;
    let id = program.submit_one(1).await;
    program.wait_for(&id, "completed").await;
    assert!(program.end(Signal::SIGTERM).await.success());
    id
}

fn copy(from: &Path, to: &Path) {
    let copied = std::process::Command::new("cp").arg("-a").arg(from).arg(to).status();
    assert!(copied.unwrap().success());
}

fn because(reason: &'static str) -> impl Fn(&Value) -> bool {
    move |health| {
        let reasons = health["reasons"].as_array().unwrap();
        health["status"] == "unhealthy"
            && reasons.iter().any(|known| known.as_str().unwrap().contains(reason))
    }
}

#[tokio::test]
async fn a_postgresql_that_is_killed_is_started_again_with_all_its_data() {
    let data = Data::new();
    let program = Program::start(serve(data.path())).await;
    program.healthy().await;
    let id = program.submit_one(1).await;
    let before = data.postmaster();
    kill(before, Signal::SIGKILL).unwrap();
    // It may be back before anybody asks.
    let is_another = || {
        let text = fs::read_to_string(data.pid_file()).unwrap_or_default();
        text.lines().next().is_some_and(|pid| pid != before.to_string())
    };
    let is_back = |health: &Value| health["status"] == "healthy" && is_another();
    program.read_until("/api/health", is_back).await;
    program.wait_for(&id, "completed").await;
    let later = program.submit_one(2).await;
    program.wait_for(&later, "completed").await;
    assert!(program.end(Signal::SIGTERM).await.success());
    assert!(!data.pid_file().exists());
}

#[tokio::test]
async fn the_program_ends_with_an_error_if_its_postgresql_cannot_be_started_again() {
    let data = Data::new();
    let program = Program::start(serve(data.path())).await;
    program.healthy().await;
    let cluster = data.path().join("postgres/cluster");
    let postmaster = data.postmaster();
    fs::rename(&cluster, cluster.with_extension("away")).unwrap();
    kill(postmaster, Signal::SIGKILL).unwrap();
    assert_eq!(program.ended().await.code(), Some(1));
}

#[tokio::test]
async fn sigterm_ends_the_program_while_its_postgresql_cannot_be_started() {
    let data = Data::new();
    let mut command = serve(data.path());
    command.env("SHUTDOWN_GRACE_MS", "500");
    let program = Program::start(command).await;
    program.healthy().await;
    let control = data.path().join("postgres/cluster/global/pg_control");
    fs::rename(&control, control.with_extension("away")).unwrap();
    kill(data.postmaster(), Signal::SIGKILL).unwrap();
    program.read_until("/api/health", because("is being started again")).await;
    kill(program.pid(), Signal::SIGTERM).unwrap();
    assert_eq!(program.ended().await.code(), Some(0));
    // Nothing was lost by it.
    fs::rename(control.with_extension("away"), &control).unwrap();
    store_one(data.path()).await;
}

#[tokio::test]
async fn a_folder_may_have_any_name_and_no_shell_reads_it() {
    let parent = Data::new();
    let data = parent.path().join("a$(touch x)b 'q\" c, `touch y`\\");
    fs::create_dir(&data).unwrap();
    let id = store_one(&data).await;
    // Too long for a socket as well.
    let long = parent.path().join("a$(touch x)b 'q\" c".repeat(6));
    copy(&data, &long);
    let program = Program::start(serve(&long)).await;
    program.wait_for(&id, "completed").await;
    assert!(program.end(Signal::SIGTERM).await.success());
    let broken = refused(serve(&parent.path().join("a\nb"))).await;
    assert!(broken.contains("line break"), "{broken}");
}

#[tokio::test]
async fn a_program_that_has_the_process_id_of_an_earlier_postgresql_is_left_alone() {
    let data = Data::new();
    let program = Program::start(serve(data.path())).await;
    let id = program.submit_one(1).await;
    let stale = fs::read_to_string(data.pid_file()).unwrap();
    program.wait_for(&id, "completed").await;
    assert!(program.end(Signal::SIGTERM).await.success());
    let mut other = Command::new("sleep").arg("600").kill_on_drop(true).spawn().unwrap();
    let (_, lines) = stale.split_once('\n').unwrap();
    fs::write(data.pid_file(), format!("{}\n{lines}", other.id().unwrap())).unwrap();
    let program = Program::start(serve(data.path())).await;
    program.wait_for(&id, "completed").await;
    assert!(program.end(Signal::SIGTERM).await.success());
    assert!(other.try_wait().unwrap().is_none(), "the other program was ended");
}

#[tokio::test]
async fn a_copied_folder_is_a_database_of_its_own() {
    let (data, parent) = (Data::new(), Data::new());
    let id = store_one(data.path()).await;
    let copied = parent.path().join("copy");
    copy(data.path(), &copied);
    let original = Program::start(serve(data.path())).await;
    // As if it had been copied while the original ran.
    copy(&data.pid_file(), &copied.join("postgres/cluster/postmaster.pid"));
    let copy = Program::start(serve(&copied)).await;
    copy.wait_for(&id, "completed").await;
    let of_the_copy = copy.submit_one(2).await;
    copy.wait_for(&of_the_copy, "completed").await;
    let path = format!("/api/transactions/{of_the_copy}");
    assert_eq!(original.get(&path).send().await.unwrap().status(), 404);
    assert!(copy.end(Signal::SIGTERM).await.success());
    let later = original.submit_one(3).await;
    original.wait_for(&later, "completed").await;
    assert!(original.end(Signal::SIGTERM).await.success());
}

#[tokio::test]
async fn as_root_the_data_is_in_the_folder_even_if_the_account_of_postgresql_may_not_enter_it() {
    if !Uid::effective().is_root() {
        return eprintln!("skipped: only root runs PostgreSQL under another account");
    }
    let parent = Data::new();
    for (closed, folder) in [("own", "own"), ("parent", "parent/data")] {
        let closed = parent.path().join(closed);
        fs::create_dir(&closed).unwrap();
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
        let data = parent.path().join(folder);
        let mut first = serve(&data);
        first.env("RUST_LOG", "info");
        let program = Program::try_start(first).await;
        let program = match program {
            Ok(program) => program,
            // A container may not mount: then it says which folder, and what to do.
            Err(error) => {
                assert!(error.contains(closed.to_str().unwrap()), "{error}");
                assert!(error.contains("chmod o+x"), "{error}");
                continue;
            }
        };
        let id = program.submit_one(1).await;
        program.wait_for(&id, "completed").await;
        let _ = program.end(Signal::SIGKILL).await;
        assert!(!data.join("postgres").is_symlink());
        assert!(data.join("postgres/cluster/PG_VERSION").is_file());
        // The PostgreSQL that was left running is known as this folder's, and stopped.
        let program = Program::start(serve(&data)).await;
        program.wait_for(&id, "completed").await;
        assert!(program.end(Signal::SIGTERM).await.success());
        assert!(!data.join("postgres/cluster/postmaster.pid").exists());
        let elsewhere = parent.path().join(format!("{}-copy", folder.replace('/', "-")));
        copy(&data, &elsewhere);
        let copy = Program::start(serve(&elsewhere)).await;
        copy.wait_for(&id, "completed").await;
        assert!(copy.end(Signal::SIGTERM).await.success());
    }
}

/// What earlier versions called the folder that ONCEWARD_DATA linked to.
fn former_home(link: &Path) -> std::path::PathBuf {
    let bytes = link.as_os_str().as_encoded_bytes();
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    Path::new("/var/lib/onceward").join(format!("{hash:016x}"))
}

#[tokio::test]
async fn the_files_that_an_earlier_version_kept_elsewhere_are_found_and_no_copy_takes_them() {
    if !Uid::effective().is_root() {
        return eprintln!("skipped: only as root did earlier versions keep files elsewhere");
    }
    let (data, parent) = (Data::new(), Data::new());
    let id = store_one(data.path()).await;
    let link = data.path().join("postgres");
    let home = former_home(&link);
    fs::create_dir_all("/var/lib/onceward").unwrap();
    let moved = std::process::Command::new("mv").arg(&link).arg(&home).status();
    assert!(moved.unwrap().success());
    symlink(&home, &link).unwrap();
    let copied = parent.path().join("copy");
    copy(data.path(), &copied);
    let error = refused(serve(&copied)).await;
    assert!(
        error.contains("another ONCEWARD_DATA") && error.contains("remove the link"),
        "{error}"
    );
    let program = Program::start(serve(data.path())).await;
    program.wait_for(&id, "completed").await;
    assert!(program.end(Signal::SIGTERM).await.success());
    // It is moved where the disk is the same.
    if !link.is_symlink() {
        assert!(!home.exists());
        assert!(link.join("cluster/PG_VERSION").is_file());
    } else {
        fs::remove_dir_all(&home).unwrap();
    }
}

/// A small disk, and a file that fills it.
struct Disk(Data);

impl Disk {
    fn mount(megabytes: u32) -> Option<Self> {
        let disk = Self(Data::new());
        let mounted = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={megabytes}m,mode=755"), "tmpfs"])
            .arg(disk.0.path())
            .status();
        mounted.is_ok_and(|status| status.success()).then_some(disk)
    }

    fn fill(&self) {
        let mut file = fs::File::create(self.0.path().join("filler")).unwrap();
        let error = std::io::copy(&mut std::io::repeat(0), &mut file).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
    }

    fn empty(&self) {
        fs::remove_file(self.0.path().join("filler")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[tokio::test]
async fn a_full_disk_is_named_as_the_cause_and_its_end_is_noticed() {
    let Some(disk) = Disk::mount(400) else {
        return eprintln!("skipped: no file system may be mounted here");
    };
    let program = Program::start(serve(disk.0.path())).await;
    program.healthy().await;
    let id = program.submit_one(1).await;
    program.wait_for(&id, "completed").await;
    disk.fill();
    // Nothing is submitted: a probe finds it.
    let health = program.read_until("/api/health", because("disk is full")).await;
    assert!(!health["reasons"].to_string().contains("no worker"), "{health}");
    assert_eq!(program.get("/readyz").send().await.unwrap().status(), 503);
    // What PostgreSQL has room for in its files is stored; after that it refuses.
    let large = format!(
        r#"{{"amount": 1, "currency": "USD", "metadata": {{"text": "{}"}}}}"#,
        (0..1500).map(|n| format!("{:x}", n * 7_919_u64)).collect::<String>()
    );
    let answer = loop {
        let answer = program.submit(&large).await;
        if answer.status() != 202 {
            break contract(answer).await;
        }
    };
    assert_eq!(answer["status"], 503, "{answer}");
    let detail = answer["body"]["detail"].as_str().unwrap();
    assert!(detail.contains("disk is full") || detail.contains("did not confirm"), "{detail}");
    disk.empty();
    program.read_until("/api/health", |health| health["status"] != "unhealthy").await;
    let later = program.submit_one(2).await;
    program.wait_for(&later, "completed").await;
    tokio::time::timeout(Duration::from_secs(60), program.end(Signal::SIGTERM)).await.unwrap();
}
