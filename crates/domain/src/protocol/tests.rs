use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;

use super::{backoff::Backoff, *};

const POLICY: Policy = Policy {
    max_attempts: 3,
    timeout: Duration::from_secs(10),
    settle: Duration::from_secs(30),
    visibility: Duration::from_secs(1),
    backoff: Backoff { base: Duration::from_millis(500), max: Duration::from_secs(60) },
    in_doubt_backoff: Backoff { base: Duration::from_secs(5), max: Duration::from_secs(600) },
    doubt_after: Duration::from_secs(300),
    confirms_posts: false,
};

const FRESH: Progress =
    Progress { attempts: 1, begun: true, doubt: None, verifications: 0, claims: 1 };

fn at(second: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::seconds(second)
}

fn doubted(attempts: u32, window: Window) -> Progress {
    let doubt = Some(Doubt { since: at(100), window });
    Progress { attempts, begun: false, doubt, verifications: 0, claims: 2 }
}

fn begin(progress: Progress) -> Execution {
    Execution::begin(progress, POLICY).0
}

/// A verification sent and answered at `second`, in an execution of its own.
fn verified(finding: Finding, progress: Progress, second: i64) -> Step {
    begin(progress).after_verification(finding, None, at(second), at(second), 0.5)
}

fn answered(status: u16, retry_after: Option<Duration>) -> Ending {
    Ending::Answered { status, body: AnswerBody::Agrees, retry_after }
}

#[test]
fn the_attempt_that_a_claim_has_begun_is_posted_even_if_it_is_the_last() {
    for attempts in 1..=3 {
        assert_eq!(Execution::begin(Progress { attempts, ..FRESH }, POLICY).1, Step::Post);
    }
}

#[test]
fn an_attempt_begins_only_if_nothing_is_in_doubt_and_attempts_are_left() {
    let doubt = Some(Doubt { since: at(0), window: Window::Settle });
    assert!(begins_attempt(None, 2, &POLICY));
    assert!(!begins_attempt(None, 3, &POLICY));
    assert!(!begins_attempt(doubt, 0, &POLICY));
}

#[test]
fn verification_comes_before_the_next_post() {
    for attempts in [1, 3] {
        assert_eq!(Execution::begin(doubted(attempts, Window::Settle), POLICY).1, Step::Verify);
    }
}

#[test]
fn a_transaction_with_no_attempts_and_no_doubt_left_is_proven_absent() {
    let progress = Progress { attempts: 3, begun: false, ..FRESH };
    assert_eq!(Execution::begin(progress, POLICY).1, Step::Fail(Failure::ProvenAbsent));
}

#[test]
fn an_absence_allows_the_next_post_only_after_its_window() {
    let settle = doubted(1, Window::Settle);
    // A verification may miss a write at the end of the settle window for the visibility window.
    assert_eq!(verified(Finding::Absent, settle, 130), Step::Retry { at: at(131) });
    assert_eq!(verified(Finding::Absent, settle, 131), Step::PostAgain { at: at(131) });
    let visibility = doubted(1, Window::Visibility);
    assert!(
        matches!(verified(Finding::Absent, visibility, 100), Step::Retry { at: due } if due >= at(101))
    );
    assert_eq!(verified(Finding::Absent, visibility, 101), Step::PostAgain { at: at(101) });
}

#[test]
fn an_absence_counts_from_the_time_the_query_was_sent() {
    let mut execution = begin(doubted(1, Window::Settle));
    let step = execution.after_verification(Finding::Absent, None, at(130), at(140), 0.5);
    assert!(matches!(step, Step::Retry { .. }), "{step:?}");
}

#[test]
fn an_execution_that_has_posted_backs_off_before_the_next_post() {
    let mut execution = begin(FRESH);
    let (outcome, window, step) = execution.after_post(&answered(500, None), at(100), 1.0);
    assert_eq!(outcome, Outcome::Unknown);
    assert_eq!((window, step), (Some(Window::Visibility), Step::Verify));
    let step = execution.after_verification(Finding::Absent, None, at(101), at(101), 1.0);
    assert_eq!(step, Step::PostAgain { at: at(101) + TimeDelta::milliseconds(500) });
}

#[test]
fn a_found_entry_completes_the_transaction_at_once() {
    assert_eq!(verified(Finding::Found, doubted(1, Window::Settle), 100), Step::Complete);
}

#[test]
fn a_found_entry_that_differs_waits_for_an_operator() {
    let step = verified(Finding::Mismatch, doubted(1, Window::Settle), 100);
    assert_eq!(step, Step::InDoubt { reason: DoubtReason::Mismatch, at: None });
}

#[test]
fn with_no_attempts_left_only_a_proven_absence_fails_the_transaction() {
    let last = doubted(3, Window::Settle);
    assert_eq!(verified(Finding::Absent, last, 131), Step::Fail(Failure::ProvenAbsent));
    for step in [verified(Finding::Absent, last, 130), verified(Finding::Failed, last, 500)] {
        assert!(
            matches!(step, Step::InDoubt { reason: DoubtReason::OutcomeUnknown, at: Some(_) }),
            "{step:?}"
        );
    }
}

#[test]
fn verification_that_fails_for_long_makes_it_in_doubt_while_attempts_are_left() {
    let progress = Progress { verifications: 2, ..doubted(1, Window::Settle) };
    assert!(matches!(verified(Finding::Failed, progress, 399), Step::Retry { .. }));
    // At the pace of transactions in doubt: the third failure in a row, and half of its longest delay.
    let in_doubt = Step::InDoubt { reason: DoubtReason::VerificationFails, at: Some(at(410)) };
    assert_eq!(verified(Finding::Failed, progress, 400), in_doubt);
    // An answer still decides.
    assert_eq!(verified(Finding::Found, progress, 500), Step::Complete);
    assert_eq!(verified(Finding::Absent, progress, 500), Step::PostAgain { at: at(500) });
}

#[test]
fn an_accepted_post_is_verified_after_a_while_and_posted_again_only_after_the_settle_window() {
    let mut execution = begin(FRESH);
    let (outcome, window, step) = execution.after_post(&answered(202, None), at(100), 1.0);
    assert_eq!((outcome, window), (Outcome::Unknown, Some(Window::Settle)));
    assert_eq!(step, Step::Retry { at: at(101) });
    let (.., step) =
        begin(FRESH).after_post(&answered(202, Some(Duration::from_secs(9))), at(100), 1.0);
    assert_eq!(step, Step::Retry { at: at(109) });
}

#[test]
fn a_success_that_contradicts_is_verified_at_once() {
    let ending = Ending::Answered { status: 200, body: AnswerBody::Contradicts, retry_after: None };
    let (outcome, _, step) = begin(FRESH).after_post(&ending, at(100), 1.0);
    assert_eq!((outcome, step), (Outcome::Unknown, Step::Verify));
}

#[test]
fn where_posts_are_confirmed_a_success_is_verified_before_it_counts() {
    let policy = Policy { confirms_posts: true, ..POLICY };
    let mut execution = Execution::begin(FRESH, policy).0;
    let (outcome, window, step) = execution.after_post(&answered(201, None), at(100), 0.0);
    assert_eq!((outcome, window), (Outcome::Unknown, Some(Window::Visibility)));
    assert_eq!(step, Step::Verify);
    let step = execution.after_verification(Finding::Absent, None, at(100), at(100), 0.0);
    assert_eq!(step, Step::Retry { at: at(101) });
}

#[test]
fn an_attempt_that_was_not_sent_is_retried_with_growing_delays_and_does_not_count() {
    for (claims, second) in [(2, 1), (20, 60)] {
        let mut execution = begin(Progress { claims, ..FRESH });
        let (outcome, window, step) = execution.after_post(&Ending::NotWritten, at(0), 1.0);
        assert_eq!((outcome, window), (Outcome::NotSent, None));
        assert_eq!(step, Step::Retry { at: at(second) });
        assert_eq!(execution.progress.attempts, 0);
    }
}

#[test]
fn retry_after_is_honoured_up_to_its_maximum() {
    let ninety = Some(Duration::from_secs(90));
    let (.., step) = begin(FRESH).after_post(&answered(403, ninety), at(0), 1.0);
    assert_eq!(step, Step::Retry { at: at(90) });

    let mut execution = begin(FRESH);
    execution.after_post(&answered(429, ninety), at(0), 1.0);
    let step = execution.after_verification(Finding::Absent, None, at(2), at(2), 1.0);
    assert_eq!(step, Step::PostAgain { at: at(90) });

    let mut execution = begin(doubted(1, Window::Settle));
    let step = execution.after_verification(Finding::Failed, ninety, at(200), at(200), 1.0);
    assert_eq!(step, Step::Retry { at: at(290) });

    let mut execution = begin(doubted(3, Window::Settle));
    let day = Some(Duration::from_secs(86_400));
    let step = execution.after_verification(Finding::Failed, day, at(200), at(200), 1.0);
    let hour = Some(at(200 + 3600));
    assert_eq!(step, Step::InDoubt { reason: DoubtReason::OutcomeUnknown, at: hour });
}

#[test]
fn as_many_worker_deaths_as_attempts_are_allowed_but_never_fewer_than_the_minimum() {
    assert_eq!(Policy { max_attempts: 20, ..POLICY }.max_worker_deaths(), 20);
    assert_eq!(Policy { max_attempts: 1, ..POLICY }.max_worker_deaths(), MIN_WORKER_DEATHS);
    assert_eq!(delay_after_worker_death(0), Duration::ZERO);
    assert_eq!(delay_after_worker_death(1000), Duration::from_secs(60));
}

proptest! {
    #[test]
    fn a_failed_verification_never_leads_to_a_post_or_a_final_state(
        attempts in 1u32..6, verifications in 0u32..50, second in 100i64..10_000, draw in 0.0f64..1.0,
        settle in any::<bool>(),
    ) {
        let window = if settle { Window::Settle } else { Window::Visibility };
        let mut execution = begin(Progress { verifications, ..doubted(attempts, window) });
        let step = execution.after_verification(Finding::Failed, None, at(second), at(second), draw);
        let waits = matches!(step, Step::Retry { .. } | Step::InDoubt { at: Some(_), .. });
        prop_assert!(waits, "{step:?}");
    }

    #[test]
    fn no_post_follows_an_attempt_in_doubt_within_its_window(
        attempts in 1u32..3, second in 100i64..131, draw in 0.0f64..1.0,
    ) {
        for finding in Finding::ALL {
            let mut execution = begin(doubted(attempts, Window::Settle));
            let step = execution.after_verification(finding, None, at(second), at(second), draw);
            let posts = matches!(step, Step::Post | Step::PostAgain { .. });
            prop_assert!(!posts, "{finding:?}: {step:?}");
        }
    }
}
