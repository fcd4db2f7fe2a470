//! The worker is dropped at each point where its turn waits.

use domain::State;
use gateway::{Purpose, Turn};
use tokio::task::JoinHandle;

use crate::{
    breakpoints::{Point, bounded},
    drive,
    fixture::{Place, Scene, WORKER},
    invariants,
    posting_service::{Look, Post},
};

/// Where a statement that changes a transaction waits.
const POINTS: [Point; 3] =
    ["before statement transactions", "before row transactions", "after row transactions"];

/// Where in its turn the worker is dropped.
#[derive(Debug, Clone, Copy)]
enum Wait {
    Claim(Point),
    Post,
    Answer,
    /// That its attempt has ended, before it is verified.
    End(Point),
    Look,
    /// What the verification has shown.
    Finding(Point),
    /// Giving it back after a panic.
    GiveBack(Point),
    Settling(Point),
}

async fn drop_it(turn: JoinHandle<()>) {
    turn.abort();
    assert!(turn.await.unwrap_err().is_cancelled());
}

/// Drops the turn while its statement stands still, and lets that go on without it.
async fn drop_at(scene: &Scene<'_>, point: Point, turn: impl FnOnce() -> JoinHandle<()>) {
    let stop = scene.place.stage.stop(WORKER, point).await;
    let turn = turn();
    stop.reached().await;
    drop_it(turn).await;
    stop.release().await;
    scene.place.stage.quiet(WORKER).await;
}

async fn drop_in(scene: &Scene<'_>, wait: Wait, post: Post) {
    let clerk = &scene.worker.clerk;
    clerk.posts([post]);
    let post_turn = || scene.turn(Purpose::Post);
    match wait {
        Wait::Claim(point) => drop_at(scene, point, post_turn).await,
        Wait::Post | Wait::Answer | Wait::Look => {
            let door = match wait {
                Wait::Post => &clerk.post,
                Wait::Answer => &clerk.answer,
                _ => &clerk.look,
            };
            door.close();
            let turn = post_turn();
            bounded("a request under way", door.reached()).await;
            drop_it(turn).await;
        }
        Wait::End(point) | Wait::GiveBack(point) | Wait::Finding(point) => {
            let door = if matches!(wait, Wait::Finding(_)) { &clerk.look } else { &clerk.answer };
            door.close();
            let turn = post_turn();
            bounded("a request under way", door.reached()).await;
            drop_at(scene, point, || {
                door.open();
                turn
            })
            .await;
        }
        Wait::Settling(point) => {
            let (idle, id) = (scene.worker.idle.clone(), scene.id);
            drop_at(scene, point, || {
                tokio::spawn(async move { idle.turn(id, Purpose::Post, ()).await })
            })
            .await;
        }
    }
    clerk.open();
}

async fn each(place: &Place, waits: impl IntoIterator<Item = Wait>, posts: &[Post]) {
    for wait in waits {
        for post in posts {
            let context = format!("dropped at {wait:?} of {post:?}");
            let scene = Scene::new(place, 3).await;
            drop_in(&scene, wait, *post).await;
            invariants::check(place.pool(), &context).await;
            assert_eq!(scene.recover_and_end(&context).await, State::Completed, "{context}");
        }
    }
}

#[tokio::test]
async fn a_worker_that_is_dropped_in_its_claim_is_replaced() {
    let place = Place::new().await;
    each(&place, POINTS.map(Wait::Claim), &[Post::Entered]).await;
}

#[tokio::test]
async fn a_worker_that_is_dropped_in_a_request_is_replaced() {
    let place = Place::new().await;
    each(&place, [Wait::Post], &[Post::Entered]).await;
    each(&place, [Wait::Answer, Wait::Look], &[Post::Broken, Post::EnteredThenBroken]).await;
}

#[tokio::test]
async fn a_worker_that_is_dropped_while_it_tells_what_it_knows_is_replaced() {
    let place = Place::new().await;
    let posts = [Post::Broken, Post::EnteredThenBroken];
    each(&place, POINTS.map(Wait::End).into_iter().chain(POINTS.map(Wait::Finding)), &posts).await;
    each(&place, POINTS.map(Wait::End), &[Post::Entered, Post::NotWritten]).await;
}

#[tokio::test]
async fn a_worker_that_is_dropped_while_it_gives_back_is_replaced() {
    let place = Place::new().await;
    each(&place, POINTS.map(Wait::GiveBack), &[Post::Panic, Post::EnteredThenPanic]).await;
    let settling = ["before statement jobs", "before row jobs", "after row jobs"];
    each(&place, settling.map(Wait::Settling), &[Post::Entered]).await;
}

/// It was dropped with its POST on the way, and the POST arrives when the first verification has not
/// found it.
#[tokio::test]
async fn what_arrives_late_from_a_worker_that_was_dropped_is_found_before_it_is_posted_again() {
    let place = Place::new().await;
    let scene = Scene::new(&place, 3).await;
    drop_in(&scene, Wait::Post, Post::Entered).await;
    drive::expire(place.pool(), scene.worker.run).await;
    assert_eq!(gateway::recover(place.pool(), &scene.policy).await.unwrap(), 1);
    let other = &scene.other;
    other.clerk.looks([Look::Honest]);
    let turn = other.poster.process(scene.id, Purpose::Verify, ()).await.unwrap();
    assert!(matches!(turn, Turn::Took(domain::protocol::Step::Retry { .. })), "{turn:?}");
    scene.ledger.enter(scene.id);
    assert_eq!(scene.end("a late arrival").await, State::Completed);
}
