//! The circuit breaker in front of the posting service. While nothing comes through, a transaction
//! after the other would only use up its patience, and the service would find no peace to recover.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::{Outcome, backoff::Backoff};

/// So many attempts in a row that neither posted nor were refused open the breaker. By chance alone,
/// one in three failing, that is one run in four billion.
const FAILURES: u32 = 20;
/// Between probes.
const PROBES: Backoff = Backoff { base: Duration::from_secs(1), max: Duration::from_secs(5) };
/// What is left of a delay at least, so that processes do not probe together, and none at once.
const LEAST_DRAW: f64 = 0.5;

/// Where a breaker stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Circuit {
    /// POSTs go out.
    #[default]
    Closed,
    /// None goes out, until a probe is due.
    Open,
    /// One is out, to see whether it comes through.
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

/// Leave to make one attempt; to be given back with what became of it.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub struct Pass {
    probe: bool,
}

/// Counts attempts that fail in a row, by a clock that is handed in.
#[derive(Debug, Clone, Default)]
pub struct Breaker {
    circuit: Circuit,
    failures: u32,
    openings: u32,
    probe_at: Option<Instant>,
}

impl Breaker {
    /// Where it stands.
    pub fn circuit(&self) -> Circuit {
        self.circuit
    }

    /// When [`Breaker::pass`] is next worth asking: `None` for now, where it is closed; where a probe
    /// is out, only its end tells.
    pub fn probe_at(&self) -> Option<Instant> {
        self.probe_at
    }

    /// Leave to make an attempt, unless none may be made now.
    pub fn pass(&mut self, now: Instant) -> Option<Pass> {
        match self.circuit {
            Circuit::Closed => Some(Pass { probe: false }),
            Circuit::Open if self.probe_at.is_none_or(|at| at <= now) => {
                self.circuit = Circuit::HalfOpen;
                Some(Pass { probe: true })
            }
            Circuit::Open | Circuit::HalfOpen => None,
        }
    }

    /// Takes note of what an attempt came to; `None` where it came to nothing that tells about the
    /// posting service. `draw` is uniform from 0 to 1.
    pub fn ended(&mut self, pass: Pass, outcome: Option<Outcome>, now: Instant, draw: f64) {
        if !pass.probe && self.circuit != Circuit::Closed {
            return; // It left before the breaker opened; the probe decides.
        }
        match outcome {
            Some(Outcome::Posted | Outcome::Refused) => *self = Self::default(),
            Some(Outcome::NotSent | Outcome::Unknown) => {
                self.failures = self.failures.saturating_add(1);
                if pass.probe || self.failures >= FAILURES {
                    self.open(now, draw);
                }
            }
            // A probe that was not made is due still.
            None if pass.probe => self.circuit = Circuit::Open,
            None => {}
        }
    }

    fn open(&mut self, now: Instant, draw: f64) {
        self.circuit = Circuit::Open;
        self.openings = self.openings.saturating_add(1);
        let draw = LEAST_DRAW + draw.clamp(0.0, 1.0) * (1.0 - LEAST_DRAW);
        self.probe_at = Some(now + PROBES.delay(self.openings, draw));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fails(breaker: &mut Breaker, now: Instant) {
        let pass = breaker.pass(now).unwrap();
        breaker.ended(pass, Some(Outcome::NotSent), now, 1.0);
    }

    fn opened(now: Instant) -> Breaker {
        let mut breaker = Breaker::default();
        for _ in 0..FAILURES {
            fails(&mut breaker, now);
        }
        assert_eq!(breaker.circuit(), Circuit::Open);
        breaker
    }

    #[test]
    fn it_opens_after_so_many_failures_in_a_row_and_a_success_starts_the_count_anew() {
        let (mut breaker, now) = (Breaker::default(), Instant::now());
        for _ in 1..FAILURES {
            fails(&mut breaker, now);
        }
        let pass = breaker.pass(now).unwrap();
        breaker.ended(pass, Some(Outcome::Refused), now, 1.0);
        for _ in 1..FAILURES {
            fails(&mut breaker, now);
        }
        assert_eq!(breaker.circuit(), Circuit::Closed);
        fails(&mut breaker, now);
        assert_eq!(breaker.circuit(), Circuit::Open);
        assert_eq!(breaker.pass(now), None);
    }

    #[test]
    fn one_probe_goes_out_when_its_time_has_come_and_its_success_closes() {
        let now = Instant::now();
        let mut breaker = opened(now);
        let due = breaker.probe_at().unwrap();
        assert_eq!(breaker.pass(due - Duration::from_millis(1)), None);
        let probe = breaker.pass(due).unwrap();
        assert_eq!((breaker.circuit(), breaker.pass(due)), (Circuit::HalfOpen, None));
        breaker.ended(probe, Some(Outcome::Posted), due, 1.0);
        assert_eq!(breaker.circuit(), Circuit::Closed);
    }

    #[test]
    fn a_probe_that_fails_opens_for_longer_up_to_a_limit() {
        let mut now = Instant::now();
        let mut breaker = opened(now);
        for seconds in [1, 2, 4, 5, 5] {
            assert_eq!(breaker.probe_at(), Some(now + Duration::from_secs(seconds)));
            now = breaker.probe_at().unwrap();
            fails(&mut breaker, now);
        }
    }

    #[test]
    fn what_left_before_it_opened_neither_closes_nor_opens_it() {
        let now = Instant::now();
        let mut breaker = Breaker::default();
        let (late_success, late_failure) = (breaker.pass(now).unwrap(), breaker.pass(now).unwrap());
        for _ in 0..FAILURES {
            fails(&mut breaker, now);
        }
        let due = breaker.probe_at();
        breaker.ended(late_success, Some(Outcome::Posted), now, 1.0);
        breaker.ended(late_failure, Some(Outcome::Unknown), now, 1.0);
        assert_eq!((breaker.circuit(), breaker.probe_at()), (Circuit::Open, due));
    }

    #[test]
    fn a_probe_that_was_not_made_is_due_still() {
        let now = Instant::now();
        let mut breaker = opened(now);
        let due = breaker.probe_at().unwrap();
        let probe = breaker.pass(due).unwrap();
        breaker.ended(probe, None, due, 1.0);
        assert!(breaker.pass(due).is_some());
    }
}
