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
    /// One of PostgreSQL's programs failed.
    #[error("{program} failed: {output}")]
    Program { program: &'static str, output: String },
    /// It runs, but its database cannot be created.
    #[error("PostgreSQL under ONCEWARD_DATA: {0}")]
    Database(#[from] sqlx::Error),
}

impl From<io::Error> for OwnPostgresError {
    fn from(error: io::Error) -> Self {
        Self::Program { program: "pg_ctl", output: error.to_string() }
    }
}
