//! Behind PgBouncer. Where it is not installed, these tests only say so; `make setup` installs it.

use std::{
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Child, Command, Stdio},
};

use nix::{
    sys::signal::Signal,
    unistd::{Uid, User},
};

use crate::support::{Program, Service, database, run_to_end};

const PROGRAM: &str = "/usr/sbin/pgbouncer";

struct PgBouncer {
    child: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl PgBouncer {
    /// Starts it in front of the tests' PostgreSQL; `None` if it is not installed.
    fn start(database_url: &str, pool_mode: &str) -> Option<Self> {
        if !Path::new(PROGRAM).exists() {
            eprintln!("PgBouncer is not installed, so nothing is tested");
            return None;
        }
        let folder = tempfile::tempdir_in("/tmp").unwrap();
        let path = folder.path();
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o777)).unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let host = database_url.split_once("host=").unwrap().1.split('&').next().unwrap();
        std::fs::write(path.join("users"), "\"postgres\" \"\"\n").unwrap();
        let settings = format!(
            "[databases]\n* = host={host} port=5432\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             unix_socket_dir =\nauth_type = trust\nauth_file = {folder}/users\npool_mode = {pool_mode}\n\
             default_pool_size = 60\nlogfile = {folder}/log\n",
            folder = path.display(),
        );
        std::fs::write(path.join("settings.ini"), settings).unwrap();
        let mut command = Command::new(PROGRAM);
        command.arg("-q").arg(path.join("settings.ini")).stdin(Stdio::null());
        if Uid::effective().is_root() {
            let account = ["postgres", "nobody"]
                .into_iter()
                .find(|name| User::from_name(name).is_ok_and(|user| user.is_some()));
            command.arg("-u").arg(account.unwrap());
        }
        let child = command.spawn().unwrap();
        Some(Self { child, port, _folder: folder })
    }

    fn url(&self, database_url: &str) -> String {
        let name = database_url.split_once('?').unwrap().0.rsplit('/').next().unwrap();
        format!("postgres://postgres@127.0.0.1:{}/{name}", self.port)
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        // Other signals are ignored where the tests run in a shell's background, or mean other things to other versions.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn behind_a_pooler_in_session_mode_everything_works() {
    let database = database().await;
    let Some(pooler) = PgBouncer::start(&database, "session") else { return };
    let url = pooler.url(&database);
    let service = Service::start().await;
    let program = Program::start(service.command("serve", &url)).await;
    for amount in 1..=20 {
        let id = program.submit_one(amount).await;
        program.wait_for(&id, "completed").await;
    }
    program.healthy().await;
    assert!(program.end(Signal::SIGTERM).await.success());
}

#[tokio::test]
async fn a_pooler_in_transaction_mode_is_refused_with_the_reason() {
    let database = database().await;
    let Some(pooler) = PgBouncer::start(&database, "transaction") else { return };
    let service = Service::start().await;
    let (ok, error) = run_to_end(service.command("serve", &pooler.url(&database))).await;
    assert!(!ok && error.contains("a connection pooler in transaction mode"), "{error}");
}
