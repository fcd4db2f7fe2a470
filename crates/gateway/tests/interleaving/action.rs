//! What rivals do to a transaction, and where they can be stopped in it.

use std::sync::Arc;

use domain::{Intervention, Resolution};
use gateway::{EngineError, Gate, Poster, Purpose, Turn};
use tokio_util::sync::CancellationToken;

use crate::{
    breakpoints::{self, Failure},
    fixture::{Scene, Theatre},
    support::LIMITS,
};

/// What one does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Move {
    /// Claims it to post, and stands before the POST.
    Claim,
    /// Claims it to verify, and stands before the question.
    Verify,
    /// Takes a whole turn, whose POST breaks and whose verification fails.
    Turn,
    /// Records what the request that is under way comes to.
    Finish,
    /// Takes the claims of dead runs back.
    Recover,
    /// Takes them back, and claims it to verify.
    TakeOver,
    /// Gives the claim of its own run back.
    GiveBack,
    /// Settles the job of a transaction that it may not post now.
    Settle,
    Cancel,
    Retry,
    ResolveCompleted,
    ResolveFailed,
}

/// Where a move can be stopped.
#[derive(Debug, Clone, Copy)]
pub struct Point {
    pub at: breakpoints::Point,
    /// Whether it holds then what a rival has to wait for.
    pub holds: bool,
    /// Whether nothing but its commit is left to come.
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
const INTERVENTION: Point = Point::holding("before row interventions");
const JOB: Point = Point::holding("before row jobs");
const DONE: Point = Point::last("after row transactions");

impl Move {
    /// Where it can be stopped.
    pub fn points(self) -> &'static [Point] {
        match self {
            Self::Claim => &[SNAPSHOT, LOCKED, ATTEMPT, DONE],
            Self::Verify | Self::Turn | Self::Finish => &[SNAPSHOT, LOCKED, DONE],
            Self::Recover | Self::TakeOver | Self::GiveBack => &[SNAPSHOT, LOCKED, JOB, DONE],
            Self::Settle => {
                const EARLY: Point = Point::early("before statement jobs");
                const LAST: Point = Point::last("after row jobs");
                &[EARLY, JOB, LAST]
            }
            Self::Cancel | Self::Retry | Self::ResolveCompleted | Self::ResolveFailed => {
                &[SNAPSHOT, LOCKED, INTERVENTION, JOB, DONE]
            }
        }
    }

    /// Whether it tries again by itself where its connection is lost.
    pub fn persists(self) -> bool {
        matches!(self, Self::GiveBack | Self::Settle)
    }

    /// Makes it, as the actor of this number, and gives what it comes to in words.
    pub async fn make(self, scene: &Scene, number: usize) -> &'static str {
        let (actor, id) = (&scene.actors[number], scene.id);
        match self {
            Self::Claim => claimed(actor.begin(id, Purpose::Post).await),
            Self::Verify => claimed(actor.begin(id, Purpose::Verify).await),
            Self::Turn => match actor.poster.process(id, Purpose::Post, ()).await {
                Ok(Turn::Took(_)) => "had its turn",
                other => claimed(Some(other)),
            },
            Self::Finish => match actor.finish().await {
                Some(Ok(Turn::Took(_))) => "took",
                Some(Ok(Turn::TakenOver)) => "taken over",
                Some(Err(_)) => "broken",
                other => panic!("{other:?}"),
            },
            Self::Recover => match gateway::recover(&actor.session.pool, &scene.policy).await {
                Ok(0) => "nothing",
                Ok(1) => "took back",
                Ok(other) => panic!("{other}"),
                Err(_) => "broken",
            },
            Self::TakeOver => match gateway::recover(&actor.session.pool, &scene.policy).await {
                Ok(0) => claimed(actor.begin(id, Purpose::Verify).await),
                Ok(_) => {
                    assert!(actor.begin(id, Purpose::Verify).await.is_none());
                    "took over"
                }
                Err(_) => "broken",
            },
            Self::GiveBack => give_back(scene, number).await,
            Self::Settle => {
                actor.idle_poster.turn(id, Purpose::Post, ()).await;
                "settled"
            }
            Self::Cancel => scene.intervene(number, Intervention::Cancel).await,
            Self::Retry => scene.intervene(number, Intervention::Retry).await,
            Self::ResolveCompleted => {
                scene.intervene(number, Intervention::Resolve(Resolution::Completed)).await
            }
            Self::ResolveFailed => {
                scene.intervene(number, Intervention::Resolve(Resolution::Failed)).await
            }
        }
    }
}

/// How often what came of a move has raised the fence.
pub fn raises(outcome: &str) -> i64 {
    match outcome {
        "took over" => 2,
        "claimed" | "had its turn" | "took back" | "gave back" | "done" => 1,
        _ => 0,
    }
}

fn claimed(ended: Option<Result<Turn, EngineError>>) -> &'static str {
    match ended {
        None => "claimed",
        Some(Ok(Turn::NotDue)) => "not due",
        Some(Err(_)) => "broken",
        other => panic!("{other:?}"),
    }
}

/// The job is delivered a second time, to the run that has it under way already, and the claim breaks.
async fn give_back(scene: &Scene, number: usize) -> &'static str {
    let (actor, holder) = (&scene.actors[number], &scene.actors[1 - number]);
    let before = scene.fence().await;
    let gate = Arc::new(Gate::new(LIMITS, CancellationToken::new()));
    let pool = scene.breaking.clone().unwrap();
    let poster = Poster::new(pool, actor.clerk.clone(), gate, scene.policy, holder.run);
    poster.turn(scene.id, Purpose::Post, ()).await;
    if scene.fence().await > before { "gave back" } else { "nothing" }
}

/// Connections of which the first breaks in its first change, and the next is the actor's session.
pub async fn breaking(theatre: &Theatre, number: usize) -> sqlx::PgPool {
    let pool = theatre.stage.connections("breaking", 1);
    sqlx::query("select 1").execute(&pool).await.unwrap();
    let next = theatre.sessions[number].pool.connect_options();
    pool.set_connect_options((*next).clone());
    theatre.stage.disarm("breaking").await;
    let point = "before statement transactions";
    theatre.stage.fail("breaking", point, 1, Failure::Terminate).await;
    pool
}
