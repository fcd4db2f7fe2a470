//! How a run ends early.

use tokio_util::sync::CancellationToken;

/// Ends a run early, step by step. Either way there is a report, with the audit of what was submitted.
#[derive(Debug, Clone, Default)]
pub struct Interrupts {
    /// Ends the submissions or, if they are over, the waiting until everything is final.
    pub first: CancellationToken,
    /// Ends the submissions that have no answer yet, and the waiting.
    pub second: CancellationToken,
}
