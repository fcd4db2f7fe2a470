//! A process of Onceward.

use std::{fs::File, net::SocketAddr, path::Path, process::Stdio, time::Duration};

use nix::{
    sys::signal::{self, Signal},
    unistd::Pid,
};
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    time::timeout,
};

use crate::error::Fallible;

/// How long it may take to start, or to stop.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A running process. Dropping it kills it.
#[derive(Debug)]
pub struct OncewardProcess {
    /// The address of its web side, if it has one.
    pub addr: Option<SocketAddr>,
    child: Child,
    /// Kept open: a program that cannot print panics.
    _lines: Lines<BufReader<ChildStdout>>,
}

/// Memory of a process, in bytes.
#[derive(Debug, Clone, Copy, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Memory {
    /// The highest value so far.
    pub peak_bytes: u64,
    pub now_bytes: u64,
}

impl OncewardProcess {
    /// Starts `onceward COMMAND` with only this environment, and waits until it reports that it is
    /// ready. Its log is appended to a file.
    ///
    /// # Errors
    /// It is not ready in time.
    pub async fn start(
        program: &Path,
        command: &str,
        environment: &[(&str, String)],
        log: &Path,
    ) -> Fallible<Self> {
        let log_file = File::options().create(true).append(true).open(log)?;
        let mut process = Command::new(program);
        process.arg(command).env_clear().env("LEPTOS_SITE_ADDR", "127.0.0.1:0");
        process.envs(environment.iter().map(|(name, value)| (name, value)));
        process.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log_file);
        process.process_group(0).kill_on_drop(true);
        let mut child = process
            .spawn()
            .map_err(|error| format!("{}: {error}; `make build` builds it", program.display()))?;
        let stdout = child.stdout.take().ok_or("no standard output")?;
        let mut lines = BufReader::new(stdout).lines();
        let line = timeout(TIMEOUT, lines.next_line()).await;
        let Ok(Ok(Some(line))) = line else {
            let log = std::fs::read_to_string(log)?;
            return Err(format!("onceward {command} does not start:\n{log}").into());
        };
        let addr = line.rsplit_once("http://").and_then(|(_, addr)| addr.parse().ok());
        Ok(Self { addr, child, _lines: lines })
    }

    /// The address of its web side.
    ///
    /// # Errors
    /// It has none.
    pub fn web(&self) -> Fallible<SocketAddr> {
        Ok(self.addr.ok_or("onceward did not print the address it listens on")?)
    }

    /// Its process id.
    ///
    /// # Errors
    /// It is not running any more.
    pub fn pid(&self) -> Fallible<Pid> {
        let pid = self.child.id().ok_or("onceward is not running any more")?;
        Ok(Pid::from_raw(pid.try_into()?))
    }

    /// Its memory, as the system reports it.
    ///
    /// # Errors
    /// It is not running any more.
    pub fn memory(&self) -> Fallible<Memory> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()?))?;
        let bytes = |name: &str| -> Option<u64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
        };
        let (peak, now) = (bytes("VmHWM:"), bytes("VmRSS:"));
        let (Some(peak_bytes), Some(now_bytes)) = (peak, now) else {
            return Err("the system does not report the memory of onceward".into());
        };
        Ok(Memory { peak_bytes, now_bytes })
    }

    /// Stops it with SIGTERM, as an operator would.
    ///
    /// # Errors
    /// It does not stop in time.
    pub async fn stop(mut self) -> Fallible<()> {
        signal::kill(self.pid()?, Signal::SIGTERM)?;
        timeout(TIMEOUT, self.child.wait()).await.map_err(|_| "onceward does not stop")??;
        Ok(())
    }
}
