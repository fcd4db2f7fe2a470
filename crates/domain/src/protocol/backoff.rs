//! How long to wait before trying again.

use std::time::Duration;

/// Exponential backoff with full jitter: a uniform draw from zero to `base · 2ⁿ⁻¹`, capped.
///
/// Full jitter spreads the retries of many transactions that failed together
/// (AWS Architecture Blog, "Exponential Backoff And Jitter").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The ceiling of the first delay.
    pub base: Duration,
    /// The ceiling of every delay.
    pub max: Duration,
}

impl Backoff {
    /// The delay after failure number `failures` (from 1), for a `draw` from 0 to 1.
    pub fn delay(&self, failures: u32, draw: f64) -> Duration {
        self.ceiling(failures).mul_f64(draw.clamp(0.0, 1.0))
    }

    /// The longest delay after failure number `failures` (from 1).
    pub fn ceiling(&self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(30);
        self.base.saturating_mul(1 << doublings).min(self.max)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BACKOFF: Backoff =
        Backoff { base: Duration::from_millis(500), max: Duration::from_secs(60) };

    #[test]
    fn the_ceiling_doubles_up_to_the_maximum() {
        let ceilings: Vec<_> = (1..=9).map(|n| BACKOFF.ceiling(n).as_millis()).collect();
        assert_eq!(ceilings, [500, 1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000]);
    }

    proptest! {
        #[test]
        fn a_delay_never_passes_the_maximum(failures in any::<u32>(), draw in -1.0f64..2.0) {
            prop_assert!(BACKOFF.delay(failures, draw) <= BACKOFF.max);
        }
    }
}
