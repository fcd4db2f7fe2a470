//! What a limit says about one request.

use std::time::Duration;

use super::Rate;

/// What a limit says about one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// The limit.
    pub rate: Rate,
    /// How many more requests may come at once.
    pub remaining: u32,
    /// When the next request may come, if this one may not.
    pub refused_for: Option<Duration>,
}

impl Decision {
    /// Until when all requests of the limit may come at once again, if none comes meanwhile.
    pub fn restored_in(&self) -> Duration {
        let requests = self.rate.requests().get();
        let used = requests.saturating_sub(self.remaining);
        self.rate.period() * used / requests
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn used_requests_come_back_evenly_over_the_period() {
        let restored = |remaining| {
            let rate = "100/m".parse().unwrap();
            Decision { rate, remaining, refused_for: None }.restored_in()
        };
        assert_eq!(restored(100), Duration::ZERO);
        assert_eq!(restored(50), Duration::from_secs(30));
        assert_eq!(restored(0), Duration::from_secs(60));
    }
}
