//! What verifications decide about a transaction whose outcome is unknown, and how they are recorded.

use domain::Scope;
use std::sync::Arc;

use domain::{
    Actor, AnswerBody, Circuit, Ending, Finding, Intervention, Outcome, State,
    protocol::{DoubtReason, Failure, Policy, Step},
};
use gateway::{Admission, ExecutionResult, Executor, Purpose};
use tokio_util::sync::CancellationToken;

use crate::{
    fixture::fixture,
    support::{self, POLICY, let_time_pass, stored},
};

#[tokio::test]
async fn a_failed_verification_never_leads_to_a_post() {
    let fixture = fixture().await;
    fixture.service.answers_status(500).shows(Finding::Failed);
    assert!(matches!(fixture.execute().await, ExecutionResult::Took(Step::Retry { .. })));
    for _ in 0..5 {
        let_time_pass(&fixture.pool, fixture.id, 3600).await;
        fixture.service.shows(Finding::Failed);
        assert!(matches!(fixture.execute().await, ExecutionResult::Took(Step::InDoubt { .. })));
    }
    assert_eq!(fixture.service.requests().iter().filter(|asked| **asked == "post").count(), 1);
}

#[tokio::test]
async fn verification_that_fails_for_long_makes_it_in_doubt_with_the_reason_until_one_answers() {
    for (finding, then) in [(Finding::Found, State::Completed), (Finding::Absent, State::Pending)] {
        let fixture = fixture().await;
        fixture.service.answers_status(500).shows(Finding::Failed);
        assert!(matches!(fixture.execute().await, ExecutionResult::Took(Step::Retry { .. })));
        let_time_pass(&fixture.pool, fixture.id, 290).await;
        fixture.service.shows(Finding::Failed);
        assert!(matches!(fixture.execute().await, ExecutionResult::Took(Step::Retry { .. })));
        let_time_pass(&fixture.pool, fixture.id, 10).await;
        fixture.service.shows(Finding::Failed);
        assert!(matches!(
            fixture.execute().await,
            ExecutionResult::Took(Step::InDoubt {
                reason: DoubtReason::VerificationFails,
                at: Some(_)
            })
        ));
        let transaction =
            fixture.gateway.transaction(&Scope::All, fixture.id).await.unwrap().unwrap();
        assert_eq!((transaction.status, fixture.jobs().await), (State::InDoubt, 1));
        let error = transaction.error.unwrap();
        assert!(error.contains("failed for long") && error.contains("answered 500"), "{error}");
        let_time_pass(&fixture.pool, fixture.id, 0).await;
        fixture.service.shows(finding);
        fixture.execute().await;
        assert_eq!(fixture.state().await, then);
        if then == State::Pending {
            let_time_pass(&fixture.pool, fixture.id, 0).await;
            fixture.service.answers_status(201);
            assert_eq!(fixture.execute().await, ExecutionResult::Took(Step::Complete));
        }
    }
}

#[tokio::test]
async fn an_accepted_post_is_verified_after_a_while_and_completed_only_then() {
    let fixture = fixture().await;
    fixture.service.answers_status(202);
    assert!(matches!(fixture.execute().await, ExecutionResult::Took(Step::Retry { .. })));
    assert_eq!(fixture.state().await, State::Pending);
    assert_eq!(support::purpose(&fixture.pool, fixture.id).await, Purpose::Verify);
    let error =
        fixture.gateway.transaction(&Scope::All, fixture.id).await.unwrap().unwrap().error.unwrap();
    assert!(error.contains("answered 202, not confirmed yet"), "{error}");
    // Not visible yet. Before the settle window has passed this allows no other POST.
    let_time_pass(&fixture.pool, fixture.id, 20).await;
    fixture.service.shows(Finding::Absent);
    assert!(matches!(fixture.execute().await, ExecutionResult::Took(Step::Retry { .. })));
    let_time_pass(&fixture.pool, fixture.id, 5).await;
    fixture.service.shows(Finding::Found);
    assert_eq!(fixture.execute().await, ExecutionResult::Took(Step::Complete));
    assert_eq!(fixture.service.requests(), ["post", "verify", "verify"]);
    assert_eq!(fixture.outcomes().await, [Some(Outcome::Posted)]);
}

#[tokio::test]
async fn a_success_that_contradicts_is_verified_at_once_and_never_completed_unseen() {
    let fixture = fixture().await;
    let ending = Ending::Answered { status: 200, body: AnswerBody::Contradicts, retry_after: None };
    fixture.service.answers(ending).shows(Finding::Mismatch);
    let step = Step::InDoubt { reason: DoubtReason::Mismatch, at: None };
    assert_eq!(fixture.execute().await, ExecutionResult::Took(step));
    assert_eq!(fixture.service.requests(), ["post", "verify"]);
}

#[tokio::test]
async fn where_posts_are_confirmed_each_is_verified_before_it_is_completed() {
    let fixture = fixture().await;
    let policy = Policy { confirms_posts: true, ..POLICY };
    let admission = Arc::new(Admission::new(support::LIMITS, CancellationToken::new()));
    let executor = Executor::new(
        fixture.pool.clone(),
        fixture.service.clone(),
        admission.clone(),
        policy,
        fixture.run,
    );
    // As many as would open the circuit if none of them counted as posted.
    for _ in 0..25 {
        let id = stored(&fixture.gateway).await;
        fixture.service.answers_status(201).shows(Finding::Found);
        let result = executor.execute(id, Purpose::Post, ()).await.unwrap();
        assert_eq!(result, ExecutionResult::Took(Step::Complete));
    }
    assert_eq!(fixture.service.requests(), ["post", "verify"].repeat(25));
    assert_eq!(admission.circuit(), Circuit::Closed);
    let id = stored(&fixture.gateway).await;
    fixture.service.answers_status(201).shows(Finding::Absent);
    let result = executor.execute(id, Purpose::Post, ()).await.unwrap();
    assert!(matches!(result, ExecutionResult::Took(Step::Retry { .. })), "{result:?}");
}

#[tokio::test]
async fn verifications_in_a_row_that_end_alike_are_one_entry_with_their_number_and_times() {
    let fixture = fixture().await;
    fixture.service.answers_status(500).shows(Finding::Failed);
    fixture.execute().await;
    let verify = async |finding| {
        let_time_pass(&fixture.pool, fixture.id, 0).await;
        fixture.service.shows(finding);
        fixture.execute().await;
    };
    for finding in [Finding::Failed, Finding::Failed, Finding::Absent, Finding::Failed] {
        verify(finding).await;
    }
    // An operator's retry separates what came before it from what comes after.
    let (actor, retry) = (Actor::anonymous(), Intervention::Retry);
    fixture.gateway.intervene(&actor, fixture.id, retry, None).await.unwrap();
    for _ in 0..2 {
        verify(Finding::Failed).await;
    }
    let attempts = fixture.gateway.attempts(fixture.id, 0, 100).await.unwrap();
    let verifications = &attempts[0].verifications;
    let runs: Vec<_> = verifications.iter().map(|run| (run.finding, run.count)).collect();
    assert_eq!(
        runs,
        [(Finding::Failed, 3), (Finding::Absent, 1), (Finding::Failed, 1), (Finding::Failed, 2),]
    );
    assert_eq!(attempts[0].verification_count, 7);
    assert!(verifications[0].first_started_at < verifications[0].started_at);
    assert_eq!(verifications[1].first_started_at, verifications[1].started_at);
    assert!(verifications.is_sorted_by_key(|run| run.started_at));
}

#[tokio::test]
async fn an_unknown_outcome_with_no_attempts_left_is_in_doubt_until_a_verification_decides() {
    let fixture = fixture().await;
    for _ in 0..2 {
        fixture.fail_an_attempt().await;
    }
    fixture.service.answers(Ending::Broken).shows(Finding::Failed);
    let doubtful = |turn: &ExecutionResult| {
        matches!(
            turn,
            ExecutionResult::Took(Step::InDoubt {
                reason: DoubtReason::OutcomeUnknown,
                at: Some(_)
            })
        )
    };
    let turn = fixture.execute().await;
    assert!(doubtful(&turn), "{turn:?}");
    assert_eq!((fixture.state().await, fixture.jobs().await), (State::InDoubt, 1));
    let_time_pass(&fixture.pool, fixture.id, 60).await;
    fixture.service.shows(Finding::Failed);
    assert!(doubtful(&fixture.execute().await));
    assert_eq!(fixture.state().await, State::InDoubt);
    let_time_pass(&fixture.pool, fixture.id, 0).await;
    fixture.service.shows(Finding::Found);
    assert_eq!(fixture.execute().await, ExecutionResult::Took(Step::Complete));
    assert_eq!((fixture.state().await, fixture.jobs().await), (State::Completed, 0));
}

#[tokio::test]
async fn with_no_attempts_left_only_proven_absence_fails_a_transaction() {
    let fixture = fixture().await;
    for _ in 0..2 {
        fixture.fail_an_attempt().await;
    }
    fixture.service.answers(Ending::TimedOut).shows(Finding::Absent);
    fixture.execute().await;
    assert_eq!(fixture.state().await, State::InDoubt);
    let_time_pass(&fixture.pool, fixture.id, 60).await;
    fixture.service.shows(Finding::Absent);
    assert_eq!(fixture.execute().await, ExecutionResult::Took(Step::Fail(Failure::ProvenAbsent)));
    assert_eq!(fixture.state().await, State::Failed);
    assert_eq!(fixture.outcomes().await.len(), 3);
}

#[tokio::test]
async fn a_foreign_entry_under_the_id_is_left_to_an_operator() {
    let fixture = fixture().await;
    fixture.service.answers_status(409).shows(Finding::Mismatch);
    let step = Step::InDoubt { reason: DoubtReason::Mismatch, at: None };
    assert_eq!(fixture.execute().await, ExecutionResult::Took(step));
    assert_eq!((fixture.state().await, fixture.jobs().await), (State::InDoubt, 0));
}
