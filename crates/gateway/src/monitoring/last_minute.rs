//! How many requests to the posting service ended in the last minute, and how. Each worker counts its own and reports
//! them with its lease, so a reader reads one row for each worker, however many requests there are.

use std::time::Instant;

const SECONDS: usize = 60;

/// Requests of the last minute, second by second.
pub struct LastMinute {
    begun_at: Instant,
    /// Second `n` since `begun_at` is at `n % SECONDS`, until a later one overwrites it.
    seconds: [Second; SECONDS],
}

#[derive(Clone, Copy, Default)]
struct Second {
    number: u64,
    requests: Requests,
}

/// Requests that ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Requests {
    /// All attempts.
    pub attempts: u32,
    /// Those that posted.
    pub posted: u32,
    /// All verifications.
    pub verifications: u32,
    /// Those that failed.
    pub failed_verifications: u32,
}

impl LastMinute {
    /// No requests yet.
    pub fn new(now: Instant) -> Self {
        Self { begun_at: now, seconds: [Second::default(); SECONDS] }
    }

    /// Counts an attempt that ends now.
    pub fn count_attempt(&mut self, posted: bool, now: Instant) {
        let requests = self.second(now);
        requests.attempts += 1;
        requests.posted += u32::from(posted);
    }

    /// Counts a verification that ends now.
    pub fn count_verification(&mut self, failed: bool, now: Instant) {
        let requests = self.second(now);
        requests.verifications += 1;
        requests.failed_verifications += u32::from(failed);
    }

    fn second(&mut self, now: Instant) -> &mut Requests {
        let number = self.number(now);
        let second = &mut self.seconds[number as usize % SECONDS];
        if second.number != number {
            *second = Second { number, requests: Requests::default() };
        }
        &mut second.requests
    }

    /// The requests that ended within the last minute.
    pub fn requests(&self, now: Instant) -> Requests {
        let number = self.number(now);
        let recent = self.seconds.iter().filter(|second| second.number + SECONDS as u64 > number);
        recent.fold(Requests::default(), |sum, Second { requests, .. }| Requests {
            attempts: sum.attempts + requests.attempts,
            posted: sum.posted + requests.posted,
            verifications: sum.verifications + requests.verifications,
            failed_verifications: sum.failed_verifications + requests.failed_verifications,
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
    fn a_request_that_ended_more_than_a_minute_ago_does_not_count() {
        let begun_at = Instant::now();
        let at = |second| begun_at + Duration::from_secs(second);
        let attempts = |attempts, posted| Requests { attempts, posted, ..Requests::default() };
        let mut minute = LastMinute::new(begun_at);
        assert_eq!(minute.requests(at(0)), attempts(0, 0));
        minute.count_attempt(true, at(0));
        minute.count_attempt(false, at(0));
        minute.count_attempt(false, at(59));
        assert_eq!(minute.requests(at(59)), attempts(3, 1));
        assert_eq!(minute.requests(at(60)), attempts(1, 0));
        // Overwrites the first second.
        minute.count_attempt(true, at(60));
        assert_eq!(minute.requests(at(118)), attempts(2, 1));
        assert_eq!(minute.requests(at(119)), attempts(1, 1));
        assert_eq!(minute.requests(at(3600)), attempts(0, 0));
        minute.count_verification(true, at(3600));
        minute.count_verification(false, at(3601));
        let verifications =
            Requests { verifications: 2, failed_verifications: 1, ..Requests::default() };
        assert_eq!(minute.requests(at(3659)), verifications);
        assert_eq!(minute.requests(at(3661)), attempts(0, 0));
    }
}
