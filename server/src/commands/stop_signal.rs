//! The signals that stop the program.

use std::future::pending;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::fatal::Fatal;

/// Returns a token that the first SIGTERM or Ctrl-C cancels. The second ends the program at once.
pub fn stop_signal() -> Result<CancellationToken, Fatal> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let stop = CancellationToken::new();
    let token = stop.clone();
    tokio::spawn(async move {
        for stopping in [false, true] {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if stopping {
                std::process::exit(130);
            }
            tracing::info!("stopping");
            token.cancel();
        }
        pending::<()>().await;
    });
    Ok(stop)
}
