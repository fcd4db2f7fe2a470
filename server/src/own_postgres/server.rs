//! PostgreSQL's programs on one cluster: creating it, starting it, stopping it. Nothing here goes through a shell:
//! `pg_ctl start` would pass the folder's name to one.

use std::{
    fs,
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{self, Signal},
    unistd::Pid,
};
use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};
use tokio::{
    process::{Child, Command},
    time::{sleep, timeout},
};

use super::{
    error::OwnPostgresError,
    home::{self, Home},
    private_mount,
    programs::Programs,
};

/// The name of the database and of its owner.
pub const NAME: &str = "onceward";
/// The role as which Onceward serves. It owns nothing.
pub const SERVING_ROLE: &str = "onceward_serving";
/// Part of the socket's name; nothing listens on a TCP port.
pub const PORT: u16 = 5432;
/// The longest socket path that every system allows, minus the socket's file name.
const MAX_SOCKET_DIR_BYTES: usize = 80;
/// How long PostgreSQL may take until its socket answers. A recovery, which may take longer, is answered for.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a fast shutdown may take.
const FAST_TIMEOUT: Duration = Duration::from_secs(30);
/// How long an immediate shutdown may take.
const IMMEDIATE_TIMEOUT: Duration = Duration::from_secs(10);
/// The settings that differ from PostgreSQL's defaults. Durability stays on, as by default.
const SERVER_SETTINGS: [&str; 4] =
    ["listen_addresses=", "max_connections=100", "shared_buffers=256MB", "max_wal_size=4GB"];

/// PostgreSQL on one cluster.
pub struct Server {
    programs: Programs,
    home: Home,
    /// The socket's folder.
    pub socket_dir: PathBuf,
    /// How long the log was when PostgreSQL was started.
    log_start: u64,
}

impl Server {
    /// Prepares the folders.
    ///
    /// # Errors
    /// If PostgreSQL is not installed, or a folder cannot be made.
    pub fn new(home: Home) -> Result<Self, OwnPostgresError> {
        let programs = Programs::find(&home.cluster())?;
        let socket_dir = socket_dir(&home.path);
        let made = home.account.make_dir(&socket_dir);
        made.map_err(|error| OwnPostgresError::Folder { path: socket_dir.clone(), error })?;
        Ok(Self { programs, home, socket_dir, log_start: 0 })
    }

    /// Creates the cluster, unless it exists.
    ///
    /// # Errors
    /// If `initdb` fails.
    pub async fn init(&self) -> Result<(), OwnPostgresError> {
        let cluster = self.home.cluster();
        if cluster.exists() {
            return Ok(());
        }
        tracing::info!(cluster = %cluster.display(), "creating a PostgreSQL cluster");
        // Created under another name first, so that an interrupted start leaves no half-made cluster.
        let unfinished = self.home.path.join("cluster.unfinished");
        let folder_error = |error| OwnPostgresError::Folder { path: unfinished.clone(), error };
        if unfinished.exists() {
            fs::remove_dir_all(&unfinished).map_err(folder_error)?;
        }
        let mut initdb = self.command("initdb");
        initdb.args(["--username", NAME, "--encoding", "UTF8", "--locale", "C"]);
        // Only the owner can enter the socket's folder, and there is no TCP port.
        initdb.args(["--auth-local", "trust", "--auth-host", "reject", "--pgdata"]);
        initdb.arg(self.home.seen().join("cluster.unfinished"));
        initdb.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let failed = |output: String| OwnPostgresError::Program { program: "initdb", output };
        let made = self.spawn(&mut initdb).map_err(|error| failed(error.to_string()))?;
        let output = made.wait_with_output().await.map_err(|error| failed(error.to_string()))?;
        if !output.status.success() {
            return Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
        }
        fs::rename(&unfinished, &cluster).map_err(folder_error)
    }

    /// Starts PostgreSQL, and waits until it answers. It may be recovering from a crash for long. What is in `server`
    /// must be stopped, also if this is dropped.
    ///
    /// # Errors
    /// If it ends, or does not answer.
    pub async fn start(&mut self, server: &mut Option<Child>) -> Result<(), OwnPostgresError> {
        if !self.home.cluster().is_dir() {
            return Err(OwnPostgresError::Gone(self.home.cluster()));
        }
        // Left by a PostgreSQL that is gone. A process that has its id by now would keep this one from starting.
        for leftover in [".s.PGSQL.5432", ".s.PGSQL.5432.lock"] {
            let _ = fs::remove_file(self.socket_dir.join(leftover));
        }
        let failed = |output| OwnPostgresError::Program { program: "postgres", output };
        let log_error = |error| OwnPostgresError::Folder { path: self.home.log(), error };
        let mut log = home::open(&self.home.log()).map_err(log_error)?;
        self.log_start = log.seek(SeekFrom::End(0)).map_err(log_error)?;
        let mut postgres = self.command("postgres");
        postgres.arg("-D").arg(self.home.seen().join("cluster"));
        postgres.arg("-k").arg(self.socket_setting()).arg("-p").arg(PORT.to_string());
        for setting in SERVER_SETTINGS {
            postgres.args(["-c", setting]);
        }
        postgres.stdout(log.try_clone().map_err(log_error)?).stderr(log);
        let child =
            server.insert(self.spawn(&mut postgres).map_err(|error| failed(error.to_string()))?);
        let status = tokio::select! {
            answers = self.wait_until_it_answers() => return answers.map_err(failed),
            status = child.wait() => status,
        };
        *server = None;
        Err(failed(self.why_it_ended(status)))
    }

    /// Stops PostgreSQL. Sessions end; committed data stays.
    pub async fn stop(&self, mut server: Child) {
        for (signal, longest) in
            [(Signal::SIGINT, FAST_TIMEOUT), (Signal::SIGQUIT, IMMEDIATE_TIMEOUT)]
        {
            // A child has its id until it has been waited for.
            if let Some(pid) = server.id().and_then(|pid| i32::try_from(pid).ok()) {
                let _ = signal::kill(Pid::from_raw(pid), signal);
            }
            if timeout(longest, server.wait()).await.is_ok() {
                tracing::info!("PostgreSQL stopped");
                return;
            }
        }
        tracing::error!("PostgreSQL did not stop; the next start stops it");
    }

    /// Creates the database and the serving role, unless they exist.
    ///
    /// # Errors
    /// If PostgreSQL does not answer, or refuses to.
    pub async fn create_database(&self) -> Result<(), OwnPostgresError> {
        let mut connection = self.connect().await?;
        let exists: bool =
            sqlx::query_scalar("select exists (select from pg_database where datname = $1)")
                .bind(NAME)
                .fetch_one(&mut connection)
                .await?;
        if !exists {
            sqlx::query("create database onceward").execute(&mut connection).await?;
        }
        let exists: bool =
            sqlx::query_scalar("select exists (select from pg_roles where rolname = $1)")
                .bind(SERVING_ROLE)
                .fetch_one(&mut connection)
                .await?;
        if !exists {
            // The metrics read what all sessions do.
            let statement = "create role onceward_serving login in role pg_read_all_stats";
            sqlx::query(statement).execute(&mut connection).await?;
        }
        Ok(connection.close().await?)
    }

    async fn connect(&self) -> Result<PgConnection, sqlx::Error> {
        let options = PgConnectOptions::new_without_pgpass()
            .socket(&self.socket_dir)
            .port(PORT)
            .username(NAME)
            .database("postgres");
        PgConnection::connect_with(&options).await
    }

    async fn wait_until_it_answers(&self) -> Result<(), String> {
        let mut heard_at = Instant::now();
        loop {
            match self.connect().await {
                Err(sqlx::Error::Database(error))
                    if error.code().is_some_and(|code| code.starts_with("57P")) =>
                {
                    heard_at = Instant::now();
                }
                // It serves; whether this session is served is another matter.
                Ok(_) | Err(sqlx::Error::Database(_)) => return Ok(()),
                Err(error) if heard_at.elapsed() > START_TIMEOUT => return Err(error.to_string()),
                Err(_) => {}
            }
            sleep(Duration::from_millis(25)).await;
        }
    }

    /// How a PostgreSQL ended, and the last reason in its log.
    pub fn why_it_ended(&self, status: io::Result<ExitStatus>) -> String {
        let status = status.map_or_else(|error| error.to_string(), |status| status.to_string());
        let log = self.home.log();
        match reason(&log, self.log_start) {
            Some(reason) => format!("{status}: {reason} (its log is {})", log.display()),
            None => format!("{status} (its log is {})", log.display()),
        }
    }

    /// The value of unix_socket_directories, which is a list; a name in quotes may have any character.
    fn socket_setting(&self) -> std::ffi::OsString {
        let seen = match self.socket_dir.strip_prefix(&self.home.path) {
            Ok(inside) => self.home.seen().join(inside),
            Err(_) => self.socket_dir.clone(),
        };
        // The socket's folder is UTF-8: see `socket_dir`.
        format!("\"{}\"", seen.to_string_lossy().replace('"', "\"\"")).into()
    }

    fn spawn(&self, command: &mut Command) -> io::Result<Child> {
        match self.home.is_mounted {
            true => private_mount::spawn(&self.home.path, command),
            false => command.spawn(),
        }
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.path(program));
        // The account may have no access to the working folder. A Ctrl-C at the terminal is for Onceward alone.
        command.current_dir("/").env("LC_ALL", "C").stdin(Stdio::null()).process_group(0);
        self.home.account.apply(&mut command);
        command
    }
}

/// The last line of the log that says why PostgreSQL ended.
fn reason(log: &Path, start: u64) -> Option<String> {
    let mut file = fs::File::open(log).ok()?;
    file.seek(SeekFrom::Start(start)).ok()?;
    let mut text = Vec::new();
    file.take(1 << 20).read_to_end(&mut text).ok()?;
    let text = String::from_utf8_lossy(&text);
    let reasons = ["PANIC:  ", "FATAL:  "];
    let line = text.lines().rev().find_map(|line| {
        reasons.iter().find_map(|reason| line.split_once(reason)).map(|(_, text)| text.to_owned())
    });
    line.or_else(|| text.lines().last().map(str::to_owned))
}

/// The socket's folder: in the home or, if that path is too long for a socket or is not UTF-8, under `/tmp`, with a
/// name that is unique to this home.
pub fn socket_dir(home: &Path) -> PathBuf {
    let dir = home.join("socket");
    if dir.as_os_str().len() <= MAX_SOCKET_DIR_BYTES && dir.to_str().is_some() {
        return dir;
    }
    Path::new("/tmp").join(format!("onceward-{}", home::hash_name(home)))
}
