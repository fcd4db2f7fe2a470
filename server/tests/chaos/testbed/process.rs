//! One process of Onceward: started, stopped by signals, killed, and restarted as a supervisor
//! would.

use std::{
    fs::OpenOptions,
    io::{self, PipeReader, pipe},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    sync::Mutex,
    time::Duration,
};

use nix::{sys::signal, unistd::Pid};
use tokio::{
    process::{Child, Command},
    time::timeout,
};

use crate::Fallible;

/// How long a killed process may take to end.
const GONE_WITHIN: Duration = Duration::from_secs(30);

/// How a process is started, the same each time.
#[derive(Debug, Clone)]
pub struct ProcessSpec {
    pub name: String,
    pub command: &'static str,
    pub environment: Vec<(&'static str, String)>,
    pub log: Log,
}

/// Where a process's log goes.
#[derive(Debug, Clone)]
pub enum Log {
    /// A file. A restart appends to it.
    File(PathBuf),
    /// A disk that has no room.
    FullDisk,
    /// A pipe that nobody reads.
    Unread,
    /// A pipe whose reader is gone.
    WithoutReader,
}

impl Log {
    /// The output, and the pipe's reader if it is to stay.
    fn open(&self) -> io::Result<(Stdio, Option<PipeReader>)> {
        Ok(match self {
            Self::File(path) => {
                (OpenOptions::new().create(true).append(true).open(path)?.into(), None)
            }
            Self::FullDisk => (OpenOptions::new().write(true).open("/dev/full")?.into(), None),
            Self::Unread => {
                let (reader, writer) = pipe()?;
                (writer.into(), Some(reader))
            }
            Self::WithoutReader => (pipe()?.1.into(), None),
        })
    }
}

/// A running process. Dropping it kills it.
#[derive(Debug)]
pub struct Process {
    pub spec: ProcessSpec,
    child: Child,
    _reader: Option<PipeReader>,
}

impl Process {
    pub fn start(spec: ProcessSpec) -> Fallible<Self> {
        let (stdout, _) = spec.log.open()?;
        let (stderr, _reader) = spec.log.open()?;
        let mut command = Command::new(env!("CARGO_BIN_EXE_onceward"));
        // None of the caller's settings except the log level.
        command.env_clear().envs(std::env::vars().filter(|(name, _)| name == "RUST_LOG"));
        command.arg(spec.command).envs(spec.environment.iter().cloned());
        command.current_dir(workspace()).stdin(Stdio::null()).kill_on_drop(true);
        command.stdout(stdout).stderr(stderr);
        // A Ctrl-C at the terminal is for the harness, which then ends the processes in order.
        let child = command.process_group(0).spawn()?;
        Ok(Self { spec, child, _reader })
    }

    /// Sends a signal.
    pub fn signal(&self, signal: signal::Signal) -> Fallible<()> {
        let pid = self.child.id().ok_or_else(|| format!("{} is not running", self.spec.name))?;
        Ok(signal::kill(Pid::from_raw(pid.try_into()?), signal)?)
    }

    /// `kill -9`, and waits for its end.
    pub async fn kill(&mut self) -> Fallible<()> {
        self.signal(signal::Signal::SIGKILL)?;
        let gone = timeout(GONE_WITHIN, self.child.wait()).await;
        gone.map_err(|_| format!("{} does not end", self.spec.name))??;
        Ok(())
    }

    /// Ends it by SIGTERM, and checks that it succeeds.
    pub async fn end_in_order(&mut self, within: Duration) -> Fallible<()> {
        self.signal(signal::Signal::SIGTERM)?;
        let ended = timeout(within, self.child.wait()).await;
        let status = ended.map_err(|_| format!("{} does not end", self.spec.name))??;
        match status.success() {
            true => Ok(()),
            false => Err(format!("{} did not end in order: {status}", self.spec.name).into()),
        }
    }

    /// Restarts it after a kill.
    pub fn restart(&mut self) -> Fallible<()> {
        *self = Self::start(self.spec.clone())?;
        Ok(())
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }
}

/// The workspace's folder.
pub fn workspace() -> &'static Path {
    let server = Path::new(env!("CARGO_MANIFEST_DIR"));
    server.parent().unwrap_or(server)
}

/// A port of 127.0.0.1 that is free and stays so while its process is down: below those that
/// systems use for outgoing connections, and used once.
pub fn free_port() -> Fallible<u16> {
    static NEXT: Mutex<u16> = Mutex::new(0);
    let mut next = NEXT.lock().map_err(|_| "a scenario panicked")?;
    // Concurrent runs of the harness begin at different ports.
    let first = 15_000 + u16::try_from(std::process::id() % 10_000)?;
    while *next < 5_000 {
        let port = first + *next;
        *next += 1;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    Err("no free port on 127.0.0.1".into())
}
