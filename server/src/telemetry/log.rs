//! The log, which goes to standard error at the levels that `RUST_LOG` sets.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// The levels if `RUST_LOG` is unset.
const DEFAULT: &str = "info,apalis=error,apalis_core=error,apalis_postgres=error,sqlx=warn";

/// Starts logging. Must be called once.
pub fn start() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(DEFAULT));
    // Colour codes are noise in a file.
    let colours = std::io::stderr().is_terminal();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(colours)
        .init();
}
