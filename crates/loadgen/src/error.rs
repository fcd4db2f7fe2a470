//! Why a run ends without a report.

/// Why a run has no report.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A setting makes no sense.
    #[error("{setting}: {reason}")]
    Setting {
        /// The setting's name.
        setting: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The HTTP client cannot be made.
    #[error("no HTTP client: {0}")]
    Client(#[source] reqwest::Error),
    /// Nobody listens.
    #[error("nobody listens at {url}")]
    Unreachable {
        /// Where.
        url: String,
        /// Why not.
        source: reqwest::Error,
    },
    /// The posting service does not show its ledger, so there is nothing to judge by.
    #[error("the ledger at {url} cannot be read: {source}")]
    Ledger {
        /// Where.
        url: String,
        /// Why not.
        source: reqwest::Error,
    },
    /// A fault of the load generator's own.
    #[error("the load generator failed: {0}")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl LoadError {
    pub(crate) fn internal(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Internal(Box::new(error))
    }
}
