//! A clock that goes on while the machine is suspended. On Linux that of [`std::time::Instant`] stands
//! still meanwhile, and a worker that wakes would take an old claim for a fresh one.

use std::{ops::Add, time::Duration};

use nix::time::{ClockId, clock_gettime};

#[cfg(any(target_os = "linux", target_os = "android"))]
const CLOCK: ClockId = ClockId::CLOCK_BOOTTIME;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const CLOCK: ClockId = ClockId::CLOCK_MONOTONIC;

/// A moment since the machine was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct BootInstant(Duration);

impl BootInstant {
    /// This moment. Where the kernel does not tell, the end of time: then nothing is in time.
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
