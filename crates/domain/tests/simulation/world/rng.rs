//! The only source of randomness, determined by the seed.

use std::time::Duration;

use rand::{Rng, RngExt, SeedableRng, rngs::Xoshiro256PlusPlus};

/// The random source of one run.
pub struct SeededRng(Xoshiro256PlusPlus);

impl SeededRng {
    pub fn new(seed: u64) -> Self {
        Self(Xoshiro256PlusPlus::seed_from_u64(seed))
    }

    pub fn number(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// True with a probability of one in `times`; never for 0.
    pub fn one_in(&mut self, times: u32) -> bool {
        times > 0 && self.below(times as usize) == 0
    }

    pub fn below(&mut self, bound: usize) -> usize {
        self.0.random_range(0..bound)
    }

    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    /// From `least` to `most`, both included; half of the time at one of the edges, where the bugs
    /// are.
    pub fn between(&mut self, least: Duration, most: Duration) -> Duration {
        let span = u64::try_from((most - least).as_nanos()).unwrap_or(u64::MAX);
        match self.below(4) {
            0 => least,
            1 => most,
            _ => least + Duration::from_nanos(self.0.random_range(0..=span)),
        }
    }

    /// The same in milliseconds.
    pub fn millis(&mut self, least: u64, most: u64) -> Duration {
        self.between(Duration::from_millis(least), Duration::from_millis(most))
    }

    /// From 0 to 1, for a jitter, often at the edges.
    pub fn fraction(&mut self) -> f64 {
        match self.below(4) {
            0 => 0.0,
            1 => 1.0,
            _ => self.0.random(),
        }
    }
}
