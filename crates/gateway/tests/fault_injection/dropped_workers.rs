//! The worker is dropped at each point where its execution waits.

use domain::State;
use gateway::{Purpose, Turn};
use tokio::task::JoinHandle;

use crate::{
    breakpoints::{Point, bounded},
    drive,
    fixture::{Environment, Fixture, WORKER},
    invariants,
    posting_service::{Post, Verification},
};

/// Where a statement that changes a transaction waits.
const POINTS: [Point; 3] =
    ["before statement transactions", "before row transactions", "after row transactions"];

/// Where in its execution the worker is dropped.
#[derive(Debug, Clone, Copy)]
enum Wait {
    Claim(Point),
    Post,
    Answer,
    /// While it records the end of its attempt, before the verification.
    End(Point),
    Verification,
    /// While it records the finding of the verification.
    Finding(Point),
    /// While it releases its claim after a panic.
    Release(Point),
    Settling(Point),
}

async fn drop_execution(execution: JoinHandle<()>) {
    execution.abort();
    assert!(execution.await.unwrap_err().is_cancelled());
}

/// Drops the execution while its statement is stopped, then lets the statement continue without it.
async fn drop_at(fixture: &Fixture<'_>, point: Point, execution: impl FnOnce() -> JoinHandle<()>) {
    let breakpoint = fixture.env.breakpoints.set(WORKER, point).await;
    let execution = execution();
    breakpoint.reached().await;
    drop_execution(execution).await;
    breakpoint.release().await;
    fixture.env.breakpoints.idle(WORKER).await;
}

async fn drop_in(fixture: &Fixture<'_>, wait: Wait, post: Post) {
    let client = &fixture.worker.client;
    client.script_posts([post]);
    let execute = || fixture.execute(Purpose::Post);
    match wait {
        Wait::Claim(point) => drop_at(fixture, point, execute).await,
        Wait::Post | Wait::Answer | Wait::Verification => {
            let barrier = match wait {
                Wait::Post => &client.before_post,
                Wait::Answer => &client.before_answer,
                _ => &client.before_verification,
            };
            barrier.close();
            let execution = execute();
            bounded("a request in flight", barrier.reached()).await;
            drop_execution(execution).await;
        }
        Wait::End(point) | Wait::Release(point) | Wait::Finding(point) => {
            let barrier = if matches!(wait, Wait::Finding(_)) {
                &client.before_verification
            } else {
                &client.before_answer
            };
            barrier.close();
            let execution = execute();
            bounded("a request in flight", barrier.reached()).await;
            drop_at(fixture, point, || {
                barrier.open();
                execution
            })
            .await;
        }
        Wait::Settling(point) => {
            let (closed_poster, id) = (fixture.worker.closed_poster.clone(), fixture.id);
            drop_at(fixture, point, || {
                tokio::spawn(async move { closed_poster.turn(id, Purpose::Post, ()).await })
            })
            .await;
        }
    }
    client.open();
}

async fn each(env: &Environment, waits: impl IntoIterator<Item = Wait>, posts: &[Post]) {
    for wait in waits {
        for post in posts {
            let context = format!("dropped at {wait:?} of {post:?}");
            let fixture = Fixture::new(env, 3).await;
            drop_in(&fixture, wait, *post).await;
            invariants::check(env.pool(), &context).await;
            assert_eq!(fixture.recover_and_end(&context).await, State::Completed, "{context}");
        }
    }
}

#[tokio::test]
async fn a_worker_dropped_while_it_claims_is_replaced() {
    let env = Environment::new().await;
    each(&env, POINTS.map(Wait::Claim), &[Post::Entered]).await;
}

#[tokio::test]
async fn a_worker_dropped_during_a_request_is_replaced() {
    let env = Environment::new().await;
    each(&env, [Wait::Post], &[Post::Entered]).await;
    each(&env, [Wait::Answer, Wait::Verification], &[Post::Broken, Post::EnteredThenBroken]).await;
}

#[tokio::test]
async fn a_worker_dropped_while_it_records_a_result_is_replaced() {
    let env = Environment::new().await;
    let posts = [Post::Broken, Post::EnteredThenBroken];
    each(&env, POINTS.map(Wait::End).into_iter().chain(POINTS.map(Wait::Finding)), &posts).await;
    each(&env, POINTS.map(Wait::End), &[Post::Entered, Post::NotWritten]).await;
}

#[tokio::test]
async fn a_worker_dropped_while_it_releases_its_claim_is_replaced() {
    let env = Environment::new().await;
    each(&env, POINTS.map(Wait::Release), &[Post::Panic, Post::EnteredThenPanic]).await;
    let settling = ["before statement jobs", "before row jobs", "after row jobs"];
    each(&env, settling.map(Wait::Settling), &[Post::Entered]).await;
}

/// The worker is dropped with its POST in flight, and the POST arrives after the first verification
/// has not found it.
#[tokio::test]
async fn a_late_post_of_a_dropped_worker_is_found_before_the_next_post() {
    let env = Environment::new().await;
    let fixture = Fixture::new(&env, 3).await;
    drop_in(&fixture, Wait::Post, Post::Entered).await;
    drive::expire(env.pool(), fixture.worker.run).await;
    assert_eq!(gateway::recover(env.pool(), &fixture.policy).await.unwrap(), 1);
    let other = &fixture.other;
    other.client.script_verifications([Verification::Honest]);
    let execution = other.poster.process(fixture.id, Purpose::Verify, ()).await.unwrap();
    assert!(matches!(execution, Turn::Took(domain::protocol::Step::Retry { .. })), "{execution:?}");
    fixture.ledger.enter(fixture.id);
    assert_eq!(fixture.end("a late arrival").await, State::Completed);
}
