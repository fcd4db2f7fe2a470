//! One execution of a transaction, on a real PostgreSQL, against a posting service that follows a
//! script.

use domain::Scope;
use std::{sync::Arc, time::Duration};

use domain::{
    AnswerBody, Ending, Finding, Outcome, State,
    protocol::{Failure, Step},
};
use gateway::{ExecutionResult, Purpose};
use tokio::sync::{Notify, oneshot};

use crate::{
    fixture::fixture,
    support::{self, POLICY, executor, let_time_pass},
};

#[tokio::test]
async fn a_posted_transaction_is_completed_and_its_job_deleted() {
    let fixture = fixture().await;
    fixture.service.answers_status(201);
    assert_eq!(fixture.execute().await, ExecutionResult::Took(Step::Complete));
    let transaction = fixture.gateway.transaction(&Scope::All, fixture.id).await.unwrap().unwrap();
    assert_eq!((transaction.status, transaction.attempts), (State::Completed, 1));
    assert!(transaction.completed_at.is_some() && transaction.error.is_none());
    assert_eq!(fixture.outcomes().await, [Some(Outcome::Posted)]);
    assert_eq!(fixture.jobs().await, 0);
    assert_eq!(fixture.execute().await, ExecutionResult::NotDue);
}

#[tokio::test]
async fn a_refused_transaction_fails_after_one_attempt_with_the_reason_of_the_service() {
    let fixture = fixture().await;
    fixture.service.answers_status(422);
    assert_eq!(fixture.execute().await, ExecutionResult::Took(Step::Fail(Failure::Refused)));
    let transaction = fixture.gateway.transaction(&Scope::All, fixture.id).await.unwrap().unwrap();
    assert_eq!((transaction.status, transaction.attempts), (State::Failed, 1));
    let error = transaction.error.unwrap();
    assert!(error.contains("422") && error.contains("what it said"), "{error}");
    assert_eq!(fixture.jobs().await, 0);
}

#[tokio::test]
async fn an_error_after_the_write_completes_in_the_same_execution() {
    let fixture = fixture().await;
    fixture.service.answers_status(500).shows(Finding::Found);
    assert_eq!(fixture.execute().await, ExecutionResult::Took(Step::Complete));
    assert_eq!(fixture.service.requests(), ["post", "verify"]);
    let attempts = fixture.gateway.attempts(fixture.id, 0, 100).await.unwrap();
    assert_eq!(attempts[0].outcome, Some(Outcome::Posted));
    assert_eq!(attempts[0].http_status, Some(500));
    assert_eq!(attempts[0].verifications[0].finding, Finding::Found);
}

#[tokio::test]
async fn after_a_timeout_the_next_post_waits_for_the_settle_window_and_a_verification() {
    let fixture = fixture().await;
    fixture.service.answers(Ending::TimedOut).shows(Finding::Absent);
    assert!(matches!(fixture.execute().await, ExecutionResult::Took(Step::Retry { .. })));
    assert_eq!((fixture.state().await, fixture.jobs().await), (State::Pending, 1));
    // Executed before the window has passed, it verifies again and does not post.
    let_time_pass(&fixture.pool, fixture.id, 10).await;
    fixture.service.shows(Finding::Absent);
    assert!(matches!(fixture.execute().await, ExecutionResult::Took(Step::Retry { .. })));
    // After the window it verifies once more, and only then posts.
    let_time_pass(&fixture.pool, fixture.id, 31).await;
    fixture.service.shows(Finding::Absent).answers_status(201);
    assert!(matches!(fixture.execute().await, ExecutionResult::Took(Step::PostAgain { .. })));
    assert_eq!(fixture.execute().await, ExecutionResult::Took(Step::Complete));
    assert_eq!(fixture.service.requests(), ["post", "verify", "verify", "verify", "post"]);
    assert_eq!(fixture.outcomes().await, [Some(Outcome::Unknown), Some(Outcome::Posted)]);
    let attempts = fixture.gateway.attempts(fixture.id, 0, 100).await.unwrap();
    assert_eq!(attempts[0].verification_count, 3);
}

#[tokio::test]
async fn a_post_that_was_not_sent_uses_up_no_attempt() {
    let fixture = fixture().await;
    for _ in 0..5 {
        fixture.service.answers(Ending::NotWritten);
        assert!(matches!(fixture.execute().await, ExecutionResult::Took(Step::Retry { .. })));
        let_time_pass(&fixture.pool, fixture.id, 0).await;
    }
    let transaction = fixture.gateway.transaction(&Scope::All, fixture.id).await.unwrap().unwrap();
    assert_eq!((transaction.status, transaction.attempts), (State::Pending, 0));
    assert_eq!(fixture.outcomes().await, [Some(Outcome::NotSent); 5]);
    fixture.service.answers_status(200);
    assert_eq!(fixture.execute().await, ExecutionResult::Took(Step::Complete));
}

#[tokio::test]
async fn an_attempt_is_in_the_table_before_its_post_arrives() {
    let fixture = fixture().await;
    let hold = Arc::new(Notify::new());
    *fixture.service.hold.lock().unwrap() = Some(hold.clone());
    fixture.service.answers_status(201);
    let (executor, id) = (fixture.executor.clone(), fixture.id);
    let execution = tokio::spawn(async move { executor.execute(id, Purpose::Post, ()).await });
    fixture.service.arrived.notified().await;
    assert_eq!(fixture.outcomes().await, [None]);
    assert_eq!(fixture.state().await, State::Processing);
    let open: i64 = sqlx::query_scalar(
        "select count(*) from pg_stat_activity
         where datname = current_database() and state like 'idle in transaction%'",
    )
    .fetch_one(&fixture.pool)
    .await
    .unwrap();
    assert_eq!(open, 0, "a database transaction is open across the network call");
    hold.notify_one();
    assert_eq!(execution.await.unwrap().unwrap(), ExecutionResult::Took(Step::Complete));
}

/// Otherwise, while results are recorded, fewer POSTs would be in flight than the limit permits.
#[tokio::test]
async fn the_permit_is_released_before_the_result_is_recorded() {
    let fixture = fixture().await;
    let hold = Arc::new(Notify::new());
    *fixture.service.hold.lock().unwrap() = Some(hold.clone());
    fixture.service.answers_status(201);
    let (executor, id) = (fixture.executor.clone(), fixture.id);
    let (permit, released) = oneshot::channel::<()>();
    let execution = tokio::spawn(async move { executor.execute(id, Purpose::Post, permit).await });
    fixture.service.arrived.notified().await;
    let mut locked = fixture.pool.acquire().await.unwrap();
    for statement in ["begin", "select from transactions for update"] {
        sqlx::query(statement).execute(&mut *locked).await.unwrap();
    }
    hold.notify_one();
    assert!(released.await.is_err(), "dropped");
    assert!(!execution.is_finished());
    sqlx::query("rollback").execute(&mut *locked).await.unwrap();
    assert_eq!(execution.await.unwrap().unwrap(), ExecutionResult::Took(Step::Complete));
}

#[tokio::test]
async fn two_workers_do_not_claim_the_same_transaction() {
    let fixture = fixture().await;
    let hold = Arc::new(Notify::new());
    *fixture.service.hold.lock().unwrap() = Some(hold.clone());
    fixture.service.answers_status(201);
    let (other, _) = executor(&fixture.pool, &fixture.service).await;
    let (first, id) = (fixture.executor.clone(), fixture.id);
    let execution = tokio::spawn(async move { first.execute(id, Purpose::Post, ()).await });
    fixture.service.arrived.notified().await;
    assert_eq!(
        other.execute(fixture.id, Purpose::Post, ()).await.unwrap(),
        ExecutionResult::NotDue
    );
    hold.notify_one();
    assert_eq!(execution.await.unwrap().unwrap(), ExecutionResult::Took(Step::Complete));
}

#[tokio::test]
async fn a_worker_whose_claims_were_reclaimed_changes_nothing_when_it_resumes() {
    let fixture = fixture().await;
    let hold = Arc::new(Notify::new());
    *fixture.service.hold.lock().unwrap() = Some(hold.clone());
    fixture.service.answers(Ending::NotWritten);
    let (suspended, id) = (fixture.executor.clone(), fixture.id);
    let execution = tokio::spawn(async move { suspended.execute(id, Purpose::Post, ()).await });
    fixture.service.arrived.notified().await;

    sqlx::query("update workers set expires_at = now() - interval '1 second' where id = $1")
        .bind(fixture.run)
        .execute(&fixture.pool)
        .await
        .unwrap();
    assert_eq!(gateway::reclaim_expired(&fixture.pool, &POLICY).await.unwrap(), 1);
    let reclaimed = fixture.gateway.transaction(&Scope::All, fixture.id).await.unwrap();

    hold.notify_one();
    assert_eq!(execution.await.unwrap().unwrap(), ExecutionResult::Superseded);
    assert_eq!(fixture.gateway.transaction(&Scope::All, fixture.id).await.unwrap(), reclaimed);
    assert_eq!(fixture.outcomes().await, [Some(Outcome::Unknown)]);
}

#[tokio::test]
async fn a_claim_of_a_dead_worker_is_verified_before_the_next_post() {
    let fixture = fixture().await;
    let hold = Arc::new(Notify::new());
    *fixture.service.hold.lock().unwrap() = Some(hold.clone());
    let (dying, id) = (fixture.executor.clone(), fixture.id);
    let execution = tokio::spawn(async move { dying.execute(id, Purpose::Post, ()).await });
    fixture.service.arrived.notified().await;
    execution.abort();
    let _ = execution.await;
    *fixture.service.hold.lock().unwrap() = None;

    // While its lease holds, no worker touches its claim.
    assert_eq!(gateway::reclaim_expired(&fixture.pool, &POLICY).await.unwrap(), 0);
    let (other, _) = executor(&fixture.pool, &fixture.service).await;
    assert_eq!(
        other.execute(fixture.id, Purpose::Post, ()).await.unwrap(),
        ExecutionResult::NotDue
    );

    sqlx::query("delete from workers where id = $1")
        .bind(fixture.run)
        .execute(&fixture.pool)
        .await
        .unwrap();
    assert_eq!(gateway::reclaim_expired(&fixture.pool, &POLICY).await.unwrap(), 1);
    assert_eq!((fixture.state().await, fixture.jobs().await), (State::Pending, 1));
    fixture.service.shows(Finding::Absent);
    assert!(matches!(
        support::execute(&other, &fixture.pool, fixture.id).await.unwrap(),
        ExecutionResult::Took(Step::Retry { .. })
    ));
    // The dead worker may be alive and disconnected. Its request counts as given up only after the
    // posting timeout, and the settle window begins only then.
    let_time_pass(&fixture.pool, fixture.id, 32).await;
    fixture.service.shows(Finding::Absent);
    assert!(matches!(
        support::execute(&other, &fixture.pool, fixture.id).await.unwrap(),
        ExecutionResult::Took(Step::Retry { .. })
    ));
    let_time_pass(&fixture.pool, fixture.id, 12).await;
    fixture.service.shows(Finding::Found);
    assert_eq!(
        support::execute(&other, &fixture.pool, fixture.id).await.unwrap(),
        ExecutionResult::Took(Step::Complete)
    );
    assert_eq!(fixture.service.requests(), ["post", "verify", "verify", "verify"]);
}

#[tokio::test]
async fn an_execution_that_panics_releases_its_claim() {
    let fixture = fixture().await;
    // The script is empty, so the POST panics.
    fixture.executor.run_job(fixture.id, Purpose::Post, ()).await;
    assert_eq!((fixture.state().await, fixture.jobs().await), (State::Pending, 1));
    assert_eq!(fixture.outcomes().await, [Some(Outcome::Unknown)]);
}

#[tokio::test]
async fn a_job_without_a_transaction_is_deleted_and_an_early_one_is_postponed() {
    let fixture = fixture().await;
    sqlx::query("update transactions set next_attempt_at = now() + interval '1 hour'")
        .execute(&fixture.pool)
        .await
        .unwrap();
    fixture.executor.run_job(fixture.id, Purpose::Post, ()).await;
    let due: bool = sqlx::query_scalar(
        "select run_at > now() + interval '50 minutes' and status = 'Pending' from apalis.jobs",
    )
    .fetch_one(&fixture.pool)
    .await
    .unwrap();
    assert!(due);
    sqlx::query("delete from transactions").execute(&fixture.pool).await.unwrap();
    fixture.executor.run_job(fixture.id, Purpose::Post, ()).await;
    assert_eq!(fixture.jobs().await, 0);
}

#[tokio::test]
async fn a_retry_waits_as_long_as_retry_after_demands() {
    let fixture = fixture().await;
    let retry_after = Some(Duration::from_secs(3600));
    fixture.service.answers(Ending::Answered {
        status: 403,
        body: AnswerBody::Agrees,
        retry_after,
    });
    fixture.execute().await;
    let due = fixture
        .gateway
        .transaction(&Scope::All, fixture.id)
        .await
        .unwrap()
        .unwrap()
        .next_attempt_at
        .unwrap();
    assert!(due > chrono::Utc::now() + chrono::TimeDelta::minutes(50), "{due}");
}
