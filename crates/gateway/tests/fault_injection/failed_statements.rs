//! Each statement of an execution fails once: before its commit, or after it with the answer lost.

use domain::State;
use futures::future::join_all;
use gateway::Purpose;

use crate::{
    breakpoints::{Failure, bounded},
    fixture::{Environment, Fixture, WORKER},
    invariants,
    posting_service::{
        Post::{self, Broken, Entered, EnteredThenBroken, NotWritten, Panic, Refused},
        Verification::{self, Failed, Honest, Mismatch},
    },
};

/// How a statement fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FailureMode {
    /// It raises an error.
    RaisesError,
    /// Its session is ended.
    LosesConnection,
    /// It is committed, and its answer is lost.
    LosesAnswer,
}

/// A text that all changes of a transaction contain.
const CHANGE: &str = "changed_in = current_change()";
/// A text that the statement that settles a job contains.
const SETTLING: &str = "later as (";

/// An execution, and which of its statements fails.
#[derive(Debug, Clone)]
struct Case {
    what: &'static str,
    /// If the execution verifies an earlier POST, how that POST ended.
    earlier: Option<Post>,
    posts: &'static [Post],
    verifications: &'static [Verification],
    max_attempts: u32,
    /// Which of the changes that the execution makes fails, from 1.
    nth: usize,
    /// The final state, however the statement fails.
    ends: State,
}

impl Case {
    const fn new(what: &'static str, posts: &'static [Post], nth: usize, ends: State) -> Self {
        Self { what, earlier: None, posts, verifications: &[], max_attempts: 3, nth, ends }
    }

    const fn verifying(
        what: &'static str,
        earlier: Post,
        verification: &'static [Verification],
        max_attempts: u32,
        nth: usize,
        ends: State,
    ) -> Self {
        Self {
            what,
            earlier: Some(earlier),
            posts: &[],
            verifications: verification,
            max_attempts,
            nth,
            ends,
        }
    }

    const fn finding(self, verifications: &'static [Verification], max_attempts: u32) -> Self {
        Self { verifications, max_attempts, ..self }
    }
}

const CASES: &[Case] = &[
    Case::new("claim to post", &[Entered], 1, State::Completed),
    Case::new("complete", &[Entered], 2, State::Completed),
    // The execution that was refused could not record it; the next one is refused again.
    Case::new("fail", &[Refused, Refused], 2, State::Failed),
    Case::new("retry after nothing was sent", &[NotWritten], 2, State::Completed),
    Case::new("the end of the attempt", &[Broken], 2, State::Completed),
    Case::new("the end of an attempt that arrived", &[EnteredThenBroken], 2, State::Completed),
    Case::new("found at once", &[EnteredThenBroken], 3, State::Completed),
    Case::new("absent too early", &[Broken], 3, State::Completed),
    Case::new("verification failed", &[Broken], 3, State::Completed).finding(&[Failed], 3),
    Case::new("in doubt", &[EnteredThenBroken], 3, State::Completed).finding(&[Failed], 1),
    Case::new("a foreign entry", &[Broken], 3, State::InDoubt).finding(&[Mismatch, Mismatch], 3),
    Case::new("release after a panic", &[Panic], 2, State::Completed),
    Case::verifying("claim to verify", Broken, &[Honest], 3, 1, State::Completed),
    Case::verifying("found", EnteredThenBroken, &[Honest], 3, 2, State::Completed),
    Case::verifying("post again", Broken, &[Honest], 3, 2, State::Completed),
    Case::verifying("verify again", EnteredThenBroken, &[Failed], 3, 2, State::Completed),
    Case::verifying("proven absent", Broken, &[Honest], 1, 2, State::Failed),
    Case::verifying("still in doubt", EnteredThenBroken, &[Failed], 1, 2, State::Completed),
    Case::verifying(
        "release after a panic",
        Broken,
        &[Verification::Panic],
        3,
        2,
        State::Completed,
    ),
];

async fn fail_once(env: &Environment, case: &Case, mode: FailureMode) {
    let context = format!("{:?} {mode:?}", case.what);
    let fixture = Fixture::new(env, case.max_attempts).await;
    if let Some(post) = case.earlier {
        fixture.doubt(post).await;
    }
    // The rest of the script is for later executions.
    fixture.worker.client.script_posts(case.posts.first().copied());
    fixture.other.client.script_posts(case.posts.get(1).copied());
    fixture.worker.client.script_verifications(case.verifications.first().copied());
    fixture.other.client.script_verifications(case.verifications.get(1).copied());
    let purpose = if case.earlier.is_some() { Purpose::Verify } else { Purpose::Post };
    arm(env, mode, "before row transactions", CHANGE, case.nth).await;
    bounded(&context, fixture.execute(purpose)).await.unwrap();
    assert!(disarm(env, mode).await, "{context}: it did not reach the step");

    // The execution itself leaves nothing claimed and breaks no invariant.
    assert!(!fixture.is_claimed().await, "{context}: it is still claimed");
    invariants::check(env.pool(), &context).await;
    // The job is delivered a second time.
    bounded(&context, fixture.execute(purpose)).await.unwrap();
    invariants::check(env.pool(), &context).await;
    assert_eq!(fixture.recover_and_end(&context).await, case.ends, "{context}");
}

async fn arm(
    env: &Environment,
    mode: FailureMode,
    point: &'static str,
    text: &'static str,
    nth: usize,
) {
    let failure = match mode {
        FailureMode::RaisesError => Failure::Raise,
        FailureMode::LosesConnection => Failure::Terminate,
        FailureMode::LosesAnswer => return env.proxy.lose_answer(text, nth),
    };
    env.breakpoints.fail(WORKER, point, nth as i64, failure).await;
}

/// Returns whether the statement has failed.
async fn disarm(env: &Environment, mode: FailureMode) -> bool {
    match mode {
        FailureMode::RaisesError | FailureMode::LosesConnection => {
            let failed = env.breakpoints.has_failed(WORKER).await;
            env.breakpoints.disarm(WORKER).await;
            failed
        }
        FailureMode::LosesAnswer => env.proxy.take_lost() == 1,
    }
}

async fn fail_each(mode: FailureMode) {
    // Each half in a database of its own, concurrently.
    let halves = CASES.chunks(CASES.len().div_ceil(2)).map(async |cases| {
        let env = Environment::new().await;
        for case in cases {
            fail_once(&env, case, mode).await;
        }
    });
    join_all(halves).await;
}

#[tokio::test]
async fn an_execution_recovers_from_a_statement_that_raises_an_error() {
    fail_each(FailureMode::RaisesError).await;
}

#[tokio::test]
async fn an_execution_recovers_from_a_connection_lost_before_a_commit() {
    fail_each(FailureMode::LosesConnection).await;
}

#[tokio::test]
async fn an_execution_recovers_from_an_answer_lost_after_a_commit() {
    fail_each(FailureMode::LosesAnswer).await;
}

#[tokio::test]
async fn a_job_that_could_not_be_settled_is_kept() {
    let env = Environment::new().await;
    for mode in [FailureMode::RaisesError, FailureMode::LosesConnection, FailureMode::LosesAnswer] {
        let context = format!("settling the job {mode:?}");
        let fixture = Fixture::new(&env, 3).await;
        arm(&env, mode, "before row jobs", SETTLING, 1).await;
        bounded(&context, fixture.worker.closed_poster.turn(fixture.id, Purpose::Post, ())).await;
        assert!(disarm(&env, mode).await, "{context}: it did not reach the step");
        invariants::check(env.pool(), &context).await;
        assert_eq!(fixture.recover_and_end(&context).await, State::Completed, "{context}");
    }
}

#[tokio::test]
async fn a_failed_reclaim_is_repeated_by_the_next_one() {
    let env = Environment::new().await;
    for mode in [FailureMode::RaisesError, FailureMode::LosesConnection, FailureMode::LosesAnswer] {
        let context = format!("reclaim {mode:?}");
        let fixture = Fixture::new(&env, 3).await;
        fixture.worker.client.script_posts([EnteredThenBroken]);
        fixture.worker.client.before_answer.close();
        let execution = fixture.execute(Purpose::Post);
        bounded(&context, fixture.worker.client.before_answer.reached()).await;
        execution.abort();
        let _ = execution.await;
        fixture.worker.client.open();
        crate::drive::expire(env.pool(), fixture.worker.run).await;
        arm(&env, mode, "before row transactions", CHANGE, 1).await;
        let recovered = gateway::recover(&env.connections(), &fixture.policy).await;
        assert!(recovered.is_err(), "{context}: {recovered:?}");
        assert!(disarm(&env, mode).await, "{context}: it did not reach the step");
        assert_eq!(fixture.is_claimed().await, mode != FailureMode::LosesAnswer, "{context}");
        invariants::check(env.pool(), &context).await;
        assert_eq!(fixture.recover_and_end(&context).await, State::Completed, "{context}");
    }
}
