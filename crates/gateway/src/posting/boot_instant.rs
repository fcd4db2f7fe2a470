//! A clock that keeps running while the machine is suspended. On Linux the clock of [`std::time::Instant`]
//! stops meanwhile, and a worker that resumes would take an old claim for a fresh one.

use std::{ops::Add, time::Duration};

use nix::time::{ClockId, clock_gettime};

#[cfg(any(target_os = "linux", target_os = "android"))]
const CLOCK: ClockId = ClockId::CLOCK_BOOTTIME;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const CLOCK: ClockId = ClockId::CLOCK_MONOTONIC;

/// The time since the machine was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct BootInstant(Duration);

impl BootInstant {
    /// The current time. If the kernel does not provide it, the largest value, so that every deadline has passed.
    pub fn now() -> Self {
        Self(clock_gettime(CLOCK).map_or(Duration::MAX, Duration::from))
    }
}

impl Add<Duration> for BootInstant {
    type Output = Self;

    fn add(self, time: Duration) -> Self {
        Self(self.0.saturating_add(time))
    }
}
