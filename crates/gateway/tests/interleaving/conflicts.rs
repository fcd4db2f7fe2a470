//! Which actions can compete for a transaction, and which of them wins.

use crate::{
    action::Action::{
        Cancel, Claim, Execute, Reclaim, ReclaimAndClaim, Record, Release, ResolveCompleted,
        ResolveFailed, Retry, SettleJob, Verify,
    },
    fixture::Start,
    pair::{Pair, all},
    posting_service::{
        Post::{Broken, Entered, EnteredThenBroken, NotWritten, Refused},
        Verification::{Failed, Honest, Mismatch},
    },
};

#[tokio::test]
async fn contention_for_a_due_transaction_has_one_winner() {
    let start = Start::Due;
    all([
        Pair::new(start, [Claim, Claim], ["claimed", "not due"], ["not due", "claimed"]),
        Pair::either(start, [Claim, Verify], ["claimed", "not due"]),
        Pair::new(start, [Claim, Cancel], ["claimed", "not permitted"], ["not due", "done"]),
        Pair::new(start, [Claim, Retry], ["claimed", "not permitted"], ["claimed", "done"]),
        // A transaction that is pending again has been sent meanwhile.
        Pair::new(start, [Cancel, Execute], ["done", "not due"], ["not permitted", "executed"]),
        Pair::new(start, [Cancel, Cancel], ["done", "not permitted"], ["not permitted", "done"]),
        Pair::new(start, [Cancel, Retry], ["done", "not permitted"], ["done", "done"]),
        Pair::either(start, [Retry, Retry], ["done", "done"]),
    ])
    .await;
}

#[tokio::test]
async fn settling_a_job_does_not_disturb_other_actions() {
    all([
        Pair::either(Start::Due, [SettleJob, SettleJob], ["settled", "settled"]),
        Pair::either(Start::Due, [SettleJob, Claim], ["settled", "claimed"]),
        Pair::either(Start::Due, [SettleJob, Execute], ["settled", "executed"]),
        Pair::either(Start::Due, [SettleJob, Cancel], ["settled", "done"]),
        Pair::either(Start::Later, [SettleJob, Retry], ["settled", "done"]),
        Pair::either(Start::Doubtful, [SettleJob, Verify], ["settled", "claimed"]),
        Pair::either(Start::InDoubt, [SettleJob, ResolveFailed], ["settled", "done"]),
        Pair::either(Start::InDoubt, [SettleJob, Retry], ["settled", "done"]),
    ])
    .await;
}

#[tokio::test]
async fn contention_for_a_due_verification_has_one_winner() {
    let start = Start::Doubtful;
    all([
        Pair::new(start, [Verify, Verify], ["claimed", "not due"], ["not due", "claimed"]),
        Pair::either(start, [Verify, Claim], ["claimed", "not due"]),
        Pair::new(start, [Verify, Retry], ["claimed", "not permitted"], ["claimed", "done"]),
        Pair::either(start, [Verify, Cancel], ["claimed", "not permitted"]),
    ])
    .await;
}

#[tokio::test]
async fn contention_for_the_claim_of_a_dead_worker_has_one_winner() {
    let start = Start::Orphaned;
    all([
        Pair::new(start, [Reclaim, Reclaim], ["reclaimed", "nothing"], ["nothing", "reclaimed"]),
        Pair::new(
            start,
            [Reclaim, ReclaimAndClaim],
            ["reclaimed", "claimed"],
            ["nothing", "reclaimed and claimed"],
        ),
        Pair::either(start, [Reclaim, Verify], ["reclaimed", "not due"]),
        Pair::either(start, [Reclaim, Claim], ["reclaimed", "not due"]),
        Pair::either(start, [Reclaim, Retry], ["reclaimed", "not permitted"]),
        Pair::either(start, [Reclaim, Cancel], ["reclaimed", "not permitted"]),
        Pair::either(start, [Reclaim, SettleJob], ["reclaimed", "settled"]),
    ])
    .await;
}

#[tokio::test]
async fn the_result_of_a_post_is_recorded_or_its_claim_is_reclaimed() {
    let taken_over = ["taken over", "reclaimed"];
    let pair = |post| {
        Pair::new(Start::Posting(post), [Record, Reclaim], ["recorded", "nothing"], taken_over)
    };
    let ended = [Entered, Refused, NotWritten].map(pair);
    // The end of the attempt is recorded before it is verified; the claim still holds then.
    let verified = [Broken, EnteredThenBroken].map(|post| pair(post).in_between(taken_over));
    let again = Start::PostingAgain(Entered);
    let again = Pair::new(again, [Record, Reclaim], ["recorded", "nothing"], taken_over);
    all(ended.into_iter().chain(verified).chain([again])).await;
}

#[tokio::test]
async fn only_the_current_claim_records_a_result() {
    let start = Start::Overtaken;
    all([
        Pair::either(start, [Record, Record], ["taken over", "recorded"]),
        Pair::either(start, [Record, Record], ["recorded", "taken over"]),
    ])
    .await;
}

#[tokio::test]
async fn the_result_of_a_post_wins_over_other_actions_unless_its_claim_was_released() {
    let releases = |post| {
        Pair::new(
            Start::Posting(post),
            [Record, Release],
            ["recorded", "nothing"],
            ["taken over", "released"],
        )
    };
    let broken = Start::Posting(Broken);
    all([
        releases(Entered),
        releases(Refused),
        Pair::either(Start::Posting(NotWritten), [Record, Cancel], ["recorded", "not permitted"]),
        Pair::either(Start::Posting(Refused), [Record, Retry], ["recorded", "not permitted"]),
        Pair::either(Start::Posting(NotWritten), [Record, Claim], ["recorded", "not due"]),
        Pair::either(Start::Posting(NotWritten), [Record, SettleJob], ["recorded", "settled"]),
        Pair::either(broken, [Record, SettleJob], ["recorded", "settled"]),
    ])
    .await;
}

#[tokio::test]
async fn a_finding_is_recorded_or_its_claim_is_reclaimed() {
    let findings =
        [(Broken, Honest), (EnteredThenBroken, Honest), (Broken, Failed), (Broken, Mismatch)];
    let pairs = findings.into_iter().flat_map(|(post, finding)| {
        [Start::VerifyingAfterPost(post, finding), Start::Verifying(post, finding)].map(|start| {
            let taken_over = ["taken over", "reclaimed"];
            Pair::new(start, [Record, Reclaim], ["recorded", "nothing"], taken_over)
        })
    });
    all(pairs).await;
}

#[tokio::test]
async fn contention_for_a_transaction_in_doubt_has_consistent_outcomes() {
    let start = Start::InDoubt;
    all([
        Pair::new(start, [Verify, Verify], ["claimed", "not due"], ["not due", "claimed"]),
        Pair::new(start, [Verify, ResolveFailed], ["claimed", "done"], ["not due", "done"]),
        Pair::either(start, [Verify, Retry], ["claimed", "done"]),
        Pair::new(
            start,
            [ResolveCompleted, ResolveFailed],
            ["done", "not permitted"],
            ["not permitted", "done"],
        ),
        Pair::new(
            start,
            [ResolveCompleted, ResolveCompleted],
            ["done", "not permitted"],
            ["not permitted", "done"],
        ),
        Pair::new(
            start,
            [ResolveCompleted, Retry],
            ["done", "not permitted"],
            ["not permitted", "done"],
        ),
        Pair::new(start, [ResolveFailed, Retry], ["done", "done"], ["not permitted", "done"]),
        Pair::either(start, [Retry, Retry], ["done", "done"]),
        Pair::either(Start::Failed, [Retry, Retry], ["done", "done"]),
        Pair::either(Start::Failed, [Retry, Cancel], ["done", "not permitted"]),
    ])
    .await;
}

#[tokio::test]
async fn a_verification_in_doubt_and_an_operator_do_not_overwrite_each_other() {
    // The finding of the verification, and whether it leaves the operator something to resolve or
    // to retry.
    let findings = [
        (EnteredThenBroken, Honest, "not permitted", "not permitted"),
        (Broken, Honest, "not permitted", "done"),
        (Broken, Failed, "done", "done"),
        (Broken, Mismatch, "done", "done"),
    ];
    let pairs = findings.into_iter().flat_map(|(post, finding, resolved, retried)| {
        let start = Start::VerifyingInDoubt(post, finding);
        let pair = |action, after| {
            Pair::new(start, [Record, action], ["recorded", after], ["taken over", "done"])
        };
        [pair(ResolveCompleted, resolved), pair(Retry, retried)]
    });
    let start = Start::VerifyingInDoubt(Broken, Failed);
    let others = [
        Pair::new(start, [Record, Reclaim], ["recorded", "nothing"], ["taken over", "reclaimed"]),
        Pair::either(start, [Record, SettleJob], ["recorded", "settled"]),
    ];
    all(pairs.chain(others)).await;
}
