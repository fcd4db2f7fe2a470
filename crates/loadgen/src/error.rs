//! Why a run ends without a report.

/// Why a run ends without a report.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A setting is invalid.
    #[error("{setting}: {reason}")]
    Setting {
        /// The setting's name.
        setting: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The HTTP client cannot be created.
    #[error("the HTTP client cannot be created: {0}")]
    Client(String),
    /// An address is https, and there is no certificate to trust.
    #[error(
        "https is not possible: {0}; install certificates (Debian's package is ca-certificates), or name a file with \
         certificates in SSL_CERT_FILE"
    )]
    Certificates(String),
    /// No server listens at an address.
    #[error("no server listens at {url}")]
    Unreachable {
        /// The address.
        url: String,
        /// Why not.
        source: reqwest::Error,
    },
    /// The posting service's ledger cannot be read, so there is nothing to compare with.
    #[error("the ledger at {url} cannot be read: {source}")]
    Ledger {
        /// The address.
        url: String,
        /// Why not.
        source: reqwest::Error,
    },
    /// A fault of the load generator itself.
    #[error("the load generator failed: {0}")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl LoadError {
    /// A word for programs, which stays the same.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Setting { .. } => "setting",
            Self::Client(_) | Self::Certificates(_) => "client",
            Self::Unreachable { .. } => "unreachable",
            Self::Ledger { .. } => "ledger",
            Self::Internal(_) => "internal",
        }
    }

    pub(crate) fn internal(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Internal(Box::new(error))
    }
}
