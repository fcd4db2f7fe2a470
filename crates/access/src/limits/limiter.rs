//! Counting by key, in bounded memory.

use std::{hash::Hash, sync::Arc};

use governor::{
    Quota, RateLimiter,
    clock::{Clock, DefaultClock},
    middleware::StateInformationMiddleware,
    state::{InMemoryState, NotKeyed},
};
use quick_cache::sync::Cache;

use super::{Decision, Rate};

/// How many keys are counted. If there are more, those that ask least are forgotten, and may begin anew.
const MAX_KEYS: usize = 65_536;

type Bucket<C> = RateLimiter<NotKeyed, InMemoryState, C, StateInformationMiddleware>;

/// Counts the requests of each key.
pub struct Limiter<K, C: Clock = DefaultClock> {
    buckets: Cache<K, (Rate, Arc<Bucket<C>>)>,
    clock: C,
}

impl<K: Hash + Eq + Clone, C: Clock + Clone> Limiter<K, C> {
    /// Counts by this clock.
    pub fn new(clock: C) -> Self {
        Self { buckets: Cache::new(MAX_KEYS), clock }
    }

    /// Counts a request of a key that may make so many. A key whose rate has changed begins anew.
    pub fn check(&self, key: &K, rate: Rate) -> Decision {
        let bucket = match self.buckets.get(key) {
            Some((known, bucket)) if known == rate => bucket,
            known => {
                // Two requests that come at once must count in the same one.
                if known.is_some() {
                    let _ = self.buckets.remove_if(key, |(known, _)| *known != rate);
                }
                let made = || Ok::<_, std::convert::Infallible>((rate, self.bucket(rate)));
                match self.buckets.get_or_insert_with(key, made) {
                    Ok((_, bucket)) => bucket,
                    Err(never) => match never {},
                }
            }
        };
        match bucket.check() {
            Ok(state) => {
                Decision { rate, remaining: state.remaining_burst_capacity(), refused_for: None }
            }
            Err(refused) => {
                let refused_for = Some(refused.wait_time_from(self.clock.now()));
                Decision { rate, remaining: 0, refused_for }
            }
        }
    }

    fn bucket(&self, rate: Rate) -> Arc<Bucket<C>> {
        let interval = rate.period() / rate.requests().get();
        let quota = Quota::with_period(interval)
            .unwrap_or_else(|| Quota::per_second(rate.requests()))
            .allow_burst(rate.requests());
        let limiter = RateLimiter::direct_with_clock(quota, self.clock.clone());
        Arc::new(limiter.with_middleware())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use governor::clock::FakeRelativeClock;

    use super::*;

    fn limiter() -> (Limiter<u32, FakeRelativeClock>, FakeRelativeClock) {
        let clock = FakeRelativeClock::default();
        (Limiter::new(clock.clone()), clock)
    }

    #[test]
    fn requests_beyond_the_rate_are_refused_until_their_time_has_come() {
        let (limiter, clock) = limiter();
        let rate = "3/m".parse().unwrap();
        let remaining = [0; 3].map(|_| limiter.check(&1, rate).remaining);
        assert_eq!(remaining, [2, 1, 0]);
        let refused = limiter.check(&1, rate);
        assert_eq!((refused.remaining, refused.refused_for), (0, Some(Duration::from_secs(20))));
        clock.advance(Duration::from_secs(20));
        assert_eq!(limiter.check(&1, rate).refused_for, None);
        assert!(limiter.check(&1, rate).refused_for.is_some());
        assert_eq!(limiter.check(&2, rate).remaining, 2);
    }

    #[test]
    fn a_key_whose_rate_has_changed_begins_anew() {
        let (limiter, _) = limiter();
        assert_eq!(limiter.check(&1, "1/h".parse().unwrap()).remaining, 0);
        assert_eq!(limiter.check(&1, "5/h".parse().unwrap()).remaining, 4);
        assert_eq!(limiter.check(&1, "5/h".parse().unwrap()).remaining, 3);
    }

    #[test]
    fn no_more_keys_are_kept_than_the_memory_is_meant_for() {
        let (limiter, _) = limiter();
        for key in 0..200_000 {
            limiter.check(&key, "1/h".parse().unwrap());
        }
        assert!(limiter.buckets.len() <= MAX_KEYS);
    }
}
