//! The progress bar of a run.

use std::io::{IsTerminal, stderr};
use std::sync::atomic::{AtomicU64, Ordering};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Shows how many are offered, accepted and final; nothing if standard error is not a terminal.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
    offered: AtomicU64,
    accepted: AtomicU64,
}

impl Progress {
    pub(crate) fn new(wanted: bool, total: usize) -> Self {
        let target = if wanted && stderr().is_terminal() {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(Some(total as u64), target);
        let template = "{elapsed:>4} {bar:32.cyan/dim} {msg}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self { bar, offered: AtomicU64::new(0), accepted: AtomicU64::new(0) }
    }

    pub(crate) fn offered(&self) {
        self.offered.fetch_add(1, Ordering::Relaxed);
        self.draw();
    }

    pub(crate) fn accepted(&self) {
        self.accepted.fetch_add(1, Ordering::Relaxed);
        self.draw();
    }

    /// Counts one more final transaction.
    pub(crate) fn finalized(&self) {
        self.bar.inc(1);
        self.draw();
    }

    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }

    fn draw(&self) {
        if self.bar.is_hidden() {
            return;
        }
        let offered = self.offered.load(Ordering::Relaxed);
        let accepted = self.accepted.load(Ordering::Relaxed);
        let finalized = self.bar.position();
        self.bar.set_message(format!("offered {offered}, accepted {accepted}, final {finalized}"));
    }
}
