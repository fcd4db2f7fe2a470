//! Onceward's own PostgreSQL, used if `DATABASE_URL` is unset. The first start creates it under `ONCEWARD_DATA`, on a
//! socket that only its owner can reach. It is started again if it ends, and stops with Onceward. If Onceward was
//! killed and its PostgreSQL still runs, the next start stops it and starts it anew.

mod account;
mod error;
mod home;
mod postmaster;
mod private_mount;
mod programs;
mod server;

use std::{
    fs,
    os::unix::ffi::OsStrExt,
    path::Path,
    time::{Duration, Instant},
};

use tokio::{process::Child, sync::watch, time::sleep};
use tokio_util::sync::CancellationToken;

use home::Home;
use server::{NAME, PORT, Server};

pub use error::OwnPostgresError;
pub use server::SERVING_ROLE;

/// If it has run for as long, the next failure is the first one.
const STABLE: Duration = Duration::from_secs(30);
/// The delay before the second start; it doubles each time.
const FIRST_DELAY: Duration = Duration::from_millis(100);
/// The longest delay between two starts.
const LONGEST_DELAY: Duration = Duration::from_secs(5);
/// How many starts may fail in a row, in some two minutes, before Onceward ends.
const MAX_FAILURES: u32 = 30;

/// Onceward's own PostgreSQL, running.
pub struct OwnPostgres {
    server: Server,
    /// Its process; none while it is down.
    process: Option<Child>,
    trouble: watch::Sender<Option<String>>,
}

/// Whether Onceward's own PostgreSQL is down, for health. Cheap to clone.
#[derive(Clone)]
pub struct OwnPostgresStatus(watch::Receiver<Option<String>>);

impl OwnPostgresStatus {
    /// The status where Onceward runs no PostgreSQL.
    pub fn none() -> Self {
        Self(watch::channel(None).1)
    }

    /// Why it is down, in a short sentence; `None` if it runs.
    pub fn trouble(&self) -> Option<String> {
        self.0.borrow().clone()
    }
}

impl OwnPostgres {
    /// Starts the PostgreSQL under `data`. Returns `None` if it is to stop before it runs.
    ///
    /// # Errors
    /// See [`OwnPostgresError`].
    pub async fn start(
        data: &Path,
        stop: &CancellationToken,
    ) -> Result<Option<Self>, OwnPostgresError> {
        let folder = |error| OwnPostgresError::Folder { path: data.to_path_buf(), error };
        fs::create_dir_all(data).map_err(folder)?;
        let data = data.canonicalize().map_err(folder)?;
        if data.as_os_str().as_bytes().iter().any(|byte| b"\n\r".contains(byte)) {
            return Err(OwnPostgresError::LineBreak(data));
        }
        let mut home = Home::lock(&data)?;
        let cluster = home.cluster();
        let Some(stopped) = stop.run_until_cancelled(postmaster::stop_leftover(&cluster)).await
        else {
            return Ok(None);
        };
        stopped?;
        home.settle(&data)?;
        let (trouble, _) = watch::channel(None);
        let mut own = Self { server: Server::new(home)?, process: None, trouble };
        let brought_up = stop.run_until_cancelled(async {
            own.server.init().await?;
            own.server.start(&mut own.process).await?;
            own.server.create_database().await
        });
        match brought_up.await {
            Some(Ok(())) => {
                tracing::info!(url = own.url(), "Onceward's own PostgreSQL is running");
                Ok(Some(own))
            }
            // It must not be left running without an Onceward.
            Some(Err(error)) => {
                own.stop().await;
                Err(error)
            }
            None => {
                own.stop().await;
                Ok(None)
            }
        }
    }

    /// The connection URL of the owner.
    pub fn url(&self) -> String {
        url(&self.server.socket_dir, NAME)
    }

    /// The connection URL of the role that serves.
    pub fn serving_url(&self) -> String {
        url(&self.server.socket_dir, SERVING_ROLE)
    }

    /// Whether it is down.
    pub fn status(&self) -> OwnPostgresStatus {
        OwnPostgresStatus(self.trouble.subscribe())
    }

    /// Starts it again whenever it ends, until nobody needs it any more, and then stops it. If it cannot be started,
    /// cancels `stop`.
    ///
    /// # Errors
    /// If it cannot be started again.
    pub async fn supervise(
        mut self,
        stop: &CancellationToken,
        unneeded: &CancellationToken,
    ) -> Result<(), OwnPostgresError> {
        let mut failures = 0;
        let mut result = Ok(());
        while let Some(process) = &mut self.process {
            let started_at = Instant::now();
            let Some(status) = unneeded.run_until_cancelled(process.wait()).await else { break };
            self.process = None;
            if stop.is_cancelled() {
                break;
            }
            failures = if started_at.elapsed() > STABLE { 0 } else { failures + 1 };
            let status = self.server.why_it_ended(status);
            tracing::error!(status, "Onceward's own PostgreSQL ended and is started again");
            match unneeded.run_until_cancelled(self.restart(&mut failures)).await {
                None => break,
                Some(Ok(())) => {}
                Some(Err(error)) => {
                    tracing::error!(%error, "Onceward's own PostgreSQL cannot be started again");
                    stop.cancel();
                    result = Err(error);
                }
            }
        }
        unneeded.cancelled().await;
        self.stop().await;
        result
    }

    /// Tries to start it until it runs, or cannot be started.
    async fn restart(&mut self, failures: &mut u32) -> Result<(), OwnPostgresError> {
        self.trouble.send_replace(Some(
            "Onceward's own PostgreSQL ended and is being started again".to_owned(),
        ));
        loop {
            if let Some(doublings) = failures.checked_sub(1) {
                sleep(FIRST_DELAY.saturating_mul(1 << doublings.min(10)).min(LONGEST_DELAY)).await;
            }
            let error = match self.server.start(&mut self.process).await {
                Ok(()) => {
                    tracing::info!("Onceward's own PostgreSQL is running again");
                    self.trouble.send_replace(None);
                    return Ok(());
                }
                Err(error) => error,
            };
            if let Some(process) = self.process.take() {
                self.server.stop(process).await;
            }
            *failures += 1;
            if error.is_disk_full() {
                // It ends when somebody makes room, however long that takes.
                *failures = (*failures).min(MAX_FAILURES / 2);
                self.trouble.send_replace(Some(
                    "Onceward's own PostgreSQL cannot be started: its disk is full".to_owned(),
                ));
            }
            if !error.may_pass() || *failures >= MAX_FAILURES {
                return Err(error);
            }
            tracing::warn!(%error, failures = *failures, "Onceward's own PostgreSQL did not start; it is tried again");
        }
    }

    async fn stop(mut self) {
        if let Some(process) = self.process.take() {
            self.server.stop(process).await;
        }
    }
}

/// The connection URL of the PostgreSQL under `data`, which another Onceward runs. It may not answer yet.
///
/// # Errors
/// If there is no such folder.
pub fn running_url(data: &Path) -> Result<String, OwnPostgresError> {
    let folder = |error| OwnPostgresError::Folder { path: data.to_path_buf(), error };
    let home = data.join("postgres").canonicalize().map_err(folder)?;
    Ok(url(&server::socket_dir(&home), NAME))
}

fn url(socket_dir: &Path, user: &str) -> String {
    let host = percent_encoded(&socket_dir.to_string_lossy());
    format!("postgres:///{NAME}?host={host}&port={PORT}&user={user}")
}

fn percent_encoded(path: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-_.~".contains(&byte);
    path.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}
