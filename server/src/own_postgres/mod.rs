//! Onceward's own PostgreSQL, used if `DATABASE_URL` is unset. The first start creates it under `ONCEWARD_DATA`, on a
//! socket that only its owner can reach. It stops with Onceward. If Onceward was killed and its PostgreSQL still
//! runs, the next start takes it over.

mod account;
mod error;
mod programs;

use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
    process::Output,
    time::{Duration, Instant},
};

use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};
use tokio::{process::Command, time::sleep};

use account::Account;
use error::OwnPostgresError;
use programs::Programs;

/// The name of the database and of its owner.
const NAME: &str = "onceward";
/// Part of the socket's name; nothing listens on a TCP port.
const PORT: u16 = 5432;
/// The longest socket path that every system allows, minus the socket's file name.
const MAX_SOCKET_DIR_BYTES: usize = 80;
/// How long PostgreSQL may take to start or stop.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// The settings that differ from PostgreSQL's defaults. Durability stays on, as by default.
const SERVER_SETTINGS: [&str; 4] =
    ["listen_addresses=", "max_connections=100", "shared_buffers=256MB", "max_wal_size=4GB"];

/// Onceward's own PostgreSQL, running.
pub struct OwnPostgres {
    programs: Programs,
    account: Account,
    cluster: PathBuf,
    socket_dir: PathBuf,
    /// Held as long as this process is alive; the system releases it however the process ends.
    _lock: File,
}

impl OwnPostgres {
    /// Starts the PostgreSQL under `data`, or takes it over.
    ///
    /// # Errors
    /// See [`OwnPostgresError`].
    pub async fn start(data: &Path) -> Result<Self, OwnPostgresError> {
        let folder = |error| OwnPostgresError::Folder { path: data.to_path_buf(), error };
        fs::create_dir_all(data).map_err(folder)?;
        let data = data.canonicalize().map_err(folder)?;
        let lock = lock(&data)?;
        let wanted = data.join("postgres");
        let account = Account::choose(&wanted).map_err(folder)?;
        let home = account.home(&wanted).map_err(folder)?;
        let cluster = home.join("cluster");
        let own = Self {
            programs: Programs::find(&cluster)?,
            account,
            socket_dir: socket_dir(&home),
            cluster,
            _lock: lock,
        };
        own.account.make_dir(&own.socket_dir).map_err(folder)?;
        if !own.cluster.exists() {
            own.init(&home).await?;
        }
        if let Err(error) = own.bring_up(&home).await {
            // It must not be left running without an Onceward.
            own.stop().await;
            return Err(error);
        }
        tracing::info!(url = own.url(), "Onceward's own PostgreSQL is running");
        Ok(own)
    }

    /// Launches it or takes it over, and retries until it answers: a PostgreSQL that is stopping, or recovering from a
    /// crash, needs time.
    async fn bring_up(&self, home: &Path) -> Result<(), OwnPostgresError> {
        let started_at = Instant::now();
        loop {
            if self.pg_ctl(&["status"]).await?.status.success() {
                tracing::info!(cluster = %self.cluster.display(), "taking over the PostgreSQL that a killed Onceward left running");
            } else {
                self.launch(home).await?;
            }
            match self.create_database().await {
                Err(OwnPostgresError::Database(error))
                    if is_starting_or_stopping(&error) && started_at.elapsed() < START_TIMEOUT =>
                {
                    sleep(Duration::from_millis(500)).await;
                }
                result => return result,
            }
        }
    }

    /// The connection URL.
    pub fn url(&self) -> String {
        let host = self.socket_dir.to_string_lossy();
        format!("postgres:///{NAME}?host={}&port={PORT}&user={NAME}", percent_encoded(&host))
    }

    /// Stops it. Sessions end; committed data stays.
    pub async fn stop(self) {
        match self.pg_ctl(&["stop", "-m", "fast", "-w", "-t", "30"]).await {
            Ok(output) if output.status.success() => tracing::info!("PostgreSQL stopped"),
            Ok(output) => tracing::error!(output = output_text(&output), "PostgreSQL did not stop"),
            Err(error) => tracing::error!(%error, "PostgreSQL did not stop"),
        }
    }

    async fn init(&self, home: &Path) -> Result<(), OwnPostgresError> {
        tracing::info!(cluster = %self.cluster.display(), "creating a PostgreSQL cluster");
        // Created under another name first, so that an interrupted start leaves no half-made cluster.
        let unfinished = home.join("cluster.unfinished");
        let folder_error = |error| OwnPostgresError::Folder { path: unfinished.clone(), error };
        if unfinished.exists() {
            fs::remove_dir_all(&unfinished).map_err(folder_error)?;
        }
        let mut initdb = self.command("initdb");
        initdb.args(["--username", NAME, "--encoding", "UTF8", "--locale", "C"]);
        // Only the owner can enter the socket's folder, and there is no TCP port.
        initdb.args(["--auth-local", "trust", "--auth-host", "reject", "--pgdata"]);
        initdb.arg(&unfinished);
        succeeded("initdb", initdb.output().await)?;
        fs::rename(&unfinished, &self.cluster).map_err(folder_error)
    }

    async fn launch(&self, home: &Path) -> Result<(), OwnPostgresError> {
        let mut options = format!("-k '{}' -p {PORT}", self.socket_dir.display());
        for setting in SERVER_SETTINGS {
            options.push_str(&format!(" -c {setting}"));
        }
        let log = home.join("postgres.log");
        let log = log.to_string_lossy();
        let started = self.pg_ctl(&["start", "-w", "-t", "120", "-l", &log, "-o", &options]).await;
        succeeded("pg_ctl start", started).map_err(|error| match error {
            OwnPostgresError::Program { program, output } => OwnPostgresError::Program {
                program,
                output: format!("{output} (its log is {log})"),
            },
            other => other,
        })?;
        Ok(())
    }

    async fn create_database(&self) -> Result<(), OwnPostgresError> {
        let options = PgConnectOptions::new_without_pgpass()
            .socket(&self.socket_dir)
            .port(PORT)
            .username(NAME)
            .database("postgres");
        let mut connection = PgConnection::connect_with(&options).await?;
        let exists: bool =
            sqlx::query_scalar("select exists (select from pg_database where datname = $1)")
                .bind(NAME)
                .fetch_one(&mut connection)
                .await?;
        if !exists {
            sqlx::query("create database onceward").execute(&mut connection).await?;
        }
        Ok(connection.close().await?)
    }

    async fn pg_ctl(&self, arguments: &[&str]) -> io::Result<Output> {
        self.command("pg_ctl").arg("-D").arg(&self.cluster).args(arguments).output().await
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.path(program));
        // The account may have no access to the working folder.
        command.current_dir("/").env("LC_ALL", "C").stdin(std::process::Stdio::null());
        self.account.apply(&mut command);
        command
    }
}

/// Whether the error means that PostgreSQL is starting or stopping.
fn is_starting_or_stopping(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) => true,
        sqlx::Error::Database(error) => error.code().is_some_and(|code| code.starts_with("57P")),
        _ => false,
    }
}

fn lock(data: &Path) -> Result<File, OwnPostgresError> {
    let path = data.join("onceward.lock");
    let failed = |error| OwnPostgresError::Folder { path: path.clone(), error };
    let file = File::create(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OwnPostgresError::InUse(data.to_path_buf())),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

/// The socket's folder: in the home or, if that path is too long for a socket, in the system's temporary folder under
/// a name that is unique to this home.
fn socket_dir(home: &Path) -> PathBuf {
    let dir = home.join("socket");
    if dir.as_os_str().len() <= MAX_SOCKET_DIR_BYTES {
        return dir;
    }
    std::env::temp_dir().join(format!("onceward-{:016x}", account::hash(home)))
}

fn percent_encoded(path: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-_.~".contains(&byte);
    path.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

fn succeeded(program: &'static str, output: io::Result<Output>) -> Result<(), OwnPostgresError> {
    match output {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(OwnPostgresError::Program { program, output: output_text(&output) }),
        Err(error) => Err(OwnPostgresError::Program { program, output: error.to_string() }),
    }
}

fn output_text(output: &Output) -> String {
    let mut text = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    if text.is_empty() {
        text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    }
    text
}
