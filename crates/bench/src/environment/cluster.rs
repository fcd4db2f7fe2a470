//! The PostgreSQL cluster on which pgbench and Onceward are measured, with the settings of
//! Onceward's own PostgreSQL.

use std::{
    fs::{self, OpenOptions, Permissions},
    os::unix::fs::{PermissionsExt, chown},
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
use sqlx::{AssertSqlSafe, Connection, PgConnection, postgres::PgConnectOptions};
use tempfile::TempDir;
use tokio::{
    process::{Child, Command},
    time::{sleep, timeout},
};

use crate::error::Fallible;

/// The same as in `server/src/own_postgres`; a test compares the two.
const SERVER_SETTINGS: [&str; 4] =
    ["listen_addresses=", "max_connections=100", "shared_buffers=256MB", "max_wal_size=4GB"];
/// How long PostgreSQL may take to start or to stop.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A running cluster in a temporary folder. Dropping it stops it and removes the folder.
#[derive(Debug)]
pub struct Cluster {
    bin: PathBuf,
    profiled: bool,
    server: Child,
    folder: TempDir,
}

impl Cluster {
    /// Creates and starts a cluster below `parent`. `profiled` loads pg_stat_statements.
    ///
    /// # Errors
    /// PostgreSQL is not installed or does not start.
    pub async fn create(parent: &Path, profiled: bool) -> Fallible<Self> {
        let found = Command::new("scripts/postgres-bin").output().await?;
        if !found.status.success() {
            return Err("no PostgreSQL 15 or newer found; `make setup` installs it".into());
        }
        let bin = PathBuf::from(String::from_utf8(found.stdout)?.trim());
        let folder = tempfile::Builder::new().prefix("onceward-bench.").tempdir_in(parent)?;
        // As root, the server runs under another account, which must be able to enter.
        fs::set_permissions(&folder, Permissions::from_mode(0o755))?;
        let home = folder.path().join("postgres");
        fs::create_dir(&home)?;
        if let Some(account) = account()? {
            chown(&home, Some(account.uid.as_raw()), Some(account.gid.as_raw()))?;
        }
        let mut initdb = command(&bin, "initdb", &home)?;
        initdb.arg("--pgdata").arg(home.join("cluster"));
        initdb.args(["--username=onceward", "--auth=trust", "--encoding=UTF8", "--locale=C"]);
        if !initdb.status().await?.success() {
            return Err(format!("initdb failed: {}", fs::read_to_string(log(&home))?).into());
        }
        let server = start(&bin, &home, profiled)?;
        let cluster = Self { bin, profiled, server, folder };
        cluster.wait_until_ready().await?;
        Ok(cluster)
    }

    /// The folder for all files of a run.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A client program of PostgreSQL, set to connect to this server. The caller sets its output.
    ///
    /// # Errors
    /// The log cannot be opened, or there is no account to run it.
    pub fn client(&self, program: &str) -> Fallible<Command> {
        let mut command = command(&self.bin, program, &self.home())?;
        command.env("PGHOST", self.home()).env("PGUSER", "onceward");
        Ok(command)
    }

    /// The URL of a database, for Onceward.
    pub fn url(&self, database: &str) -> String {
        format!("postgres:///{database}?host={}&user=onceward", self.home().display())
    }

    /// A connection for the harness.
    ///
    /// # Errors
    /// PostgreSQL's error.
    pub async fn connect(&self, database: &str) -> Fallible<PgConnection> {
        let options = PgConnectOptions::from_str(&self.url(database))?;
        Ok(PgConnection::connect_with(&options.application_name("bench")).await?)
    }

    /// Creates an empty database, or a copy of the template, and replaces any of that name. Ends
    /// with a checkpoint, so that no part pays for the writes of another.
    ///
    /// # Errors
    /// PostgreSQL's error.
    pub async fn create_database(&self, name: &str, template: Option<&str>) -> Fallible<()> {
        self.drop_database(name).await?;
        let mut connection = self.connect("postgres").await?;
        let mut statement = format!("create database {name}");
        if let Some(template) = template {
            statement.push_str(&format!(" template {template} strategy file_copy"));
        }
        sqlx::query(AssertSqlSafe(statement)).execute(&mut connection).await?;
        self.checkpoint().await
    }

    /// Drops a database, even if clients are connected.
    ///
    /// # Errors
    /// PostgreSQL's error.
    pub async fn drop_database(&self, name: &str) -> Fallible<()> {
        let statement = format!("drop database if exists {name} with (force)");
        let mut connection = self.connect("postgres").await?;
        sqlx::query(AssertSqlSafe(statement)).execute(&mut connection).await?;
        Ok(())
    }

    /// Runs a checkpoint, so that the next one falls after the measurement, and a sync, so that the
    /// system does not write copied files during it.
    ///
    /// # Errors
    /// PostgreSQL's error.
    pub async fn checkpoint(&self) -> Fallible<()> {
        let mut connection = self.connect("postgres").await?;
        sqlx::query("checkpoint").execute(&mut connection).await?;
        nix::unistd::sync();
        Ok(())
    }

    /// The process ids of the server and of its child processes.
    ///
    /// # Errors
    /// The server is not running.
    pub fn pids(&self) -> Fallible<Vec<Pid>> {
        let server = self.pid()?;
        let mut pids = vec![server];
        for entry in fs::read_dir("/proc")?.flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
            // After the name in parentheses: the state, then the parent.
            let parent = stat.rsplit_once(')').and_then(|(_, rest)| rest.split(' ').nth(2));
            if parent.and_then(|parent| parent.parse().ok()) == Some(server.as_raw()) {
                pids.push(Pid::from_raw(pid));
            }
        }
        Ok(pids)
    }

    /// How many statements all clients make within this time, those included that begin and end database
    /// transactions. The server logs them meanwhile.
    ///
    /// # Errors
    /// PostgreSQL's error, or the log cannot be read.
    pub async fn count_statements(&self, within: Duration) -> Fallible<usize> {
        let mut connection = self.connect("postgres").await?;
        for statement in ["alter system set log_statement = 'all'", "select pg_reload_conf()"] {
            sqlx::raw_sql(statement).execute(&mut connection).await?;
        }
        // A session reads its settings anew before its next statement.
        sleep(Duration::from_millis(500)).await;
        let statements = || -> Fallible<usize> {
            let log = fs::read_to_string(log(&self.home()))?;
            let logged =
                |line: &&str| line.contains("LOG:  statement: ") || line.contains("LOG:  execute ");
            Ok(log.lines().filter(logged).count())
        };
        let before = statements()?;
        sleep(within).await;
        let counted = statements()? - before;
        for statement in ["alter system reset log_statement", "select pg_reload_conf()"] {
            sqlx::raw_sql(statement).execute(&mut connection).await?;
        }
        Ok(counted)
    }

    /// Stops it as in a crash.
    ///
    /// # Errors
    /// It does not stop.
    pub async fn stop_immediately(&mut self) -> Fallible<()> {
        signal::kill(self.pid()?, Signal::SIGQUIT)?;
        timeout(TIMEOUT, self.server.wait()).await.map_err(|_| "PostgreSQL does not stop")??;
        Ok(())
    }

    /// Starts it after a stop.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn restart(&mut self) -> Fallible<()> {
        self.server = start(&self.bin, &self.home(), self.profiled)?;
        self.wait_until_ready().await
    }

    fn home(&self) -> PathBuf {
        self.folder.path().join("postgres")
    }

    fn pid(&self) -> Fallible<Pid> {
        let pid = self.server.id().ok_or("PostgreSQL is not running")?;
        Ok(Pid::from_raw(pid.try_into()?))
    }

    async fn wait_until_ready(&self) -> Fallible<()> {
        let begun = Instant::now();
        while let Err(error) = self.connect("postgres").await {
            if begun.elapsed() > TIMEOUT {
                let log = fs::read_to_string(log(&self.home()))?;
                return Err(format!("PostgreSQL does not answer: {error}\n{log}").into());
            }
            sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }
}

impl Drop for Cluster {
    /// Waits, because its folder is removed next. SIGQUIT suffices: its data is not needed any
    /// more.
    fn drop(&mut self) {
        let Ok(pid) = self.pid() else { return };
        // A process stopped by SIGSTOP would not react to SIGQUIT.
        for frozen in self.pids().unwrap_or_default() {
            let _ = signal::kill(frozen, Signal::SIGCONT);
        }
        let _ = signal::kill(pid, Signal::SIGQUIT);
        let deadline = Instant::now() + TIMEOUT;
        while matches!(self.server.try_wait(), Ok(None)) && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(10));
        }
    }
}

fn start(bin: &Path, home: &Path, profiled: bool) -> Fallible<Child> {
    let mut server = command(bin, "postgres", home)?;
    server.arg("-D").arg(home.join("cluster")).arg("-k").arg(home);
    for setting in SERVER_SETTINGS {
        server.args(["-c", setting]);
    }
    if profiled {
        server.args(["-c", "shared_preload_libraries=pg_stat_statements"]);
    }
    Ok(server.spawn()?)
}

/// A program of PostgreSQL, run under an account it accepts: PostgreSQL refuses to run as root.
fn command(bin: &Path, program: &str, home: &Path) -> Fallible<Command> {
    let log = OpenOptions::new().create(true).append(true).open(log(home))?;
    let mut command = Command::new(bin.join(program));
    command.current_dir(home).env_clear().env("LC_ALL", "C");
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    // A Ctrl-C at the terminal must reach only the harness, which then stops its processes in
    // order.
    command.process_group(0).kill_on_drop(true);
    if let Some(account) = account()? {
        command.uid(account.uid.as_raw()).gid(account.gid.as_raw());
    }
    Ok(command)
}

fn log(home: &Path) -> PathBuf {
    home.join("server.log")
}

/// The account that PostgreSQL runs as; `None` if it is the harness's own.
fn account() -> Fallible<Option<User>> {
    if !Uid::effective().is_root() {
        return Ok(None);
    }
    for name in ["postgres", "nobody"] {
        if let Some(user) = User::from_name(name)? {
            return Ok(Some(user));
        }
    }
    Err("PostgreSQL does not run as root, and there is no account `postgres` or `nobody`".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_settings_are_those_of_onceward_s_own_postgresql() {
        let own = include_str!("../../../../server/src/own_postgres/server.rs");
        let (_, settings) = own.split_once("const SERVER_SETTINGS").unwrap();
        let (_, settings) = settings.split_once('=').unwrap();
        let (settings, _) = settings.split_once(';').unwrap();
        let own: Vec<&str> = settings.split('"').skip(1).step_by(2).collect();
        assert_eq!(own, SERVER_SETTINGS);
    }
}
