//! Where the log goes: standard error, at the levels that `RUST_LOG` names.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// What is logged where `RUST_LOG` does not say.
const DEFAULT: &str = "info,apalis=error,apalis_core=error,apalis_postgres=error,sqlx=warn";

/// Starts logging. Call it once.
pub fn start() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(DEFAULT));
    // Colours are for terminals; in a file they are noise.
    let colours = std::io::stderr().is_terminal();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(colours)
        .init();
}
