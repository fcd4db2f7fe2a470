//! Why the ledger cannot be opened or written.

use std::io;
use std::path::PathBuf;

/// Why the ledger's file could not be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("line {line} is not an entry: {reason}")]
    Corrupt { line: u64, reason: String },
    #[error("another process holds it")]
    InUse,
}

/// A ledger's file that could not be opened, and why.
#[derive(Debug, thiserror::Error)]
#[error("the ledger {}: {source}", path.display())]
pub struct LedgerOpenError {
    /// The file.
    pub path: PathBuf,
    source: OpenError,
}

impl LedgerOpenError {
    pub(crate) fn new(path: PathBuf, source: OpenError) -> Self {
        Self { path, source }
    }
}

/// Why an entry was not written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WriteError {
    #[error("the ledger is closed")]
    Closed,
    #[error("the ledger's file cannot be written: {0}")]
    Io(String),
}
