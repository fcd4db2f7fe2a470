//! Where the log goes: standard error, at the levels that `RUST_LOG` names.

use tracing_subscriber::EnvFilter;

/// What is logged where `RUST_LOG` does not say.
const DEFAULT: &str = "info,apalis=error,apalis_core=error,apalis_postgres=error,sqlx=warn";

/// Starts logging. Call it once.
pub fn start() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(DEFAULT));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
}
