//! What the simulation takes out, one at a time, to see whether it notices.

use std::time::Duration;

use domain::protocol::{POST_WITHIN, Policy};

/// One guard that is missing, or one rule that is broken. The comment at each says how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutation {
    /// `record` does not ask whether the fence is still that of the claim.
    NoFenceCheck,
    /// A doubt is ignored: the next POST leaves at once.
    NoVerification,
    /// The decisions know no settle window, though the posting service still settles late.
    NoSettleWindow,
    /// The decisions know no visibility window, though verifications still miss late writes.
    NoVisibilityWindow,
    /// The settle window is not followed by a visibility window.
    NoVisibilityAfterSettling,
    /// The settle window is a millisecond too short.
    SettleWindowTooShort,
    /// A verification that failed is read as "the posting service does not have it".
    FailedReadAsAbsent,
    /// An absence counts from when its answer came, not from when the question was sent.
    AbsenceCountedFromItsAnswer,
    /// A worker goes by its machine's clock instead of the database's, and it is three seconds ahead.
    ClockOfTheMachine,
    /// The client is told before the row is committed.
    AcknowledgedBeforeCommit,
    /// The attempt's row, its count and its doubt are written when it has ended.
    AttemptCommittedAfterItsPost,
    /// The attempt's doubt is written when it has ended.
    DoubtCommittedAfterItsPost,
    /// A POST leaves however long ago its attempt was asked for.
    PostLeavesAtAnyTime,
    /// The time within which a POST leaves is counted from the claim's answer.
    PostWithinCountedFromTheAnswer,
    /// The time within which a POST leaves is taken by a clock that stands still while the machine is
    /// suspended.
    ClockStandsStillInSuspension,
    /// Another worker's claim is taken back without waiting for its lease to expire.
    TakenBackAtOnce,
    /// The windows are counted from the claim, not from when the request is given up.
    DoubtCountedFromTheClaim,
    /// The windows are counted as if each POST left at its claim.
    DoubtWithoutPostWithin,
    /// What is in doubt with no attempts left is called failed.
    FailedOnUnknown,
    /// A connection that broke after the request was written is read as "not sent".
    BrokenReadAsNotSent,
    /// An attempt is counted when it has ended, so one that kills its worker is not.
    AttemptsCountedAtTheirEnd,
    /// How often a transaction has lost its worker is not counted.
    LossesNotCounted,
    /// An operator may cancel what has been sent.
    CancelledAfterSent,
    /// An operator's retry forgets that there is a doubt.
    RetryForgetsDoubt,
}

impl Mutation {
    /// What the workers decide by, where the posting service is as in `policy`.
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

    /// How long after its claim an attempt is believed to be given up.
    pub fn gives_up_within(self, policy: &Policy) -> Duration {
        match self {
            Self::DoubtCountedFromTheClaim => Duration::ZERO,
            Self::DoubtWithoutPostWithin => policy.gives_up_within() - POST_WITHIN,
            _ => policy.gives_up_within(),
        }
    }
}
