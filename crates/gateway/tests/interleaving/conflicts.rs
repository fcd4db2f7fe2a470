//! Who can meet over a transaction, and who wins.

use crate::{
    action::Move::{
        Cancel, Claim, Finish, GiveBack, Recover, ResolveCompleted, ResolveFailed, Retry, Settle,
        TakeOver, Turn, Verify,
    },
    fixture::Start,
    pair::{Pair, all},
    posting_service::{
        Look::{Failed, Honest, Mismatch},
        Post::{Broken, Entered, EnteredThenBroken, NotWritten, Refused},
    },
};

#[tokio::test]
async fn over_a_transaction_that_is_due() {
    let start = Start::Due;
    all([
        Pair::new(start, [Claim, Claim], ["claimed", "not due"], ["not due", "claimed"]),
        Pair::either(start, [Claim, Verify], ["claimed", "not due"]),
        Pair::new(start, [Claim, Cancel], ["claimed", "not permitted"], ["not due", "done"]),
        Pair::new(start, [Claim, Retry], ["claimed", "not permitted"], ["claimed", "done"]),
        // What was pending, and is pending again, has been sent meanwhile.
        Pair::new(start, [Cancel, Turn], ["done", "not due"], ["not permitted", "had its turn"]),
        Pair::new(start, [Cancel, Cancel], ["done", "not permitted"], ["not permitted", "done"]),
        Pair::new(start, [Cancel, Retry], ["done", "not permitted"], ["done", "done"]),
        Pair::either(start, [Retry, Retry], ["done", "done"]),
    ])
    .await;
}

#[tokio::test]
async fn over_the_job_of_a_transaction_that_may_not_be_posted_now() {
    all([
        Pair::either(Start::Due, [Settle, Settle], ["settled", "settled"]),
        Pair::either(Start::Due, [Settle, Claim], ["settled", "claimed"]),
        Pair::either(Start::Due, [Settle, Turn], ["settled", "had its turn"]),
        Pair::either(Start::Due, [Settle, Cancel], ["settled", "done"]),
        Pair::either(Start::Later, [Settle, Retry], ["settled", "done"]),
        Pair::either(Start::Doubtful, [Settle, Verify], ["settled", "claimed"]),
        Pair::either(Start::InDoubt, [Settle, ResolveFailed], ["settled", "done"]),
        Pair::either(Start::InDoubt, [Settle, Retry], ["settled", "done"]),
    ])
    .await;
}

#[tokio::test]
async fn over_a_transaction_that_waits_for_its_verification() {
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
async fn over_the_claim_of_a_dead_worker() {
    let start = Start::Orphaned;
    all([
        Pair::new(start, [Recover, Recover], ["took back", "nothing"], ["nothing", "took back"]),
        Pair::new(start, [Recover, TakeOver], ["took back", "claimed"], ["nothing", "took over"]),
        Pair::either(start, [Recover, Verify], ["took back", "not due"]),
        Pair::either(start, [Recover, Claim], ["took back", "not due"]),
        Pair::either(start, [Recover, Retry], ["took back", "not permitted"]),
        Pair::either(start, [Recover, Cancel], ["took back", "not permitted"]),
        Pair::either(start, [Recover, Settle], ["took back", "settled"]),
    ])
    .await;
}

#[tokio::test]
async fn over_what_a_post_has_come_to_and_a_worker_that_is_taken_for_dead() {
    let taken_over = ["taken over", "took back"];
    let pair =
        |post| Pair::new(Start::Posting(post), [Finish, Recover], ["took", "nothing"], taken_over);
    let ended = [Entered, Refused, NotWritten].map(pair);
    // That the attempt has ended is told before it is verified; the claim still holds then.
    let verified = [Broken, EnteredThenBroken].map(|post| pair(post).in_between(taken_over));
    let again = Start::PostingAgain(Entered);
    let again = Pair::new(again, [Finish, Recover], ["took", "nothing"], taken_over);
    all(ended.into_iter().chain(verified).chain([again])).await;
}

#[tokio::test]
async fn over_what_a_post_has_come_to_and_who_has_taken_it_over() {
    let start = Start::Overtaken;
    all([
        Pair::either(start, [Finish, Finish], ["taken over", "took"]),
        Pair::either(start, [Finish, Finish], ["took", "taken over"]),
    ])
    .await;
}

#[tokio::test]
async fn over_what_a_post_has_come_to_and_others() {
    let gives_back = |post| {
        Pair::new(
            Start::Posting(post),
            [Finish, GiveBack],
            ["took", "nothing"],
            ["taken over", "gave back"],
        )
    };
    let broken = Start::Posting(Broken);
    all([
        gives_back(Entered),
        gives_back(Refused),
        Pair::either(Start::Posting(NotWritten), [Finish, Cancel], ["took", "not permitted"]),
        Pair::either(Start::Posting(Refused), [Finish, Retry], ["took", "not permitted"]),
        Pair::either(Start::Posting(NotWritten), [Finish, Claim], ["took", "not due"]),
        Pair::either(Start::Posting(NotWritten), [Finish, Settle], ["took", "settled"]),
        Pair::either(broken, [Finish, Settle], ["took", "settled"]),
    ])
    .await;
}

#[tokio::test]
async fn over_what_a_verification_has_shown_and_a_worker_that_is_taken_for_dead() {
    let looks =
        [(Broken, Honest), (EnteredThenBroken, Honest), (Broken, Failed), (Broken, Mismatch)];
    let pairs = looks.into_iter().flat_map(|(post, look)| {
        [Start::Checking(post, look), Start::Asking(post, look)].map(|start| {
            let taken_over = ["taken over", "took back"];
            Pair::new(start, [Finish, Recover], ["took", "nothing"], taken_over)
        })
    });
    all(pairs).await;
}

#[tokio::test]
async fn over_a_transaction_that_is_in_doubt() {
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
async fn over_a_verification_of_what_is_in_doubt_and_a_person() {
    // What the verification shows, and whether it leaves a person something to resolve or to retry.
    let looks = [
        (EnteredThenBroken, Honest, "not permitted", "not permitted"),
        (Broken, Honest, "not permitted", "done"),
        (Broken, Failed, "done", "done"),
        (Broken, Mismatch, "done", "done"),
    ];
    let pairs = looks.into_iter().flat_map(|(post, look, resolved, retried)| {
        let start = Start::AskingInDoubt(post, look);
        let pair = |rival, after| {
            Pair::new(start, [Finish, rival], ["took", after], ["taken over", "done"])
        };
        [pair(ResolveCompleted, resolved), pair(Retry, retried)]
    });
    let start = Start::AskingInDoubt(Broken, Failed);
    let others = [
        Pair::new(start, [Finish, Recover], ["took", "nothing"], ["taken over", "took back"]),
        Pair::either(start, [Finish, Settle], ["took", "settled"]),
    ];
    all(pairs.chain(others)).await;
}
