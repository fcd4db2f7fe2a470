//! How many attempts ended in the last minute, and how many of them posted. Each worker counts its own and
//! reports them with its lease, so a reader reads one row for each worker, however many attempts there are.

use std::time::Instant;

const SECONDS: usize = 60;

/// Attempts of the last minute, second by second.
pub struct LastMinute {
    begun_at: Instant,
    /// Second `n` since `begun_at` is at `n % SECONDS`, until a later one overwrites it.
    seconds: [Second; SECONDS],
}

#[derive(Clone, Copy, Default)]
struct Second {
    number: u64,
    attempts: Attempts,
}

/// Attempts that ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Attempts {
    /// All of them.
    pub ended: u32,
    /// Those that posted.
    pub posted: u32,
}

impl LastMinute {
    /// No attempts yet.
    pub fn new(now: Instant) -> Self {
        Self { begun_at: now, seconds: [Second::default(); SECONDS] }
    }

    /// Counts an attempt that ends now.
    pub fn count(&mut self, posted: bool, now: Instant) {
        let number = self.number(now);
        let second = &mut self.seconds[number as usize % SECONDS];
        if second.number != number {
            *second = Second { number, attempts: Attempts::default() };
        }
        second.attempts.ended += 1;
        second.attempts.posted += u32::from(posted);
    }

    /// The attempts that ended within the last minute.
    pub fn attempts(&self, now: Instant) -> Attempts {
        let number = self.number(now);
        let recent = self.seconds.iter().filter(|second| second.number + SECONDS as u64 > number);
        recent.fold(Attempts::default(), |sum, Second { attempts, .. }| Attempts {
            ended: sum.ended + attempts.ended,
            posted: sum.posted + attempts.posted,
        })
    }

    fn number(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.begun_at).as_secs()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_attempt_that_ended_more_than_a_minute_ago_does_not_count() {
        let begun_at = Instant::now();
        let at = |second| begun_at + Duration::from_secs(second);
        let attempts = |ended, posted| Attempts { ended, posted };
        let mut minute = LastMinute::new(begun_at);
        assert_eq!(minute.attempts(at(0)), attempts(0, 0));
        minute.count(true, at(0));
        minute.count(false, at(0));
        minute.count(false, at(59));
        assert_eq!(minute.attempts(at(59)), attempts(3, 1));
        assert_eq!(minute.attempts(at(60)), attempts(1, 0));
        // Overwrites the first second.
        minute.count(true, at(60));
        assert_eq!(minute.attempts(at(118)), attempts(2, 1));
        assert_eq!(minute.attempts(at(119)), attempts(1, 1));
        assert_eq!(minute.attempts(at(3600)), attempts(0, 0));
    }
}
