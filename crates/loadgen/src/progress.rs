//! The bar that shows how far a run is.

use std::io::{IsTerminal, stderr};
use std::sync::atomic::{AtomicU64, Ordering};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Shows what is offered, accepted and final; nothing where nobody would see it.
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

    /// One more is final.
    pub(crate) fn settled(&self) {
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
        let settled = self.bar.position();
        self.bar.set_message(format!("offered {offered}, accepted {accepted}, final {settled}"));
    }
}
