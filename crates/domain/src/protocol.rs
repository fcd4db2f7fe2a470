//! What comes next for a transaction, given what is known of it and the time.
//!
//! The engine asks [`on_claim`] when it has claimed a transaction, [`after_post`] when a POST has
//! ended and [`after_verification`] when a verification has, and carries out the answer. Within one
//! claim at most one POST is made.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::{Finding, Outcome, Window, backoff::Backoff};

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

/// What is known of a transaction's way so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Attempts that count. An attempt counts from its claim on, and is given back where it is
    /// proven not to have been sent.
    pub attempts: u32,
    /// The latest attempt, where it may have reached the posting service.
    pub doubt: Option<Doubt>,
    /// Verifications since the latest attempt.
    pub verifications: u32,
    /// Claims in all, this one included.
    pub claims: u32,
    /// Until when the posting service asked, in this claim, to be left alone.
    pub not_before: Option<DateTime<Utc>>,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Begin an attempt: write its row, then POST.
    Post,
    /// Ask the posting service whether it has the id.
    Verify,
    /// Be `pending` until then, and be claimed again.
    Retry {
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

/// What to do with a transaction that was just claimed, which means that it was due.
pub fn on_claim(progress: &Progress, policy: &Policy) -> Step {
    match progress.doubt {
        Some(_) => Step::Verify,
        None if progress.attempts < policy.max_attempts => Step::Post,
        None => Step::Fail(Failure::ProvenAbsent),
    }
}

/// What to do after a POST. `progress` counts it, unless it was not sent, and holds the doubt it left,
/// if any; `draw` is uniform from 0 to 1.
pub fn after_post(
    outcome: Outcome,
    progress: &Progress,
    policy: &Policy,
    now: DateTime<Utc>,
    draw: f64,
) -> Step {
    match outcome {
        Outcome::Posted => Step::Complete,
        Outcome::Refused => Step::Fail(Failure::Refused),
        // At once: where the failure came after the write, this costs one round trip, no backoff.
        Outcome::Unknown => Step::Verify,
        // Attempts do not grow by it, claims do.
        Outcome::NotSent => retry(progress, now + policy.backoff.delay(progress.claims, draw)),
    }
}

/// What to do after a verification that was sent at `started_at`. `progress` counts it;
/// `posted_in_this_claim` tells whether this claim has made its POST; `draw` is uniform from 0 to 1.
pub fn after_verification(
    finding: Finding,
    started_at: DateTime<Utc>,
    progress: &Progress,
    policy: &Policy,
    now: DateTime<Utc>,
    posted_in_this_claim: bool,
    draw: f64,
) -> Step {
    let Some(doubt) = progress.doubt else {
        // Nothing was ever sent that a verification could be about.
        return on_claim(progress, policy);
    };
    let attempts_left = progress.attempts < policy.max_attempts;
    let proof_at = doubt.since + policy.proof_after(doubt.window);
    match finding {
        Finding::Found => Step::Complete,
        Finding::Mismatch => Step::InDoubt { reason: DoubtReason::Mismatch, at: None },
        Finding::Absent if started_at >= proof_at => match attempts_left {
            true if !posted_in_this_claim => Step::Post,
            true => retry(progress, now + policy.backoff.delay(progress.attempts, draw)),
            false => Step::Fail(Failure::ProvenAbsent),
        },
        // Too early to prove anything: ask again when it can, which is when the next POST may leave.
        Finding::Absent if attempts_left => {
            retry(progress, proof_at.max(now + policy.backoff.delay(progress.attempts, draw)))
        }
        Finding::Absent => {
            Step::InDoubt { reason: DoubtReason::OutcomeUnknown, at: Some(proof_at.max(now)) }
        }
        Finding::Failed if attempts_left => {
            retry(progress, now + policy.backoff.delay(progress.verifications, draw))
        }
        Finding::Failed => {
            let delay = policy.in_doubt_backoff.delay(progress.verifications, draw);
            Step::InDoubt { reason: DoubtReason::OutcomeUnknown, at: Some(now + delay) }
        }
    }
}

fn retry(progress: &Progress, at: DateTime<Utc>) -> Step {
    Step::Retry { at: progress.not_before.map_or(at, |not_before| at.max(not_before)) }
}

#[cfg(test)]
mod tests;
