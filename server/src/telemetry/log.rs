//! The log, which goes to standard error at the levels that `RUST_LOG` sets. Whatever happens to standard error, logging
//! neither panics nor blocks.

use std::{
    backtrace::{Backtrace, BacktraceStatus},
    fs::File,
    io::{self, IsTerminal, Write},
    os::fd::AsFd,
    panic::{self, PanicHookInfo},
    thread,
    time::Duration,
};

use tracing_subscriber::EnvFilter;

use super::lossy_writer::{LossyWriter, count_lost};

/// The levels if `RUST_LOG` is unset.
const DEFAULT: &str = "info,apalis=error,apalis_core=error,apalis_postgres=error,sqlx=warn";
/// How long the end of the program waits until the log is written.
const LAST_FLUSH: Duration = Duration::from_secs(1);
/// How long a panic waits until its message is written: it may abort the process.
const PANIC_FLUSH: Duration = Duration::from_millis(100);

/// The log. Dropped, it writes what is still queued.
pub struct Log(LossyWriter);

impl Log {
    /// Starts logging, also of panics. Must be called once.
    ///
    /// # Errors
    /// If standard error or the log's thread cannot be had.
    pub fn start() -> io::Result<Self> {
        // Not `io::stderr()`: its lock would be held for as long as a write blocks.
        let stderr = File::from(io::stderr().as_fd().try_clone_to_owned()?);
        let writer = LossyWriter::start(stderr)?;
        let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(DEFAULT));
        // Colour codes are noise in a file.
        let colours = io::stderr().is_terminal();
        let of_events = writer.clone();
        tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(move || of_events.clone())
            .with_ansi(colours)
            .init();
        let of_panics = writer.clone();
        panic::set_hook(Box::new(move |panic| {
            log_panic(panic);
            of_panics.flush_within(PANIC_FLUSH);
        }));
        Ok(Self(writer))
    }

    /// Prints a line behind what was logged.
    pub fn print(&mut self, line: &str) {
        let _ = self.0.write(format!("{line}\n").as_bytes());
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.0.flush_within(LAST_FLUSH);
    }
}

/// The default hook would print, which panics or blocks if standard error does.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let message = panic.payload_as_str().unwrap_or("no message");
    let location = panic.location().map(tracing::field::display);
    let backtrace = Backtrace::capture();
    let is_captured = backtrace.status() == BacktraceStatus::Captured;
    let backtrace = is_captured.then(|| tracing::field::display(&backtrace));
    tracing::error!(thread = thread::current().name(), location, backtrace, "panicked: {message}");
}

/// Prints a line to standard output without waiting for its reader.
pub fn announce(line: String) {
    let print = move || {
        if writeln!(io::stdout(), "{line}").is_err() {
            count_lost();
        }
    };
    if thread::Builder::new().name("announce".to_owned()).spawn(print).is_err() {
        count_lost();
    }
}
