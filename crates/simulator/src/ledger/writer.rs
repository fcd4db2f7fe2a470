//! The thread that owns the ledger's file.

use std::fs::File;
use std::io::{self, Write};
use std::mem;
use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::{mpsc, oneshot};

use super::error::WriteError;
use super::rows::Rows;
use crate::entry::{Entry, Submission};

/// The most commands in one batch.
const MAX_BATCH: usize = 4096;

type Done<T> = oneshot::Sender<Result<T, WriteError>>;

/// A command to the thread.
#[derive(Debug)]
pub(super) enum Command {
    Append { submission: Submission, done: Done<Arc<Entry>> },
    Clear { done: Done<usize> },
    Close { done: Done<()> },
}

/// The only writer of the file.
#[derive(Debug)]
pub(super) struct Writer {
    file: File,
    /// The length of the complete lines, to which the file is truncated after a failed write.
    length: u64,
    /// Whether an incomplete line may follow them.
    torn: bool,
    rows: Arc<RwLock<Rows>>,
    next_row: u64,
    /// Lines that are not in the file yet, and the entries they belong to.
    lines: Vec<u8>,
    unwritten: Vec<(Arc<Entry>, Done<Arc<Entry>>)>,
}

impl Writer {
    pub(super) fn new(file: File, length: u64, rows: Arc<RwLock<Rows>>) -> Self {
        let next_row = rows.read().unwrap_or_else(PoisonError::into_inner).next_row();
        Self { file, length, torn: false, rows, next_row, lines: Vec::new(), unwritten: Vec::new() }
    }

    /// Carries out commands until one closes the ledger or all senders are gone.
    pub(super) fn run(mut self, mut commands: mpsc::UnboundedReceiver<Command>) {
        let mut batch = Vec::new();
        while commands.blocking_recv_many(&mut batch, MAX_BATCH) > 0 {
            for command in batch.drain(..) {
                match command {
                    Command::Append { submission, done } => self.add(submission, done),
                    Command::Clear { done } => {
                        self.flush();
                        let _ = done.send(self.clear());
                    }
                    Command::Close { done } => {
                        self.flush();
                        // The file is closed first: the next simulator may be waiting for its lock.
                        drop(self);
                        let _ = done.send(Ok(()));
                        return;
                    }
                }
            }
            self.flush();
        }
    }

    fn add(&mut self, submission: Submission, done: Done<Arc<Entry>>) {
        match Entry::new(self.next_row, &submission) {
            Ok(entry) => {
                self.lines.extend_from_slice(&entry.json);
                self.lines.push(b'\n');
                self.next_row += 1;
                self.unwritten.push((Arc::new(entry), done));
            }
            Err(error) => {
                let _ = done.send(Err(WriteError::Io(error.to_string())));
            }
        }
    }

    /// Writes all waiting lines to the file, then adds them to memory, then acknowledges them.
    fn flush(&mut self) {
        if self.unwritten.is_empty() {
            return;
        }
        let unwritten = mem::take(&mut self.unwritten);
        let written = self.write_lines();
        self.lines.clear();
        match written {
            Ok(()) => {
                let mut rows = self.rows.write().unwrap_or_else(PoisonError::into_inner);
                for (entry, _) in &unwritten {
                    rows.push(Arc::clone(entry));
                }
                drop(rows);
                for (entry, done) in unwritten {
                    // The row stays even if its client has disconnected.
                    let _ = done.send(Ok(entry));
                }
            }
            Err(error) => {
                tracing::error!(%error, "the ledger's file cannot be written");
                for (_, done) in unwritten {
                    let _ = done.send(Err(WriteError::Io(error.to_string())));
                }
            }
        }
    }

    fn write_lines(&mut self) -> io::Result<()> {
        if self.torn {
            // An incomplete line must not stay, or the next line would be appended to it.
            self.file.set_len(self.length)?;
        }
        self.torn = true;
        self.file.write_all(&self.lines)?;
        self.torn = false;
        self.length += self.lines.len() as u64;
        Ok(())
    }

    fn clear(&mut self) -> Result<usize, WriteError> {
        self.file.set_len(0).map_err(|error| WriteError::Io(error.to_string()))?;
        self.length = 0;
        self.torn = false;
        self.next_row = 1;
        let mut rows = self.rows.write().unwrap_or_else(PoisonError::into_inner);
        Ok(rows.clear())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn submission(id: &str) -> Submission {
        let body = format!(r#"{{"id":"{id}","amount":1,"currency":"USD"}}"#);
        Submission::from_json(body.as_bytes()).unwrap()
    }

    #[test]
    fn a_row_that_could_not_be_written_is_neither_acknowledged_nor_visible() {
        let path = tempfile::NamedTempFile::new().unwrap();
        let rows = Arc::default();
        // Opened read-only, so that every write fails.
        let writer = Writer::new(File::open(&path).unwrap(), 0, Arc::clone(&rows));
        let (commands, received) = mpsc::unbounded_channel();
        let (done, mut answer) = oneshot::channel();
        commands.send(Command::Append { submission: submission("a"), done }).unwrap();
        drop(commands);
        writer.run(received);
        assert!(matches!(answer.try_recv().unwrap(), Err(WriteError::Io(_))));
        assert!(rows.read().unwrap().first("a").is_none());
    }

    #[test]
    fn an_incomplete_line_is_removed_before_the_next_write() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().write_all(b"half a li").unwrap();
        let appending = File::options().append(true).open(&file).unwrap();
        let mut writer = Writer::new(appending, 0, Arc::default());
        writer.torn = true;
        let (done, mut answer) = oneshot::channel();
        writer.add(submission("a"), done);
        writer.flush();
        assert!(answer.try_recv().unwrap().is_ok());
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.starts_with(r#"{"_id":1,"id":"a""#) && text.ends_with("}\n"), "{text}");
    }

    #[test]
    fn rows_queued_before_a_close_are_written_and_later_rows_are_not() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let appending = File::options().append(true).open(&file).unwrap();
        let writer = Writer::new(appending, 0, Arc::default());
        let (commands, received) = mpsc::unbounded_channel();
        let (done, mut first) = oneshot::channel();
        commands.send(Command::Append { submission: submission("a"), done }).unwrap();
        let (done, mut closed) = oneshot::channel();
        commands.send(Command::Close { done }).unwrap();
        let (done, mut second) = oneshot::channel();
        commands.send(Command::Append { submission: submission("b"), done }).unwrap();
        writer.run(received);
        assert!(first.try_recv().unwrap().is_ok());
        assert!(closed.try_recv().unwrap().is_ok());
        assert!(second.try_recv().is_err());
        assert_eq!(std::fs::read_to_string(&file).unwrap().lines().count(), 1);
    }
}
