//! The ledger: what has been posted, in memory and in a file that outlives the process.
//!
//! One thread owns the file. Whatever was queued while it wrote becomes one write; only then do the
//! rows become visible and their senders get their acknowledgement. So an answer never goes out
//! before its row is with the operating system, which a `kill -9` of this process cannot undo.

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

/// How long to wait for another holder of the file to let go of it: a simulator that was dropped a
/// moment ago still finishes its last write.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);

/// How often to look whether it has.
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// The ledger's near end: reads from memory, writes through the thread that owns the file.
#[derive(Debug)]
pub(crate) struct Ledger {
    rows: Arc<RwLock<Rows>>,
    commands: mpsc::UnboundedSender<Command>,
}

impl Ledger {
    /// Takes the file into use and reads back what it holds. Blocks.
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

    /// Queues a row, at once; the future says when it is written. A row that was queued is written
    /// even where nobody waits for it.
    pub(crate) fn append(&self, submission: Submission) -> Pending<Arc<Entry>> {
        self.send(|done| Command::Append { submission, done })
    }

    /// Queues the emptying of the ledger, at once; the future says how many rows went.
    pub(crate) fn clear(&self) -> Pending<usize> {
        self.send(|done| Command::Clear { done })
    }

    /// Writes what is queued and lets go of the file. Nothing can be written after it.
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

    /// The counts that judge a client.
    pub(crate) fn summary(&self, duplicates_limit: usize) -> LedgerSummary {
        self.read(|rows| rows.summary(duplicates_limit))
    }

    fn read<T>(&self, look: impl FnOnce(&Rows) -> T) -> T {
        // Rows are whole after every step of the writer, so a panic elsewhere does not spoil them.
        look(&self.rows.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn send<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<T, WriteError>>) -> Command,
    ) -> Pending<T> {
        let (done, received) = oneshot::channel();
        // Where the thread is gone, `done` goes with the command, and the future says so.
        let _ = self.commands.send(command(done));
        Pending(received)
    }
}

/// A command that is queued; resolves when it is carried out.
#[derive(Debug)]
#[must_use = "a queued command can still fail"]
pub(crate) struct Pending<T>(oneshot::Receiver<Result<T, WriteError>>);

impl<T> Future for Pending<T> {
    type Output = Result<T, WriteError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context).map(|answer| answer.unwrap_or(Err(WriteError::Closed)))
    }
}

/// Takes the file for this process alone. The lock goes with the process, however it ends.
fn lock(file: &File) -> Result<(), OpenError> {
    let give_up_at = Instant::now() + LOCK_PATIENCE;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::Error(error)) => return Err(error.into()),
            Err(TryLockError::WouldBlock) if Instant::now() >= give_up_at => {
                return Err(OpenError::InUse);
            }
            Err(TryLockError::WouldBlock) => thread::sleep(LOCK_PAUSE),
        }
    }
}
