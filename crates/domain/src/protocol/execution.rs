//! What comes next for a transaction, given what is known of it and the time.
//!
//! A claim is one [`Execution`]. It tells the first step, and the next one after each POST and each
//! verification; the engine carries them out. A claim either makes one POST, and verifies where that
//! leaves a doubt, or it verifies an earlier attempt and never posts.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::{Ending, Finding, MAX_RETRY_AFTER, Outcome, Window, backoff::Backoff};

/// The settings that the decisions depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// How many counted attempts a transaction gets.
    pub max_attempts: u32,
    /// How long one request may take; after that Onceward has given up on it.
    pub timeout: Duration,
    /// How long after a time-out or a broken connection the request may still be applied.
    pub settle: Duration,
    /// How long after a write a verification may still miss it.
    pub visibility: Duration,
    /// Between attempts, and between verifications that fail.
    pub backoff: Backoff,
    /// Between verifications once a transaction is in doubt.
    pub in_doubt_backoff: Backoff,
}

/// A POST leaves within this time after its attempt was asked for, or not at all.
pub const POST_WITHIN: Duration = Duration::from_secs(2);

impl Policy {
    /// How long after its attempt was begun nobody waits for a POST any more.
    pub fn gives_up_within(&self) -> Duration {
        POST_WITHIN + self.timeout
    }

    /// How long after Onceward gave up on an attempt an absence proves that it was not applied. What
    /// is applied at the end of the settle window may be missed for as long as any write.
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
    /// When Onceward stopped waiting for it.
    pub since: DateTime<Utc>,
    /// Which window applies to it.
    pub window: Window,
}

/// What is known of a transaction when it has been claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Attempts that count. An attempt counts from its claim on, and is given back where it is
    /// proven not to have been sent.
    pub attempts: u32,
    /// Whether the claim has begun an attempt, which is among `attempts` then. See
    /// [`begins_attempt`].
    pub begun: bool,
    /// The latest attempt before this claim, where it may have reached the posting service.
    pub doubt: Option<Doubt>,
    /// Verifications since the latest attempt.
    pub verifications: u32,
    /// Claims in all, this one included.
    pub claims: u32,
}

/// Whether a claim begins an attempt: nothing earlier may have arrived, and attempts are left.
pub fn begins_attempt(doubt: Option<Doubt>, attempts: u32, policy: &Policy) -> bool {
    doubt.is_none() && attempts < policy.max_attempts
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Send the POST whose attempt the claim has begun.
    Post,
    /// Ask the posting service whether it has the id.
    Verify,
    /// Be `pending` until then, and be claimed again.
    Retry {
        /// When it is due.
        at: DateTime<Utc>,
    },
    /// The same, with no doubt left: the posting service does not have it, and never will by what
    /// was sent so far.
    PostAgain {
        /// When it is due.
        at: DateTime<Utc>,
    },
    /// Be `completed`.
    Complete,
    /// Be `failed`: refused, or proven absent.
    Fail(Failure),
    /// Be `in_doubt`, and be claimed again to verify, unless only a person can tell.
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
    /// The posting service has an entry under this id with another amount or currency.
    Mismatch,
}

/// One claim's way through the protocol.
#[derive(Debug, Clone)]
pub struct Execution {
    policy: Policy,
    progress: Progress,
    posted: bool,
    /// Until when the posting service asked, in this turn, to be left alone.
    not_before: Option<DateTime<Utc>>,
}

impl Execution {
    /// The turn of a transaction that was just claimed, which means that it was due; and its first
    /// step.
    pub fn begin(progress: Progress, policy: Policy) -> (Self, Step) {
        let step = match (progress.begun, progress.doubt) {
            (true, _) => Step::Post,
            (false, Some(_)) => Step::Verify,
            (false, None) => Step::Fail(Failure::ProvenAbsent),
        };
        (Self { policy, progress, posted: false, not_before: None }, step)
    }

    /// What is known after the POST, and what to do then. `draw` is uniform from 0 to 1.
    pub fn after_post(
        &mut self,
        ending: &Ending,
        now: DateTime<Utc>,
        draw: f64,
    ) -> (Outcome, Option<Window>, Step) {
        let (outcome, window) = ending.outcome();
        self.posted = true;
        self.wait_for(ending.retry_after(), now);
        self.progress.doubt = window.map(|window| Doubt { since: now, window });
        self.progress.verifications = 0;
        let step = match outcome {
            Outcome::Posted => Step::Complete,
            Outcome::Refused => Step::Fail(Failure::Refused),
            // At once: where the failure came after the write, this costs one round trip, no backoff.
            Outcome::Unknown => Step::Verify,
            Outcome::NotSent => {
                self.progress.attempts = self.progress.attempts.saturating_sub(1);
                // Attempts do not grow by it, claims do.
                self.retry(now + self.policy.backoff.delay(self.progress.claims, draw))
            }
        };
        (outcome, window, step)
    }

    /// What to do after a verification that was sent at `started_at` and asked us to stay away for
    /// `retry_after`. `draw` is uniform from 0 to 1.
    pub fn after_verification(
        &mut self,
        finding: Finding,
        retry_after: Option<Duration>,
        started_at: DateTime<Utc>,
        now: DateTime<Utc>,
        draw: f64,
    ) -> Step {
        self.wait_for(retry_after, now);
        self.progress.verifications += 1;
        let Progress { attempts, verifications, doubt, .. } = self.progress;
        let Some(doubt) = doubt else {
            // Nothing was ever sent that a verification could be about.
            return Step::PostAgain { at: now };
        };
        let attempts_left = attempts < self.policy.max_attempts;
        let proof_at = doubt.since + self.policy.proof_after(doubt.window);
        let backoff = self.policy.backoff.delay(attempts, draw);
        match finding {
            Finding::Found => Step::Complete,
            Finding::Mismatch => Step::InDoubt { reason: DoubtReason::Mismatch, at: None },
            Finding::Absent if started_at >= proof_at => match attempts_left {
                // A turn that only verifies has waited already.
                true => Step::PostAgain {
                    at: self.not_before(if self.posted { now + backoff } else { now }),
                },
                false => Step::Fail(Failure::ProvenAbsent),
            },
            // Too early to prove anything: ask again when it can, which is when the next POST may
            // leave.
            Finding::Absent if attempts_left => self.retry(proof_at.max(now + backoff)),
            Finding::Absent => self.in_doubt(proof_at.max(now)),
            Finding::Failed if attempts_left => {
                self.retry(now + self.policy.backoff.delay(verifications, draw))
            }
            Finding::Failed => {
                self.in_doubt(now + self.policy.in_doubt_backoff.delay(verifications, draw))
            }
        }
    }

    fn wait_for(&mut self, retry_after: Option<Duration>, now: DateTime<Utc>) {
        let until = retry_after.map(|time| now + time.min(MAX_RETRY_AFTER));
        self.not_before = self.not_before.max(until);
    }

    fn not_before(&self, at: DateTime<Utc>) -> DateTime<Utc> {
        self.not_before.map_or(at, |not_before| at.max(not_before))
    }

    fn retry(&self, at: DateTime<Utc>) -> Step {
        Step::Retry { at: self.not_before(at) }
    }

    fn in_doubt(&self, at: DateTime<Utc>) -> Step {
        let at = Some(self.not_before(at));
        Step::InDoubt { reason: DoubtReason::OutcomeUnknown, at }
    }
}

/// How often in a row a transaction's worker may be lost over it before it is set aside, where the
/// policy does not allow more attempts than that.
pub const MIN_WORKER_DEATHS: u32 = 5;

impl Policy {
    /// How often in a row a transaction's worker may be lost over it. One that was lost so often is
    /// set aside, `in_doubt`, for a person: what kills its workers must not take the others along.
    pub fn max_worker_deaths(&self) -> u32 {
        self.max_attempts.max(MIN_WORKER_DEATHS)
    }
}

/// How the `error` of a transaction that was set aside begins.
pub const QUARANTINED: &str = "its worker stopped over it";

/// When a transaction comes back whose worker was lost over it `losses` times in a row before: at
/// once the first time, then ever later.
pub fn delay_after_worker_death(losses: u32) -> Duration {
    Duration::from_secs(losses.min(60).into())
}
