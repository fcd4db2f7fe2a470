//! A job that is delivered twice, and requests that panic.

use domain::State;
use gateway::Purpose;

use crate::{
    breakpoints::bounded,
    fixture::{Place, Scene},
    invariants,
    posting_service::{Look, Post},
};

/// Brings a first turn of the worker's to a door, and leaves the door closed.
async fn under_way(scene: &Scene<'_>, purpose: Purpose, post: Post) -> tokio::task::JoinHandle<()> {
    let clerk = &scene.worker.clerk;
    clerk.posts([post]);
    let door = match (purpose, post) {
        (Purpose::Verify, _) | (_, Post::Broken) => &clerk.look,
        (Purpose::Post, Post::EnteredThenBroken) => &clerk.answer,
        (Purpose::Post, _) => &clerk.post,
    };
    door.close();
    let turn = scene.turn(purpose);
    bounded("a request under way", door.reached()).await;
    turn
}

#[tokio::test]
async fn a_job_that_comes_again_while_its_turn_is_under_way_changes_nothing() {
    let place = Place::new().await;
    for (earlier, purpose, post) in [
        (None, Purpose::Post, Post::Entered),
        (None, Purpose::Post, Post::EnteredThenBroken),
        (None, Purpose::Post, Post::Broken),
        (Some(Post::Broken), Purpose::Verify, Post::Entered),
        (Some(Post::EnteredThenBroken), Purpose::Verify, Post::Entered),
    ] {
        for same_run in [true, false] {
            let context =
                format!("{purpose:?} of {post:?} after {earlier:?}, by itself: {same_run}");
            let scene = Scene::new(&place, 3).await;
            if let Some(post) = earlier {
                scene.doubt(post).await;
            }
            let first = under_way(&scene, purpose, post).await;
            let again = if same_run { &scene.worker } else { &scene.other };
            for purpose in [Purpose::Post, Purpose::Verify] {
                bounded(&context, again.poster.turn(scene.id, purpose, ())).await;
            }
            assert!(scene.is_claimed().await, "{context}");
            invariants::check(place.pool(), &context).await;
            assert_eq!(scene.worker.poster.under_way(), [scene.id], "{context}");
            scene.worker.clerk.open();
            bounded(&context, first).await.unwrap();
            assert!(!scene.is_claimed().await, "{context}");
            assert!(scene.worker.poster.under_way().is_empty(), "{context}");
            assert_eq!(scene.end(&context).await, State::Completed, "{context}");
        }
    }
}

#[tokio::test]
async fn of_many_turns_at_once_one_posts() {
    let place = Place::new().await;
    let scene = Scene::new(&place, 3).await;
    let turns = (0..8).map(|number| {
        let hand = if number % 2 == 0 { &scene.worker } else { &scene.other };
        let (poster, id) = (hand.poster.clone(), scene.id);
        tokio::spawn(async move { poster.turn(id, Purpose::Post, ()).await })
    });
    for turn in turns.collect::<Vec<_>>() {
        bounded("one of many turns", turn).await.unwrap();
    }
    assert_eq!(scene.ledger.posts(scene.id), 1);
    assert_eq!(scene.end("many turns").await, State::Completed);
}

#[tokio::test]
async fn a_job_that_comes_again_after_its_turn_changes_nothing() {
    let place = Place::new().await;
    for (post, look, posts) in [
        (Post::Entered, Look::Honest, 1),
        (Post::Refused, Look::Honest, 1),
        (Post::NotWritten, Look::Honest, 1),
        (Post::Broken, Look::Honest, 1),
        (Post::Broken, Look::Failed, 1),
        (Post::Broken, Look::Mismatch, 1),
    ] {
        let context = format!("{post:?} {look:?}");
        let scene = Scene::new(&place, 3).await;
        scene.worker.clerk.posts([post]);
        scene.worker.clerk.looks([look]);
        for _ in 0..3 {
            bounded(&context, scene.turn(Purpose::Post)).await.unwrap();
            invariants::check(place.pool(), &context).await;
        }
        bounded(&context, scene.turn(Purpose::Verify)).await.unwrap();
        invariants::check(place.pool(), &context).await;
        assert_eq!(scene.ledger.posts(scene.id), posts, "{context}");
        scene.end(&context).await;
    }
}

#[tokio::test]
async fn a_request_that_panics_costs_its_turn_and_no_more() {
    let place = Place::new().await;
    for (earlier, post, look) in [
        (None, Post::Panic, Look::Honest),
        (None, Post::EnteredThenPanic, Look::Honest),
        (None, Post::Broken, Look::Panic),
        (None, Post::EnteredThenBroken, Look::Panic),
        (Some(Post::Broken), Post::Entered, Look::Panic),
        (Some(Post::EnteredThenBroken), Post::Entered, Look::Panic),
    ] {
        let context = format!("{post:?} {look:?} after {earlier:?}");
        let scene = Scene::new(&place, 3).await;
        let purpose = match earlier {
            Some(post) => {
                scene.doubt(post).await;
                Purpose::Verify
            }
            None => {
                scene.worker.clerk.posts([post]);
                Purpose::Post
            }
        };
        scene.worker.clerk.looks([look]);
        bounded(&context, scene.turn(purpose)).await.unwrap();
        assert!(!scene.is_claimed().await, "{context}");
        assert!(scene.worker.poster.under_way().is_empty(), "{context}");
        assert_eq!(scene.losses().await, 1, "{context}");
        invariants::check(place.pool(), &context).await;
        assert_eq!(scene.end(&context).await, State::Completed, "{context}");
    }
}
