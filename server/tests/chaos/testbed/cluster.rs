//! A PostgreSQL cluster of its own for each scenario, which can be stopped in every way and
//! restarted.

use std::{
    fs::{self, OpenOptions},
    os::unix::fs::chown,
    path::{Path, PathBuf},
    process::Stdio,
    str::FromStr,
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{self, Signal},
    unistd::{Pid, Uid, User},
};
use sqlx::{
    Connection, PgConnection, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::{
    process::{Child, Command},
    time::timeout,
};

use crate::{Fallible, testbed::process::workspace, wait};

/// How long PostgreSQL may take to start, including a crash recovery, or to stop.
const TIMEOUT: Duration = Duration::from_secs(60);
/// How long PostgreSQL may take to stop when the scenario is over.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);
/// The name of the harness's own sessions, which distinguishes them from Onceward's.
pub const APPLICATION: &str = "chaos";

/// The settings of a cluster.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Whether a commit reaches the disk.
    pub durable: bool,
    pub max_connections: u32,
}

/// A running cluster. Dropping it stops it.
#[derive(Debug)]
pub struct Cluster {
    bin: PathBuf,
    folder: PathBuf,
    settings: Settings,
    server: Child,
}

impl Cluster {
    /// Creates a cluster in a new folder, with the database `onceward`.
    pub async fn make(folder: PathBuf, settings: Settings) -> Fallible<Self> {
        let found = Command::new(workspace().join("scripts/postgres-bin")).output().await;
        let found = found.ok().filter(|found| found.status.success());
        let found = found.ok_or("no PostgreSQL 15 or newer found; `make setup` installs it")?;
        let bin = PathBuf::from(String::from_utf8(found.stdout)?.trim());
        fs::create_dir(&folder)?;
        if let Some(account) = account()? {
            chown(&folder, Some(account.uid.as_raw()), Some(account.gid.as_raw()))?;
        }
        let mut initdb = command(&bin, "initdb", &folder)?;
        initdb.arg("--pgdata").arg(folder.join("data"));
        initdb.args(["--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-locale"]);
        let made = initdb.arg("--no-sync").status().await?;
        if !made.success() {
            return Err(format!("initdb failed: see {}", log(&folder).display()).into());
        }
        let server = start(&bin, &folder, settings)?;
        let cluster = Self { bin, folder, settings, server };
        cluster.ready().await?;
        let mut connection = PgConnection::connect_with(&cluster.options("postgres")?).await?;
        sqlx::query("create database onceward").execute(&mut connection).await?;
        Ok(cluster)
    }

    /// Onceward's `DATABASE_URL`.
    pub fn url(&self) -> String {
        format!("postgres:///onceward?host={}&user=postgres", self.folder.display())
    }

    /// The socket that it listens on.
    pub fn socket(&self) -> PathBuf {
        self.folder.join(".s.PGSQL.5432")
    }

    /// A pool for the harness, which outlives a restart of the server.
    pub fn pool(&self) -> Fallible<PgPool> {
        let options = PgPoolOptions::new().max_connections(4).acquire_timeout(TIMEOUT);
        Ok(options.connect_lazy_with(self.options("onceward")?))
    }

    /// One connection for the harness.
    pub async fn connect(&self) -> Fallible<PgConnection> {
        Ok(PgConnection::connect_with(&self.options("onceward")?).await?)
    }

    fn options(&self, database: &str) -> Fallible<PgConnectOptions> {
        let options = PgConnectOptions::from_str(&self.url())?;
        Ok(options.database(database).application_name(APPLICATION))
    }

    /// Stops the server: SIGINT is a fast shutdown, SIGQUIT an immediate one, as in a crash.
    pub async fn stop(&mut self, signal: Signal) -> Fallible<()> {
        self.signal(signal)?;
        let stopped = timeout(TIMEOUT, self.server.wait()).await;
        stopped.map_err(|_| format!("PostgreSQL does not stop on {signal}"))??;
        Ok(())
    }

    /// Starts the server again, and waits until it answers.
    pub async fn restart(&mut self) -> Fallible<()> {
        self.server = start(&self.bin, &self.folder, self.settings)?;
        self.ready().await
    }

    /// Stops every process of the server with SIGSTOP: connections are accepted, and nothing is
    /// answered.
    pub fn freeze(&self) -> Fallible<()> {
        self.signal_all(Signal::SIGSTOP)
    }

    /// Resumes them.
    pub fn thaw(&self) -> Fallible<()> {
        self.signal_all(Signal::SIGCONT)
    }

    /// Each session is in a process group of its own. The server is signalled first, so that it
    /// starts no more sessions.
    fn signal_all(&self, signal: Signal) -> Fallible<()> {
        self.signal(signal)?;
        let pid = self.server.id().ok_or("PostgreSQL is not running")?;
        for child in fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?.split(' ') {
            if let Ok(child) = child.trim().parse() {
                // A process that has ended meanwhile needs no signal.
                let _ = signal::kill(Pid::from_raw(child), signal);
            }
        }
        Ok(())
    }

    fn signal(&self, signal: Signal) -> Fallible<()> {
        let pid = self.server.id().ok_or("PostgreSQL is not running")?;
        Ok(signal::kill(Pid::from_raw(pid.try_into()?), signal)?)
    }

    async fn ready(&self) -> Fallible<()> {
        let options = self.options("postgres")?;
        wait::until("PostgreSQL answers", TIMEOUT, || async {
            PgConnection::connect_with(&options).await.ok()
        })
        .await?;
        Ok(())
    }
}

impl Drop for Cluster {
    /// Waits for the end, because its folder is removed next.
    fn drop(&mut self) {
        let until = Instant::now() + SHUTDOWN_TIMEOUT;
        if self.signal(Signal::SIGQUIT).is_err() {
            return;
        }
        while matches!(self.server.try_wait(), Ok(None)) {
            if Instant::now() > until {
                let _ = self.server.start_kill();
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
}

fn start(bin: &Path, folder: &Path, settings: Settings) -> Fallible<Child> {
    let Settings { durable, max_connections } = settings;
    let durable = if durable { "on" } else { "off" };
    let mut server = command(bin, "postgres", folder)?;
    server.arg("-D").arg(folder.join("data")).arg("-k").arg(folder);
    server.args(["-c", "listen_addresses="]).arg("-c").arg(format!("fsync={durable}"));
    server.arg("-c").arg(format!("max_connections={max_connections}"));
    // Keeps a crash recovery from being one long checkpoint, and a scenario from using all memory.
    server.args(["-c", "shared_buffers=64MB", "-c", "log_line_prefix=%m [%p] "]);
    Ok(server.spawn()?)
}

/// A program of PostgreSQL, run by an account that it accepts: it refuses to run as root.
fn command(bin: &Path, program: &str, folder: &Path) -> Fallible<Command> {
    let log = OpenOptions::new().create(true).append(true).open(log(folder))?;
    let mut command = Command::new(bin.join(program));
    command
        .current_dir(folder)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .process_group(0)
        .kill_on_drop(true);
    if let Some(account) = account()? {
        command.uid(account.uid.as_raw()).gid(account.gid.as_raw());
    }
    Ok(command)
}

fn log(folder: &Path) -> PathBuf {
    folder.join("server.log")
}

/// The account that PostgreSQL runs as; `None` for the current one.
fn account() -> Fallible<Option<User>> {
    if !Uid::effective().is_root() {
        return Ok(None);
    }
    for name in ["postgres", "nobody"] {
        if let Some(user) = User::from_name(name)? {
            return Ok(Some(user));
        }
    }
    Err("PostgreSQL does not run as root, and there is no other account for it".into())
}
