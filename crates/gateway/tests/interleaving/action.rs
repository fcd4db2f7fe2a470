//! What contenders do to a transaction, and where each action can be stopped.

use std::sync::Arc;

use domain::{Intervention, Resolution};
use gateway::{Admission, EngineError, ExecutionResult, Executor, Purpose};
use tokio_util::sync::CancellationToken;

use crate::{
    breakpoints::{self, Failure},
    fixture::{Fixture, TestDatabase},
    support::LIMITS,
};

/// An action of a contender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Claims it to post, and stops before the POST.
    Claim,
    /// Claims it to verify, and stops before the request.
    Verify,
    /// Runs a whole execution, whose POST breaks and whose verification fails.
    Execute,
    /// Records the result of the request in flight.
    Record,
    /// Reclaims the claims of dead runs.
    Reclaim,
    /// Reclaims them, then claims the transaction to verify it.
    ReclaimAndClaim,
    /// Releases the claim of its own run.
    Release,
    /// Settles the job of a transaction that may not be posted now.
    SettleJob,
    Cancel,
    Retry,
    ResolveCompleted,
    ResolveFailed,
}

/// A point at which an action can be stopped.
#[derive(Debug, Clone, Copy)]
pub struct Point {
    pub at: breakpoints::Point,
    /// Whether it holds a lock there that the other contender waits for.
    pub holds: bool,
    /// Whether only its commit is left.
    pub last: bool,
}

impl Point {
    /// Before it has taken any lock.
    const fn early(at: breakpoints::Point) -> Self {
        Self { at, holds: false, last: false }
    }

    const fn holding(at: breakpoints::Point) -> Self {
        Self { at, holds: true, last: false }
    }

    /// With everything done, before its commit.
    const fn last(at: breakpoints::Point) -> Self {
        Self { at, holds: true, last: true }
    }
}

const SNAPSHOT: Point = Point::early("before statement transactions");
const LOCKED: Point = Point::holding("before row transactions");
const ATTEMPT: Point = Point::holding("before row attempts");
const INTERVENTION: Point = Point::holding("before row audit");
const JOB: Point = Point::holding("before row jobs");
const DONE: Point = Point::last("after row transactions");

impl Action {
    /// The points at which it can be stopped.
    pub fn points(self) -> &'static [Point] {
        match self {
            Self::Claim => &[SNAPSHOT, LOCKED, ATTEMPT, DONE],
            Self::Verify | Self::Execute | Self::Record => &[SNAPSHOT, LOCKED, DONE],
            Self::Reclaim | Self::ReclaimAndClaim | Self::Release => &[SNAPSHOT, LOCKED, JOB, DONE],
            Self::SettleJob => {
                const EARLY: Point = Point::early("before statement jobs");
                const LAST: Point = Point::last("after row jobs");
                &[EARLY, JOB, LAST]
            }
            Self::Cancel | Self::Retry | Self::ResolveCompleted | Self::ResolveFailed => {
                &[SNAPSHOT, LOCKED, INTERVENTION, JOB, DONE]
            }
        }
    }

    /// Whether it retries by itself when its connection is lost.
    pub fn persists(self) -> bool {
        matches!(self, Self::Release | Self::SettleJob)
    }

    /// Runs it as the contender with this number, and returns its outcome in words.
    pub async fn run(self, fixture: &Fixture, number: usize) -> &'static str {
        let (contender, id) = (&fixture.contenders[number], fixture.id);
        match self {
            Self::Claim => claimed(contender.begin(id, Purpose::Post).await),
            Self::Verify => claimed(contender.begin(id, Purpose::Verify).await),
            Self::Execute => match contender.executor.execute(id, Purpose::Post, ()).await {
                Ok(ExecutionResult::Took(_)) => "executed",
                other => claimed(Some(other)),
            },
            Self::Record => match contender.finish().await {
                Some(Ok(ExecutionResult::Took(_))) => "recorded",
                Some(Ok(ExecutionResult::Superseded)) => "taken over",
                Some(Err(_)) => "error",
                other => panic!("{other:?}"),
            },
            Self::Reclaim => {
                match gateway::reclaim_expired(&contender.session.pool, &fixture.policy).await {
                    Ok(0) => "nothing",
                    Ok(1) => "reclaimed",
                    Ok(other) => panic!("{other}"),
                    Err(_) => "error",
                }
            }
            Self::ReclaimAndClaim => {
                match gateway::reclaim_expired(&contender.session.pool, &fixture.policy).await {
                    Ok(0) => claimed(contender.begin(id, Purpose::Verify).await),
                    Ok(_) => {
                        assert!(contender.begin(id, Purpose::Verify).await.is_none());
                        "reclaimed and claimed"
                    }
                    Err(_) => "error",
                }
            }
            Self::Release => release_claim(fixture, number).await,
            Self::SettleJob => {
                contender.closed_executor.run_job(id, Purpose::Post, ()).await;
                "settled"
            }
            Self::Cancel => fixture.intervene(number, Intervention::Cancel).await,
            Self::Retry => fixture.intervene(number, Intervention::Retry).await,
            Self::ResolveCompleted => {
                fixture.intervene(number, Intervention::Resolve(Resolution::Completed)).await
            }
            Self::ResolveFailed => {
                fixture.intervene(number, Intervention::Resolve(Resolution::Failed)).await
            }
        }
    }
}

/// By how much this outcome raises the fence.
pub fn raises(outcome: &str) -> i64 {
    match outcome {
        "reclaimed and claimed" => 2,
        "claimed" | "executed" | "reclaimed" | "released" | "done" => 1,
        _ => 0,
    }
}

fn claimed(ended: Option<Result<ExecutionResult, EngineError>>) -> &'static str {
    match ended {
        None => "claimed",
        Some(Ok(ExecutionResult::NotDue)) => "not due",
        Some(Err(_)) => "error",
        other => panic!("{other:?}"),
    }
}

/// The job is delivered again to the run that is executing it, and the claim fails.
async fn release_claim(fixture: &Fixture, number: usize) -> &'static str {
    let (contender, holder) = (&fixture.contenders[number], &fixture.contenders[1 - number]);
    let before = fixture.fence().await;
    let admission = Arc::new(Admission::new(LIMITS, CancellationToken::new()));
    let pool = fixture.breaking.clone().unwrap();
    let executor =
        Executor::new(pool, contender.client.clone(), admission, fixture.policy, holder.run);
    executor.run_job(fixture.id, Purpose::Post, ()).await;
    if fixture.fence().await > before { "released" } else { "nothing" }
}

/// A pool whose first connection breaks in its first change, and whose next connection is the
/// contender's session.
pub async fn breaking(database: &TestDatabase, number: usize) -> sqlx::PgPool {
    let pool = database.breakpoints.connections("breaking", 1);
    sqlx::query("select 1").execute(&pool).await.unwrap();
    let next = database.sessions[number].pool.connect_options();
    pool.set_connect_options((*next).clone());
    database.breakpoints.disarm("breaking").await;
    let point = "before statement transactions";
    database.breakpoints.fail("breaking", point, 1, Failure::Terminate).await;
    pool
}
