//! The circuit breaker in front of the posting service. While no POST gets through, one transaction
//! after another would only use up its attempts, and the service would get no rest to recover.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::backoff::Backoff;

/// This many attempts in a row that were neither posted nor refused open the breaker. Where one attempt
/// in three fails by chance, the odds of twenty in a row are about one in 3.5 billion.
const FAILURES_TO_OPEN: u32 = 20;
/// The delay before each probe.
const PROBE_BACKOFF: Backoff =
    Backoff { base: Duration::from_secs(1), max: Duration::from_secs(5) };
/// The smallest share of the delay that jitter leaves. Jitter keeps processes from probing together; the
/// minimum keeps each of them from probing at once.
const MIN_DRAW: f64 = 0.5;

/// The state of a circuit breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Circuit {
    /// POSTs go out.
    #[default]
    Closed,
    /// No POST goes out until a probe is due.
    Open,
    /// One POST is out as a probe; its outcome closes or reopens the breaker.
    HalfOpen,
}

impl Circuit {
    /// The name on the wire and in the table.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

/// What an attempt, or the preparation of one, says about the posting service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// It took a transaction over, or refused one.
    Works,
    /// The attempt was neither posted nor refused.
    Fails,
    /// It refuses our credentials, and so will refuse every attempt.
    CredentialsRefused,
    /// There is no credential to send, so no attempt can be made.
    NoCredential,
}

/// What a process reports about its circuit breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Report {
    /// Its state.
    pub circuit: Circuit,
    /// Whether it is not closed because our credentials are refused.
    pub credentials_refused: bool,
}

/// Permission to make one attempt. [`Breaker::record`] takes it back with the attempt's outcome.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub struct Permit {
    probe: bool,
}

/// Counts attempts that fail in a row. The caller passes in the time.
#[derive(Debug, Clone, Default)]
pub struct Breaker {
    circuit: Circuit,
    failures: u32,
    openings: u32,
    probe_at: Option<Instant>,
    credentials_refused: bool,
}

impl Breaker {
    /// The current state.
    pub fn circuit(&self) -> Circuit {
        self.circuit
    }

    /// The current state, and whether it follows from credentials that are refused.
    pub fn report(&self) -> Report {
        Report { circuit: self.circuit, credentials_refused: self.credentials_refused }
    }

    /// The earliest time at which [`Breaker::acquire`] is worth a call; `None`, which means now, where
    /// the breaker is closed. While a probe is out, only the end of the probe counts.
    pub fn probe_at(&self) -> Option<Instant> {
        self.probe_at
    }

    /// Returns a permit for one attempt, or `None` if no attempt may be made now.
    pub fn acquire(&mut self, now: Instant) -> Option<Permit> {
        match self.circuit {
            Circuit::Closed => Some(Permit { probe: false }),
            Circuit::Open if self.probe_at.is_none_or(|at| at <= now) => {
                self.circuit = Circuit::HalfOpen;
                Some(Permit { probe: true })
            }
            Circuit::Open | Circuit::HalfOpen => None,
        }
    }

    /// Records what an attempt says about the posting service; `None` where it says nothing. Where no attempt can
    /// succeed, one is enough to open the breaker. `draw` is uniform from 0 to 1.
    pub fn record(&mut self, permit: Permit, signal: Option<Signal>, now: Instant, draw: f64) {
        if !permit.probe && self.circuit != Circuit::Closed {
            return; // The attempt left before the breaker opened; the probe decides.
        }
        match signal {
            Some(Signal::Works) => *self = Self::default(),
            Some(Signal::Fails) => {
                self.failures = self.failures.saturating_add(1);
                if permit.probe || self.failures >= FAILURES_TO_OPEN {
                    self.open(false, now, draw);
                }
            }
            Some(Signal::CredentialsRefused) => self.open(true, now, draw),
            Some(Signal::NoCredential) => self.open(false, now, draw),
            // The probe was not made, so it is still due.
            None if permit.probe => self.circuit = Circuit::Open,
            None => {}
        }
    }

    /// Records that a verification was refused because of our credentials: a POST would be too. While the breaker
    /// is not closed, the probe decides.
    pub fn record_refused_verification(&mut self, now: Instant, draw: f64) {
        if self.circuit == Circuit::Closed {
            self.open(true, now, draw);
        }
    }

    fn open(&mut self, credentials_refused: bool, now: Instant, draw: f64) {
        self.circuit = Circuit::Open;
        self.credentials_refused = credentials_refused;
        self.openings = self.openings.saturating_add(1);
        let draw = MIN_DRAW + draw.clamp(0.0, 1.0) * (1.0 - MIN_DRAW);
        self.probe_at = Some(now + PROBE_BACKOFF.delay(self.openings, draw));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fails(breaker: &mut Breaker, now: Instant) {
        let permit = breaker.acquire(now).unwrap();
        breaker.record(permit, Some(Signal::Fails), now, 1.0);
    }

    fn opened(now: Instant) -> Breaker {
        let mut breaker = Breaker::default();
        for _ in 0..FAILURES_TO_OPEN {
            fails(&mut breaker, now);
        }
        assert_eq!(breaker.circuit(), Circuit::Open);
        breaker
    }

    #[test]
    fn it_opens_after_a_run_of_failures_and_a_success_restarts_the_count() {
        let (mut breaker, now) = (Breaker::default(), Instant::now());
        for _ in 1..FAILURES_TO_OPEN {
            fails(&mut breaker, now);
        }
        let permit = breaker.acquire(now).unwrap();
        breaker.record(permit, Some(Signal::Works), now, 1.0);
        for _ in 1..FAILURES_TO_OPEN {
            fails(&mut breaker, now);
        }
        assert_eq!(breaker.circuit(), Circuit::Closed);
        fails(&mut breaker, now);
        assert_eq!(breaker.circuit(), Circuit::Open);
        assert_eq!(breaker.acquire(now), None);
    }

    #[test]
    fn one_probe_goes_out_when_it_is_due_and_its_success_closes_the_breaker() {
        let now = Instant::now();
        let mut breaker = opened(now);
        let due = breaker.probe_at().unwrap();
        assert_eq!(breaker.acquire(due - Duration::from_millis(1)), None);
        let probe = breaker.acquire(due).unwrap();
        assert_eq!((breaker.circuit(), breaker.acquire(due)), (Circuit::HalfOpen, None));
        breaker.record(probe, Some(Signal::Works), due, 1.0);
        assert_eq!(breaker.circuit(), Circuit::Closed);
    }

    #[test]
    fn a_failed_probe_keeps_the_breaker_open_for_longer_up_to_a_limit() {
        let mut now = Instant::now();
        let mut breaker = opened(now);
        for seconds in [1, 2, 4, 5, 5] {
            assert_eq!(breaker.probe_at(), Some(now + Duration::from_secs(seconds)));
            now = breaker.probe_at().unwrap();
            fails(&mut breaker, now);
        }
    }

    #[test]
    fn an_attempt_that_left_before_the_breaker_opened_does_not_change_it() {
        let now = Instant::now();
        let mut breaker = Breaker::default();
        let (late_success, late_failure) =
            (breaker.acquire(now).unwrap(), breaker.acquire(now).unwrap());
        for _ in 0..FAILURES_TO_OPEN {
            fails(&mut breaker, now);
        }
        let due = breaker.probe_at();
        breaker.record(late_success, Some(Signal::Works), now, 1.0);
        breaker.record(late_failure, Some(Signal::Fails), now, 1.0);
        assert_eq!((breaker.circuit(), breaker.probe_at()), (Circuit::Open, due));
    }

    #[test]
    fn a_probe_that_was_not_made_is_still_due() {
        let now = Instant::now();
        let mut breaker = opened(now);
        let due = breaker.probe_at().unwrap();
        let probe = breaker.acquire(due).unwrap();
        breaker.record(probe, None, due, 1.0);
        assert!(breaker.acquire(due).is_some());
    }

    #[test]
    fn one_refusal_of_our_credentials_opens_the_breaker_and_a_success_clears_it() {
        let (mut breaker, now) = (Breaker::default(), Instant::now());
        let refused = Report { circuit: Circuit::Open, credentials_refused: true };
        let permit = breaker.acquire(now).unwrap();
        breaker.record(permit, Some(Signal::CredentialsRefused), now, 1.0);
        assert_eq!(breaker.report(), refused);
        // A probe that is refused again keeps the reason, for longer.
        let due = breaker.probe_at().unwrap();
        let probe = breaker.acquire(due).unwrap();
        breaker.record(probe, Some(Signal::CredentialsRefused), due, 1.0);
        assert_eq!(breaker.report(), refused);
        assert_eq!(breaker.probe_at(), Some(due + Duration::from_secs(2)));
        // One that fails in another way does not.
        let due = breaker.probe_at().unwrap();
        fails(&mut breaker, due);
        assert_eq!(breaker.report(), Report { credentials_refused: false, ..refused });
        let due = breaker.probe_at().unwrap();
        let probe = breaker.acquire(due).unwrap();
        breaker.record(probe, Some(Signal::Works), due, 1.0);
        assert_eq!(breaker.report(), Report::default());
    }

    #[test]
    fn without_a_credential_the_breaker_opens_at_once_and_the_credentials_are_not_to_blame() {
        let (mut breaker, now) = (Breaker::default(), Instant::now());
        let permit = breaker.acquire(now).unwrap();
        breaker.record(permit, Some(Signal::NoCredential), now, 1.0);
        assert_eq!(breaker.report(), Report { circuit: Circuit::Open, credentials_refused: false });
    }

    #[test]
    fn a_refused_verification_opens_the_breaker_and_does_not_postpone_a_probe() {
        let (mut breaker, now) = (Breaker::default(), Instant::now());
        breaker.record_refused_verification(now, 1.0);
        assert!(breaker.report().credentials_refused);
        let due = breaker.probe_at();
        breaker.record_refused_verification(now + Duration::from_millis(900), 1.0);
        assert_eq!(breaker.probe_at(), due);
    }
}
