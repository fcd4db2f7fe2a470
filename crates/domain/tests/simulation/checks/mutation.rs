//! Guards that the simulation removes, one at a time, to show that the checks notice.

use std::time::Duration;

use domain::protocol::{POST_WITHIN, Policy};

/// One guard that is missing, or one rule that is broken, as the comment at each says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutation {
    /// `record` does not check the fence of the claim.
    NoFenceCheck,
    /// A doubt is ignored: the next POST leaves at once.
    NoVerification,
    /// The decisions assume no settle window, though the posting service still settles late.
    NoSettleWindow,
    /// The decisions assume no visibility window, though verifications still miss late writes.
    NoVisibilityWindow,
    /// The settle window is not followed by a visibility window.
    NoVisibilityAfterSettling,
    /// The settle window is a millisecond too short.
    SettleWindowTooShort,
    /// A failed verification is read as "the posting service does not have it".
    FailedReadAsAbsent,
    /// An absence counts from its answer instead of from the request.
    AbsenceCountedFromItsAnswer,
    /// A worker uses its machine's clock, three seconds ahead of the database's.
    ClockOfTheMachine,
    /// The client is answered before the row is committed.
    AcknowledgedBeforeCommit,
    /// The attempt's row, count and doubt are written when the attempt has ended.
    AttemptCommittedAfterItsPost,
    /// The attempt's doubt is written when the attempt has ended.
    DoubtCommittedAfterItsPost,
    /// A POST leaves however long ago its claim was requested.
    PostLeavesAtAnyTime,
    /// A POST's send deadline is counted from the answer to the claim.
    PostWithinCountedFromTheAnswer,
    /// A POST's send deadline is measured by a clock that stands still while the machine is
    /// suspended.
    ClockStandsStillInSuspension,
    /// Another worker's claim is reclaimed before its lease has expired.
    ReclaimedAtOnce,
    /// The windows are counted from the claim, not from when the request is given up.
    DoubtCountedFromTheClaim,
    /// The windows are counted as if each POST left at its claim.
    DoubtWithoutPostWithin,
    /// A transaction in doubt with no attempts left is called failed.
    FailedOnUnknown,
    /// A connection that broke after the request was written is read as "not sent".
    BrokenReadAsNotSent,
    /// An attempt is counted when it has ended, so one that kills its worker is not counted.
    AttemptsCountedAtTheirEnd,
    /// A transaction whose verification fails for long is called proven absent.
    FailedForLongReadAsAbsent,
    /// A transaction whose verification fails for long never becomes in doubt while attempts are left.
    NeverInDoubtWithAttemptsLeft,
    /// A 202 is read as posted.
    AcceptedReadAsPosted,
    /// A success that is about another transaction is read as posted.
    ContradictionReadAsPosted,
    /// The workers that a transaction has lost are not counted.
    LossesNotCounted,
    /// An operator may cancel a transaction that has been sent.
    CancelledAfterSent,
    /// An operator's retry removes the doubt.
    RetryForgetsDoubt,
}

impl Mutation {
    /// The policy by which the workers decide, where the posting service follows `policy`.
    pub fn policy(self, policy: Policy) -> Policy {
        let Policy { settle, visibility, .. } = policy;
        match self {
            Self::NoSettleWindow => Policy { settle: Duration::ZERO, ..policy },
            Self::NoVisibilityWindow => Policy { visibility: Duration::ZERO, ..policy },
            Self::NoVisibilityAfterSettling => {
                Policy { settle: settle.saturating_sub(visibility), ..policy }
            }
            Self::SettleWindowTooShort => {
                Policy { settle: settle.saturating_sub(Duration::from_millis(1)), ..policy }
            }
            _ => policy,
        }
    }

    /// How long after its claim a request is assumed to be given up.
    pub fn gives_up_within(self, policy: &Policy) -> Duration {
        match self {
            Self::DoubtCountedFromTheClaim => Duration::ZERO,
            Self::DoubtWithoutPostWithin => policy.gives_up_within() - POST_WITHIN,
            _ => policy.gives_up_within(),
        }
    }
}
