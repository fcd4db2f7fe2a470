//! The ledger: all posted rows, in memory and in a file that outlives the process. Not here: HTTP,
//! and which faults a request meets.
//!
//! One thread owns the file. All rows queued during a write form the next write; only after it do
//! they become visible and are acknowledged. So an answer is never sent before its row is with the
//! operating system, and a `kill -9` of this process cannot undo it.

mod error;
mod replay;
mod rows;
mod writer;

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock};
use std::task::{Context, Poll};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

use crate::entry::{Entry, Submission};
pub use error::LedgerOpenError;
use error::OpenError;
pub(crate) use error::WriteError;
pub(crate) use rows::{LedgerSummary, Rows};
use writer::{Command, Writer};

/// How long to wait for the file's lock: a simulator that was just dropped still finishes its last
/// write.
const LOCK_TIMEOUT: Duration = Duration::from_secs(2);

/// The interval between two tries.
const LOCK_RETRY_INTERVAL: Duration = Duration::from_millis(10);

/// Reads from memory, and writes through the thread that owns the file.
#[derive(Debug)]
pub(crate) struct Ledger {
    rows: Arc<RwLock<Rows>>,
    commands: mpsc::UnboundedSender<Command>,
}

impl Ledger {
    /// Opens the file and reads back its rows. Blocks.
    pub(crate) fn open(path: &Path) -> Result<Self, OpenError> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
        lock(&file)?;
        let replayed = replay::replay(&file)?;
        if replayed.torn_bytes > 0 {
            tracing::warn!(
                path = %path.display(),
                bytes = replayed.torn_bytes,
                "dropped the ledger's torn last line, which was never acknowledged"
            );
            file.set_len(replayed.length)?;
        }

        let rows = Arc::new(RwLock::new(replayed.rows));
        let (commands, received) = mpsc::unbounded_channel();
        let writer = Writer::new(file, replayed.length, Arc::clone(&rows));
        thread::Builder::new()
            .name("simulator-ledger".to_owned())
            .spawn(move || writer.run(received))?;
        Ok(Self { rows, commands })
    }

    /// Queues a row at once; the future resolves when it is written. A queued row is written even
    /// if the future is dropped.
    pub(crate) fn append(&self, submission: Submission) -> Pending<Arc<Entry>> {
        self.send(|done| Command::Append { submission, done })
    }

    /// Queues the clearing of the ledger at once; the future resolves to the number of rows
    /// removed.
    pub(crate) fn clear(&self) -> Pending<usize> {
        self.send(|done| Command::Clear { done })
    }

    /// Writes all queued rows and closes the file. Nothing can be written after it.
    pub(crate) fn close(&self) -> Pending<()> {
        self.send(|done| Command::Close { done })
    }

    /// The first row with this id.
    pub(crate) fn first(&self, id: &str) -> Option<Arc<Entry>> {
        self.read(|rows| rows.first(id))
    }

    /// Every row, in the order of writing.
    pub(crate) fn entries(&self) -> Vec<Arc<Entry>> {
        self.read(Rows::entries)
    }

    /// The counts by which a client is audited.
    pub(crate) fn summary(&self, duplicates_limit: usize) -> LedgerSummary {
        self.read(|rows| rows.summary(duplicates_limit))
    }

    fn read<T>(&self, query: impl FnOnce(&Rows) -> T) -> T {
        // The rows are consistent after every step of the writer, so a poisoned lock does no harm.
        query(&self.rows.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn send<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<T, WriteError>>) -> Command,
    ) -> Pending<T> {
        let (done, received) = oneshot::channel();
        // If the thread has ended, `done` is dropped with the command, and the future returns
        // `Closed`.
        let _ = self.commands.send(command(done));
        Pending(received)
    }
}

/// A queued command; resolves when it is carried out.
#[derive(Debug)]
#[must_use = "a queued command can still fail"]
pub(crate) struct Pending<T>(oneshot::Receiver<Result<T, WriteError>>);

impl<T> Future for Pending<T> {
    type Output = Result<T, WriteError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context).map(|answer| answer.unwrap_or(Err(WriteError::Closed)))
    }
}

/// Locks the file for this process. The system releases the lock when the process ends in any way.
fn lock(file: &File) -> Result<(), OpenError> {
    let deadline = Instant::now() + LOCK_TIMEOUT;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::Error(error)) => return Err(error.into()),
            Err(TryLockError::WouldBlock) if Instant::now() >= deadline => {
                return Err(OpenError::InUse);
            }
            Err(TryLockError::WouldBlock) => thread::sleep(LOCK_RETRY_INTERVAL),
        }
    }
}
