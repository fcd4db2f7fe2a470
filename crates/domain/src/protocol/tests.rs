use chrono::TimeDelta;
use proptest::prelude::*;

use super::*;

const POLICY: Policy = Policy {
    max_attempts: 3,
    timeout: Duration::from_secs(10),
    settle: Duration::from_secs(30),
    visibility: Duration::from_secs(1),
    backoff: Backoff { base: Duration::from_millis(500), max: Duration::from_secs(60) },
    in_doubt_backoff: Backoff { base: Duration::from_secs(5), max: Duration::from_secs(600) },
};

const FRESH: Progress =
    Progress { attempts: 0, doubt: None, verifications: 0, claims: 1, not_before: None };

fn at(second: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::seconds(second)
}

fn doubted(attempts: u32, window: Window) -> Progress {
    Progress { attempts, doubt: Some(Doubt { since: at(100), window }), verifications: 1, ..FRESH }
}

/// A verification sent and answered at `second`, with no POST made in this claim.
fn verified(finding: Finding, progress: &Progress, second: i64) -> Step {
    after_verification(finding, at(second), progress, &POLICY, at(second), false, 0.5)
}

#[test]
fn a_fresh_transaction_is_posted() {
    assert_eq!(on_claim(&FRESH, &POLICY), Step::Post);
}

#[test]
fn verification_comes_before_the_next_post() {
    assert_eq!(on_claim(&doubted(1, Window::Settle), &POLICY), Step::Verify);
    assert_eq!(on_claim(&doubted(3, Window::Settle), &POLICY), Step::Verify);
}

#[test]
fn absence_allows_the_next_post_only_when_its_window_has_passed() {
    let settle = doubted(1, Window::Settle);
    // A write at the end of the settle window may be missed for the visibility window.
    assert_eq!(verified(Finding::Absent, &settle, 130), Step::Retry { at: at(131) });
    assert_eq!(verified(Finding::Absent, &settle, 131), Step::Post);
    let visibility = doubted(1, Window::Visibility);
    assert!(
        matches!(verified(Finding::Absent, &visibility, 100), Step::Retry { at: due } if due >= at(101))
    );
    assert_eq!(verified(Finding::Absent, &visibility, 101), Step::Post);
}

#[test]
fn an_absence_counts_from_when_the_question_was_sent() {
    let step = after_verification(
        Finding::Absent,
        at(130),
        &doubted(1, Window::Settle),
        &POLICY,
        at(140),
        false,
        0.5,
    );
    assert!(matches!(step, Step::Retry { .. }), "{step:?}");
}

#[test]
fn a_claim_posts_once() {
    let progress = doubted(1, Window::Visibility);
    let step = after_verification(Finding::Absent, at(200), &progress, &POLICY, at(200), true, 0.5);
    assert!(matches!(step, Step::Retry { .. }), "{step:?}");
}

#[test]
fn a_found_entry_completes_at_once() {
    assert_eq!(verified(Finding::Found, &doubted(1, Window::Settle), 100), Step::Complete);
}

#[test]
fn a_found_entry_that_is_not_ours_is_for_a_person() {
    let step = verified(Finding::Mismatch, &doubted(1, Window::Settle), 100);
    assert_eq!(step, Step::InDoubt { reason: DoubtReason::Mismatch, at: None });
}

#[test]
fn with_no_attempts_left_only_proven_absence_fails() {
    let last = doubted(3, Window::Settle);
    assert_eq!(verified(Finding::Absent, &last, 131), Step::Fail(Failure::ProvenAbsent));
    for step in [verified(Finding::Absent, &last, 130), verified(Finding::Failed, &last, 500)] {
        assert!(
            matches!(step, Step::InDoubt { reason: DoubtReason::OutcomeUnknown, at: Some(_) }),
            "{step:?}"
        );
    }
}

#[test]
fn what_was_not_sent_is_retried_ever_later_and_never_before_the_service_asked_for() {
    let at_claim = |claims| {
        let progress = Progress { claims, ..FRESH };
        after_post(Outcome::NotSent, &progress, &POLICY, at(0), 1.0)
    };
    assert_eq!(at_claim(2), Step::Retry { at: at(1) });
    assert_eq!(at_claim(20), Step::Retry { at: at(60) });
    let asked = Progress { not_before: Some(at(90)), ..FRESH };
    let step = after_post(Outcome::NotSent, &asked, &POLICY, at(0), 1.0);
    assert_eq!(step, Step::Retry { at: at(90) });
    let asked = Progress { not_before: Some(at(500)), ..doubted(1, Window::Visibility) };
    assert_eq!(verified(Finding::Absent, &asked, 100), Step::Retry { at: at(500) });
}

proptest! {
    #[test]
    fn a_failed_verification_never_leads_to_a_post_or_an_end(
        attempts in 1u32..6, verifications in 0u32..50, second in 100i64..10_000, draw in 0.0f64..1.0,
        posted in any::<bool>(), settle in any::<bool>(),
    ) {
        let window = if settle { Window::Settle } else { Window::Visibility };
        let progress = Progress { verifications, ..doubted(attempts, window) };
        let step = after_verification(
            Finding::Failed, at(second), &progress, &POLICY, at(second), posted, draw,
        );
        let waits = matches!(
            step,
            Step::Retry { .. } | Step::InDoubt { reason: DoubtReason::OutcomeUnknown, at: Some(_) }
        );
        prop_assert!(waits, "{step:?}");
    }

    #[test]
    fn nothing_in_doubt_is_posted_within_its_window(
        attempts in 1u32..3, second in 100i64..131, draw in 0.0f64..1.0,
    ) {
        let progress = doubted(attempts, Window::Settle);
        for finding in Finding::ALL {
            let step = after_verification(
                finding, at(second), &progress, &POLICY, at(second), false, draw,
            );
            prop_assert_ne!(step, Step::Post);
        }
    }
}
