//! Errors of Onceward's own PostgreSQL.

use std::{io, path::PathBuf};

use thiserror::Error;

/// Why Onceward's own PostgreSQL is not running.
#[derive(Debug, Error)]
pub enum OwnPostgresError {
    /// Another process uses the folder.
    #[error("another Onceward is running on {}: stop it, or give this one another ONCEWARD_DATA", .0.display())]
    InUse(PathBuf),
    /// PostgreSQL is not installed, or not in the version that created the cluster.
    #[error("{0}; run `make setup`, or set DATABASE_URL to your own PostgreSQL")]
    NotInstalled(String),
    /// A file or folder could not be created.
    #[error("ONCEWARD_DATA: {}: {error}", path.display())]
    Folder { path: PathBuf, error: io::Error },
    /// PostgreSQL's files name folders line by line.
    #[error("ONCEWARD_DATA: {}: PostgreSQL does not work in a folder whose path has a line break", .0.display())]
    LineBreak(PathBuf),
    /// PostgreSQL's account cannot reach its files.
    #[error(
        "ONCEWARD_DATA: PostgreSQL runs as the account {account}, which cannot enter {}, and {}: set ONCEWARD_DATA to a folder \
         that it can enter, or let it in (`chmod o+x`)", folder.display(), error
    )]
    Barred { account: String, folder: PathBuf, error: io::Error },
    /// The folder links to the files of another ONCEWARD_DATA.
    #[error(
        "ONCEWARD_DATA: {} links to {}, which belongs to {}: remove the link to start with an empty database, or move that \
         folder here in its place if it is this one's", link.display(), home.display(), owner
    )]
    NotItsOwn { link: PathBuf, home: PathBuf, owner: String },
    /// A PostgreSQL that an earlier Onceward left behind does not stop.
    #[error(
        "the PostgreSQL of an earlier Onceward (process {pid}) does not stop: end it, then start again"
    )]
    DoesNotStop { pid: i32 },
    /// The cluster is there no longer.
    #[error("the cluster {} is gone", .0.display())]
    Gone(PathBuf),
    /// One of PostgreSQL's programs failed.
    #[error("{program} failed: {output}")]
    Program { program: &'static str, output: String },
    /// It runs, but its database cannot be created.
    #[error("PostgreSQL under ONCEWARD_DATA: {0}")]
    Database(#[from] sqlx::Error),
}

impl OwnPostgresError {
    /// Whether another try may succeed.
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Program { .. } | Self::Database(_))
    }

    /// Whether PostgreSQL has no room on its disk. That ends when somebody makes room, however long it takes.
    pub fn is_disk_full(&self) -> bool {
        match self {
            Self::Program { output, .. } => output.contains("No space left on device"),
            Self::Database(sqlx::Error::Database(error)) => {
                error.code().as_deref() == Some("53100")
            }
            _ => false,
        }
    }
}
