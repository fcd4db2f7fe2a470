//! The signals that stop the program.

use std::{fs, io};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The exit code of a process that a second signal ended.
pub const ENDED_AT_ONCE: u8 = 130;

/// What the signals have asked for.
pub struct StopSignals {
    /// Cancelled by the first signal: finish what is in flight.
    pub stop: CancellationToken,
    /// Cancelled by the second signal: end without finishing it.
    pub at_once: CancellationToken,
}

impl StopSignals {
    /// Listens for SIGTERM, SIGINT (Ctrl-C), SIGQUIT and, if it `stops_on_hangup`, SIGHUP.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn listen(stops_on_hangup: bool) -> io::Result<Self> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut quit = signal(SignalKind::quit())?;
        // Under `nohup` the process is to survive its terminal.
        let mut hangup = match stops_on_hangup && !is_ignored(SignalKind::hangup()) {
            true => Some(signal(SignalKind::hangup())?),
            false => None,
        };
        let signals = Self { stop: CancellationToken::new(), at_once: CancellationToken::new() };
        let (stop, at_once) = (signals.stop.clone(), signals.at_once.clone());
        tokio::spawn(async move {
            for (asked, message) in [(stop, "stopping"), (at_once, "ending at once")] {
                let name = tokio::select! {
                    _ = terminate.recv() => "SIGTERM",
                    _ = interrupt.recv() => "SIGINT",
                    _ = quit.recv() => "SIGQUIT",
                    () = received(&mut hangup) => "SIGHUP",
                };
                tracing::info!(signal = name, message);
                asked.cancel();
            }
        });
        Ok(signals)
    }
}

async fn received(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => {
            signal.recv().await;
        }
        None => std::future::pending().await,
    }
}

/// Whether whatever started this process made it ignore a signal, as far as the system shows that.
fn is_ignored(signal: SignalKind) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default();
    mask >> (signal.as_raw_value() - 1) & 1 == 1
}
