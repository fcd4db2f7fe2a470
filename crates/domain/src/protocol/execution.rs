//! The next step for a transaction, given the known facts about it and the time.
//!
//! Each claim is one [`Execution`]. It returns the first step, and the next one after each POST and each
//! verification; the engine carries them out. A claim either sends one POST, and verifies it if that
//! leaves a doubt, or it verifies an earlier attempt and never posts.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::{Ending, Finding, MAX_RETRY_AFTER, Outcome, Window, backoff::Backoff};

/// The settings that the decisions depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// How many counted attempts a transaction gets.
    pub max_attempts: u32,
    /// How long one request may take; after that Onceward gives up on it.
    pub timeout: Duration,
    /// How long after Onceward gave up on a request it may still be applied. See [`Window::Settle`].
    pub settle: Duration,
    /// How long after a write a verification may still miss it.
    pub visibility: Duration,
    /// The backoff between attempts, and between verifications that fail.
    pub backoff: Backoff,
    /// The backoff between verifications once a transaction is in doubt.
    pub in_doubt_backoff: Backoff,
    /// How long after a doubt began a transaction whose verification fails becomes in doubt, even if attempts
    /// are left.
    pub doubt_after: Duration,
    /// Whether every POST that the posting service has confirmed is verified as well.
    pub confirms_posts: bool,
}

/// A POST is sent within this time after its attempt was requested, or not at all.
pub const POST_WITHIN: Duration = Duration::from_secs(2);

impl Policy {
    /// The longest time from the start of an attempt until Onceward gives up on its POST.
    pub fn gives_up_within(&self) -> Duration {
        POST_WITHIN + self.timeout
    }

    /// How long after Onceward gave up on an attempt an absence proves that it was not applied. The
    /// settle window is followed by the visibility window, because a verification may miss a write at
    /// the end of the settle window for as long as any other write.
    fn proof_after(&self, window: Window) -> Duration {
        match window {
            Window::Settle => self.settle + self.visibility,
            Window::Visibility => self.visibility,
        }
    }
}

/// An earlier attempt that may have reached the posting service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Doubt {
    /// When Onceward stopped waiting for the attempt.
    pub since: DateTime<Utc>,
    /// Which window applies to it.
    pub window: Window,
}

/// What is known about a transaction when it has been claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Attempts that count. An attempt counts from its claim on, unless it is proven not to have
    /// been sent.
    pub attempts: u32,
    /// Whether the claim has begun an attempt; if so, `attempts` includes it. See
    /// [`begins_attempt`].
    pub begun: bool,
    /// The latest attempt before this claim, if it may have reached the posting service.
    pub doubt: Option<Doubt>,
    /// Verifications since the latest attempt.
    pub verifications: u32,
    /// All claims, including this one.
    pub claims: u32,
}

/// Whether a claim begins an attempt: only if no earlier one is in doubt, and attempts are left.
pub fn begins_attempt(doubt: Option<Doubt>, attempts: u32, policy: &Policy) -> bool {
    doubt.is_none() && attempts < policy.max_attempts
}

/// The next step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Send the POST whose attempt the claim has begun.
    Post,
    /// Ask the posting service whether it has the id.
    Verify,
    /// Go back to `pending` until it is due, then be claimed again.
    Retry {
        /// When it is due.
        at: DateTime<Utc>,
    },
    /// As [`Step::Retry`], with no doubt left: the posting service does not have the transaction, and
    /// nothing sent so far can still put it there.
    PostAgain {
        /// When it is due.
        at: DateTime<Utc>,
    },
    /// Become `completed`.
    Complete,
    /// Become `failed`: refused, or proven absent.
    Fail(Failure),
    /// Become `in_doubt`, and be claimed again to verify, unless only an operator can decide.
    InDoubt {
        /// Why.
        reason: DoubtReason,
        /// When the next verification is due.
        at: Option<DateTime<Utc>>,
    },
}

/// Why a transaction failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The posting service refused it.
    Refused,
    /// No attempts are left, and the posting service does not have it.
    ProvenAbsent,
}

/// Why a transaction is in doubt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DoubtReason {
    /// No attempts are left, and the outcome of the last is unknown.
    OutcomeUnknown,
    /// The outcome is unknown, and verification has failed for long ([`Policy::doubt_after`]).
    VerificationFails,
    /// The posting service has an entry under this id with another amount or currency.
    Mismatch,
}

/// One claim's path through the protocol.
#[derive(Debug, Clone)]
pub struct Execution {
    policy: Policy,
    pub(super) progress: Progress,
    posted: bool,
    /// The earliest time for the next request, as the posting service asked during this execution.
    not_before: Option<DateTime<Utc>>,
}

impl Execution {
    /// Returns the execution of a transaction that was just claimed, and so was due, with its first
    /// step.
    pub fn begin(progress: Progress, policy: Policy) -> (Self, Step) {
        let step = match (progress.begun, progress.doubt) {
            (true, _) => Step::Post,
            (false, Some(_)) => Step::Verify,
            (false, None) => Step::Fail(Failure::ProvenAbsent),
        };
        (Self { policy, progress, posted: false, not_before: None }, step)
    }

    /// Returns what is known after the POST, and the next step. `draw` is uniform from 0 to 1.
    pub fn after_post(
        &mut self,
        ending: &Ending,
        now: DateTime<Utc>,
        draw: f64,
    ) -> (Outcome, Option<Window>, Step) {
        let (outcome, window) = match ending.outcome() {
            (Outcome::Posted, _) if self.policy.confirms_posts => {
                (Outcome::Unknown, Some(Window::Visibility))
            }
            known => known,
        };
        self.posted = true;
        self.note_retry_after(ending.retry_after(), now);
        self.progress.doubt = window.map(|window| Doubt { since: now, window });
        self.progress.verifications = 0;
        let step = match outcome {
            Outcome::Posted => Step::Complete,
            Outcome::Refused => Step::Fail(Failure::Refused),
            Outcome::Unknown if ending.is_accepted_only() => {
                let delay = self.policy.backoff.delay(self.progress.attempts, draw);
                self.retry(now + self.policy.visibility.max(delay))
            }
            // At once: if the failure came after the write, this costs one round trip and no backoff.
            Outcome::Unknown => Step::Verify,
            Outcome::NotSent => {
                self.progress.attempts = self.progress.attempts.saturating_sub(1);
                // By claims, because attempts do not grow here.
                self.retry(now + self.policy.backoff.delay(self.progress.claims, draw))
            }
        };
        (outcome, window, step)
    }

    /// Returns the next step after a verification that was sent at `started_at` and whose answer asked
    /// us to wait for `retry_after`. `draw` is uniform from 0 to 1.
    pub fn after_verification(
        &mut self,
        finding: Finding,
        retry_after: Option<Duration>,
        started_at: DateTime<Utc>,
        now: DateTime<Utc>,
        draw: f64,
    ) -> Step {
        self.note_retry_after(retry_after, now);
        self.progress.verifications += 1;
        let Progress { attempts, verifications, doubt, .. } = self.progress;
        let Some(doubt) = doubt else {
            // Nothing was ever sent, so there is nothing to verify.
            return Step::PostAgain { at: now };
        };
        let attempts_left = attempts < self.policy.max_attempts;
        let proof_at = doubt.since + self.policy.proof_after(doubt.window);
        let backoff = self.policy.backoff.delay(attempts, draw);
        match finding {
            Finding::Found => Step::Complete,
            Finding::Mismatch => Step::InDoubt { reason: DoubtReason::Mismatch, at: None },
            Finding::Absent if started_at >= proof_at => match attempts_left {
                // An execution that only verifies has already waited.
                true => Step::PostAgain {
                    at: self.not_before(if self.posted { now + backoff } else { now }),
                },
                false => Step::Fail(Failure::ProvenAbsent),
            },
            // Too early to prove anything: verify again when an absence is proof, which is also when
            // the next POST may be sent.
            Finding::Absent if attempts_left => self.retry(proof_at.max(now + backoff)),
            Finding::Absent => self.in_doubt(DoubtReason::OutcomeUnknown, proof_at.max(now)),
            Finding::Failed => {
                let slower = now + self.policy.in_doubt_backoff.delay(verifications, draw);
                match attempts_left {
                    true if now >= doubt.since + self.policy.doubt_after => {
                        self.in_doubt(DoubtReason::VerificationFails, slower)
                    }
                    true => self.retry(now + self.policy.backoff.delay(verifications, draw)),
                    false => self.in_doubt(DoubtReason::OutcomeUnknown, slower),
                }
            }
        }
    }

    /// Returns the step instead of a verification for which now is not the time: it is made later, by an
    /// execution of its own. `draw` is uniform from 0 to 1.
    pub fn postpone_verification(&self, now: DateTime<Utc>, draw: f64) -> Step {
        self.retry(now + self.policy.backoff.delay(self.progress.attempts, draw))
    }

    fn note_retry_after(&mut self, retry_after: Option<Duration>, now: DateTime<Utc>) {
        let until = retry_after.map(|time| now + time.min(MAX_RETRY_AFTER));
        self.not_before = self.not_before.max(until);
    }

    fn not_before(&self, at: DateTime<Utc>) -> DateTime<Utc> {
        self.not_before.map_or(at, |not_before| at.max(not_before))
    }

    fn retry(&self, at: DateTime<Utc>) -> Step {
        Step::Retry { at: self.not_before(at) }
    }

    fn in_doubt(&self, reason: DoubtReason, at: DateTime<Utc>) -> Step {
        Step::InDoubt { reason, at: Some(self.not_before(at)) }
    }
}

/// How many times in a row a transaction's worker may die while processing it before the transaction
/// is quarantined, unless the policy allows more attempts than that.
pub const MIN_WORKER_DEATHS: u32 = 5;

impl Policy {
    /// How many times in a row a transaction's worker may die while processing it. After that many
    /// deaths the transaction is quarantined: it becomes `in_doubt` and waits for an operator, because
    /// a transaction that kills its workers must not take others down with it.
    pub fn max_worker_deaths(&self) -> u32 {
        self.max_attempts.max(MIN_WORKER_DEATHS)
    }
}

/// The beginning of the `error` of a quarantined transaction; ` <n> times in a row` follows.
pub const QUARANTINED: &str = "its worker died while processing it";

/// How long a transaction waits after its worker died, where its workers died `earlier_deaths` times in
/// a row before: not at all after the first death, then longer after each.
pub fn delay_after_worker_death(earlier_deaths: u32) -> Duration {
    Duration::from_secs(earlier_deaths.min(60).into())
}
