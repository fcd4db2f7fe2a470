//! One transaction's turn, on a real PostgreSQL, against a posting service that follows a script.

use std::{sync::Arc, time::Duration};

use domain::{
    Ending, Finding, Outcome, State,
    protocol::{DoubtReason, Failure, Step},
};
use gateway::{Poster, Purpose, Turn};
use sqlx::PgPool;
use tokio::sync::{Notify, oneshot};
use uuid::Uuid;

use crate::support::{
    self, POLICY, Scripted, database, gateway, jobs, let_pass, poster, state, stored,
};

struct Scene {
    pool: PgPool,
    gateway: gateway::Gateway,
    service: Arc<Scripted>,
    poster: Arc<Poster>,
    run: Uuid,
    id: Uuid,
}

async fn scene() -> Scene {
    let pool = database().await;
    let gateway = gateway(&pool);
    let service = Scripted::new();
    let (poster, run) = poster(&pool, &service).await;
    let id = stored(&gateway).await;
    Scene { pool, gateway, service, poster: Arc::new(poster), run, id }
}

impl Scene {
    async fn turn(&self) -> Turn {
        support::turn(&self.poster, &self.pool, self.id).await.unwrap()
    }

    /// An attempt that is answered with an error, and proven absent when its window has passed.
    async fn attempt_in_vain(&self) {
        self.service.answers_status(500).shows(Finding::Absent);
        assert!(matches!(self.turn().await, Turn::Took(Step::Retry { .. })));
        let_pass(&self.pool, self.id, 60).await;
        self.service.shows(Finding::Absent);
        assert!(matches!(self.turn().await, Turn::Took(Step::PostAgain { .. })));
    }

    async fn state(&self) -> State {
        state(&self.gateway, self.id).await
    }

    async fn outcomes(&self) -> Vec<Option<Outcome>> {
        let attempts = self.gateway.attempts(self.id).await.unwrap();
        attempts.into_iter().map(|attempt| attempt.outcome).collect()
    }

    async fn jobs(&self) -> i64 {
        jobs(&self.pool, self.id).await
    }
}

#[tokio::test]
async fn a_posted_transaction_is_completed_and_its_job_gone() {
    let scene = scene().await;
    scene.service.answers_status(201);
    assert_eq!(scene.turn().await, Turn::Took(Step::Complete));
    let transaction = scene.gateway.transaction(scene.id).await.unwrap().unwrap();
    assert_eq!((transaction.status, transaction.attempts), (State::Completed, 1));
    assert!(transaction.completed_at.is_some() && transaction.error.is_none());
    assert_eq!(scene.outcomes().await, [Some(Outcome::Posted)]);
    assert_eq!(scene.jobs().await, 0);
    assert_eq!(scene.turn().await, Turn::NotDue);
}

#[tokio::test]
async fn a_refused_transaction_fails_after_one_attempt_with_the_services_reason() {
    let scene = scene().await;
    scene.service.answers_status(422);
    assert_eq!(scene.turn().await, Turn::Took(Step::Fail(Failure::Refused)));
    let transaction = scene.gateway.transaction(scene.id).await.unwrap().unwrap();
    assert_eq!((transaction.status, transaction.attempts), (State::Failed, 1));
    let error = transaction.error.unwrap();
    assert!(error.contains("422") && error.contains("what it said"), "{error}");
    assert_eq!(scene.jobs().await, 0);
}

#[tokio::test]
async fn a_failure_after_the_write_is_completed_in_the_same_turn() {
    let scene = scene().await;
    scene.service.answers_status(500).shows(Finding::Found);
    assert_eq!(scene.turn().await, Turn::Took(Step::Complete));
    assert_eq!(scene.service.asked(), ["post", "verify"]);
    let attempts = scene.gateway.attempts(scene.id).await.unwrap();
    assert_eq!(attempts[0].outcome, Some(Outcome::Posted));
    assert_eq!(attempts[0].http_status, Some(500));
    assert_eq!(attempts[0].verifications[0].finding, Finding::Found);
}

#[tokio::test]
async fn after_a_time_out_the_next_post_waits_for_the_settle_window_and_a_verification() {
    let scene = scene().await;
    scene.service.answers(Ending::TimedOut).shows(Finding::Absent);
    assert!(matches!(scene.turn().await, Turn::Took(Step::Retry { .. })));
    assert_eq!((scene.state().await, scene.jobs().await), (State::Pending, 1));
    // Due before its time, it asks again and does not post.
    let_pass(&scene.pool, scene.id, 10).await;
    scene.service.shows(Finding::Absent);
    assert!(matches!(scene.turn().await, Turn::Took(Step::Retry { .. })));
    // Past the window it asks once more, and only then posts.
    let_pass(&scene.pool, scene.id, 31).await;
    scene.service.shows(Finding::Absent).answers_status(201);
    assert!(matches!(scene.turn().await, Turn::Took(Step::PostAgain { .. })));
    assert_eq!(scene.turn().await, Turn::Took(Step::Complete));
    assert_eq!(scene.service.asked(), ["post", "verify", "verify", "verify", "post"]);
    assert_eq!(scene.outcomes().await, [Some(Outcome::Unknown), Some(Outcome::Posted)]);
    let attempts = scene.gateway.attempts(scene.id).await.unwrap();
    assert_eq!(attempts[0].verifications.len(), 3);
}

#[tokio::test]
async fn a_verification_that_fails_never_leads_to_a_post() {
    let scene = scene().await;
    scene.service.answers_status(500).shows(Finding::Failed);
    assert!(matches!(scene.turn().await, Turn::Took(Step::Retry { .. })));
    for _ in 0..5 {
        let_pass(&scene.pool, scene.id, 3600).await;
        scene.service.shows(Finding::Failed);
        assert!(matches!(scene.turn().await, Turn::Took(Step::Retry { .. })));
    }
    assert_eq!(scene.service.asked().iter().filter(|asked| **asked == "post").count(), 1);
}

#[tokio::test]
async fn with_no_attempts_left_unknown_is_in_doubt_until_verification_tells() {
    let scene = scene().await;
    for _ in 0..2 {
        scene.attempt_in_vain().await;
    }
    scene.service.answers(Ending::Broken).shows(Finding::Failed);
    let doubtful = |turn: &Turn| {
        matches!(
            turn,
            Turn::Took(Step::InDoubt { reason: DoubtReason::OutcomeUnknown, at: Some(_) })
        )
    };
    let turn = scene.turn().await;
    assert!(doubtful(&turn), "{turn:?}");
    assert_eq!((scene.state().await, scene.jobs().await), (State::InDoubt, 1));
    let_pass(&scene.pool, scene.id, 60).await;
    scene.service.shows(Finding::Failed);
    assert!(doubtful(&scene.turn().await));
    assert_eq!(scene.state().await, State::InDoubt);
    let_pass(&scene.pool, scene.id, 0).await;
    scene.service.shows(Finding::Found);
    assert_eq!(scene.turn().await, Turn::Took(Step::Complete));
    assert_eq!((scene.state().await, scene.jobs().await), (State::Completed, 0));
}

#[tokio::test]
async fn only_proven_absence_with_no_attempts_left_is_called_failed() {
    let scene = scene().await;
    for _ in 0..2 {
        scene.attempt_in_vain().await;
    }
    scene.service.answers(Ending::TimedOut).shows(Finding::Absent);
    scene.turn().await;
    assert_eq!(scene.state().await, State::InDoubt);
    let_pass(&scene.pool, scene.id, 60).await;
    scene.service.shows(Finding::Absent);
    assert_eq!(scene.turn().await, Turn::Took(Step::Fail(Failure::ProvenAbsent)));
    assert_eq!(scene.state().await, State::Failed);
    assert_eq!(scene.outcomes().await.len(), 3);
}

#[tokio::test]
async fn what_was_not_sent_uses_up_no_attempt() {
    let scene = scene().await;
    for _ in 0..5 {
        scene.service.answers(Ending::NotWritten);
        assert!(matches!(scene.turn().await, Turn::Took(Step::Retry { .. })));
        let_pass(&scene.pool, scene.id, 0).await;
    }
    let transaction = scene.gateway.transaction(scene.id).await.unwrap().unwrap();
    assert_eq!((transaction.status, transaction.attempts), (State::Pending, 0));
    assert_eq!(scene.outcomes().await, [Some(Outcome::NotSent); 5]);
    scene.service.answers_status(200);
    assert_eq!(scene.turn().await, Turn::Took(Step::Complete));
}

#[tokio::test]
async fn an_entry_that_is_not_ours_is_left_to_a_person() {
    let scene = scene().await;
    scene.service.answers_status(409).shows(Finding::Mismatch);
    let step = Step::InDoubt { reason: DoubtReason::Mismatch, at: None };
    assert_eq!(scene.turn().await, Turn::Took(step));
    assert_eq!((scene.state().await, scene.jobs().await), (State::InDoubt, 0));
}

#[tokio::test]
async fn an_attempt_is_in_the_table_before_its_post_arrives() {
    let scene = scene().await;
    let hold = Arc::new(Notify::new());
    *scene.service.hold.lock().unwrap() = Some(hold.clone());
    scene.service.answers_status(201);
    let (poster, id) = (scene.poster.clone(), scene.id);
    let turn = tokio::spawn(async move { poster.process(id, Purpose::Post, ()).await });
    scene.service.arrived.notified().await;
    assert_eq!(scene.outcomes().await, [None]);
    assert_eq!(scene.state().await, State::Processing);
    let open: i64 = sqlx::query_scalar(
        "select count(*) from pg_stat_activity
         where datname = current_database() and state like 'idle in transaction%'",
    )
    .fetch_one(&scene.pool)
    .await
    .unwrap();
    assert_eq!(open, 0, "a database transaction is open across the network call");
    hold.notify_one();
    assert_eq!(turn.await.unwrap().unwrap(), Turn::Took(Step::Complete));
}

/// Otherwise fewer than may be posted at once are, for the time that recording takes.
#[tokio::test]
async fn another_may_be_posted_while_what_became_of_one_is_recorded() {
    let scene = scene().await;
    let hold = Arc::new(Notify::new());
    *scene.service.hold.lock().unwrap() = Some(hold.clone());
    scene.service.answers_status(201);
    let (poster, id) = (scene.poster.clone(), scene.id);
    let (place, left) = oneshot::channel::<()>();
    let turn = tokio::spawn(async move { poster.process(id, Purpose::Post, place).await });
    scene.service.arrived.notified().await;
    let mut locked = scene.pool.acquire().await.unwrap();
    for statement in ["begin", "select from transactions for update"] {
        sqlx::query(statement).execute(&mut *locked).await.unwrap();
    }
    hold.notify_one();
    assert!(left.await.is_err(), "dropped");
    assert!(!turn.is_finished());
    sqlx::query("rollback").execute(&mut *locked).await.unwrap();
    assert_eq!(turn.await.unwrap().unwrap(), Turn::Took(Step::Complete));
}

#[tokio::test]
async fn two_workers_do_not_claim_the_same_transaction() {
    let scene = scene().await;
    let hold = Arc::new(Notify::new());
    *scene.service.hold.lock().unwrap() = Some(hold.clone());
    scene.service.answers_status(201);
    let (other, _) = poster(&scene.pool, &scene.service).await;
    let (first, id) = (scene.poster.clone(), scene.id);
    let turn = tokio::spawn(async move { first.process(id, Purpose::Post, ()).await });
    scene.service.arrived.notified().await;
    assert_eq!(other.process(scene.id, Purpose::Post, ()).await.unwrap(), Turn::NotDue);
    hold.notify_one();
    assert_eq!(turn.await.unwrap().unwrap(), Turn::Took(Step::Complete));
}

#[tokio::test]
async fn a_worker_that_was_taken_for_dead_changes_nothing_when_it_wakes() {
    let scene = scene().await;
    let hold = Arc::new(Notify::new());
    *scene.service.hold.lock().unwrap() = Some(hold.clone());
    scene.service.answers(Ending::NotWritten);
    let (stalled, id) = (scene.poster.clone(), scene.id);
    let turn = tokio::spawn(async move { stalled.process(id, Purpose::Post, ()).await });
    scene.service.arrived.notified().await;

    sqlx::query("update workers set expires_at = now() - interval '1 second' where id = $1")
        .bind(scene.run)
        .execute(&scene.pool)
        .await
        .unwrap();
    assert_eq!(gateway::recover(&scene.pool, &POLICY).await.unwrap(), 1);
    let taken_back = scene.gateway.transaction(scene.id).await.unwrap();

    hold.notify_one();
    assert_eq!(turn.await.unwrap().unwrap(), Turn::TakenOver);
    assert_eq!(scene.gateway.transaction(scene.id).await.unwrap(), taken_back);
    assert_eq!(scene.outcomes().await, [Some(Outcome::Unknown)]);
}

#[tokio::test]
async fn what_a_dead_worker_held_is_verified_before_it_is_posted_again() {
    let scene = scene().await;
    let hold = Arc::new(Notify::new());
    *scene.service.hold.lock().unwrap() = Some(hold.clone());
    let (dying, id) = (scene.poster.clone(), scene.id);
    let turn = tokio::spawn(async move { dying.process(id, Purpose::Post, ()).await });
    scene.service.arrived.notified().await;
    turn.abort();
    let _ = turn.await;
    *scene.service.hold.lock().unwrap() = None;

    // Its lease still holds: nobody touches it.
    assert_eq!(gateway::recover(&scene.pool, &POLICY).await.unwrap(), 0);
    let (other, _) = poster(&scene.pool, &scene.service).await;
    assert_eq!(other.process(scene.id, Purpose::Post, ()).await.unwrap(), Turn::NotDue);

    sqlx::query("delete from workers where id = $1")
        .bind(scene.run)
        .execute(&scene.pool)
        .await
        .unwrap();
    assert_eq!(gateway::recover(&scene.pool, &POLICY).await.unwrap(), 1);
    assert_eq!((scene.state().await, scene.jobs().await), (State::Pending, 1));
    scene.service.shows(Finding::Absent);
    assert!(matches!(
        support::turn(&other, &scene.pool, scene.id).await.unwrap(),
        Turn::Took(Step::Retry { .. })
    ));
    // It may be alive and cut off: until its own time-out what it sent is not given up, and the
    // settle window begins only then.
    let_pass(&scene.pool, scene.id, 32).await;
    scene.service.shows(Finding::Absent);
    assert!(matches!(
        support::turn(&other, &scene.pool, scene.id).await.unwrap(),
        Turn::Took(Step::Retry { .. })
    ));
    let_pass(&scene.pool, scene.id, 12).await;
    scene.service.shows(Finding::Found);
    assert_eq!(
        support::turn(&other, &scene.pool, scene.id).await.unwrap(),
        Turn::Took(Step::Complete)
    );
    assert_eq!(scene.service.asked(), ["post", "verify", "verify", "verify"]);
}

#[tokio::test]
async fn a_turn_that_panics_gives_its_transaction_back() {
    let scene = scene().await;
    // The script is empty: the POST panics.
    scene.poster.turn(scene.id, Purpose::Post, ()).await;
    assert_eq!((scene.state().await, scene.jobs().await), (State::Pending, 1));
    assert_eq!(scene.outcomes().await, [Some(Outcome::Unknown)]);
}

#[tokio::test]
async fn a_job_without_a_transaction_is_dropped_and_one_too_early_comes_again() {
    let scene = scene().await;
    sqlx::query("update transactions set next_attempt_at = now() + interval '1 hour'")
        .execute(&scene.pool)
        .await
        .unwrap();
    scene.poster.turn(scene.id, Purpose::Post, ()).await;
    let due: bool = sqlx::query_scalar(
        "select run_at > now() + interval '50 minutes' and status = 'Pending' from apalis.jobs",
    )
    .fetch_one(&scene.pool)
    .await
    .unwrap();
    assert!(due);
    sqlx::query("delete from transactions").execute(&scene.pool).await.unwrap();
    scene.poster.turn(scene.id, Purpose::Post, ()).await;
    assert_eq!(scene.jobs().await, 0);
}

#[tokio::test]
async fn what_the_service_asks_for_is_waited_for() {
    let scene = scene().await;
    let retry_after = Some(Duration::from_secs(3600));
    scene.service.answers(Ending::Answered { status: 403, readable: true, retry_after });
    scene.turn().await;
    let due = scene.gateway.transaction(scene.id).await.unwrap().unwrap().next_attempt_at.unwrap();
    assert!(due > chrono::Utc::now() + chrono::TimeDelta::minutes(50), "{due}");
}
