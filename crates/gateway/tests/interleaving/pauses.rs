//! A pause of posting against claims, and against another pause.

use domain::Principal;
use gateway::{Gateway, Purpose, Turn};
use tokio::task::JoinHandle;

use crate::{
    action::Move,
    breakpoints::{Stop, bounded},
    fixture::{Scene, Start, Theatre},
    invariants,
};

const PAUSE: [&str; 4] = [
    "before statement posting_pause",
    "before row posting_pause",
    "before row interventions",
    "after row posting_pause",
];

fn pause(gateway: &Gateway) -> JoinHandle<bool> {
    let gateway = gateway.clone();
    tokio::spawn(async move { gateway.pause(&Principal::anonymous(), Some("why")).await.is_ok() })
}

fn resume(gateway: &Gateway) -> JoinHandle<bool> {
    let gateway = gateway.clone();
    tokio::spawn(async move { gateway.resume(&Principal::anonymous(), None).await.is_ok() })
}

async fn is_paused(theatre: &Theatre) -> bool {
    theatre.own.gateway.posting().await.unwrap().paused.is_some()
}

async fn recorded(theatre: &Theatre, action: &str) -> i64 {
    let text = "select count(*) from interventions where action = $1";
    sqlx::query_scalar(text).bind(action).fetch_one(&theatre.own.pool).await.unwrap()
}

#[tokio::test]
async fn a_pause_stops_the_claims_that_come_after_its_commit_and_waits_for_nobody() {
    let theatre = Theatre::new().await;
    for point in PAUSE {
        let (scene, later) =
            (Scene::new(&theatre, Start::Due, 1).await, Scene::new(&theatre, Start::Due, 1).await);
        let asking = Scene::new(&theatre, Start::Doubtful, 1).await;
        let stop = theatre.stage.stop("first", point).await;
        let paused = pause(&theatre.sessions[0].gateway);
        stop.reached().await;
        let claim = bounded("a claim beside a pause", Move::Claim.make(&scene, 1));
        assert_eq!(claim.await, "claimed", "{point}");
        stop.release().await;
        assert!(paused.await.unwrap());
        // Of what comes then, only what posts is stopped.
        assert_eq!(Move::Claim.make(&later, 1).await, "not due", "{point}");
        assert_eq!(Move::Verify.make(&asking, 1).await, "claimed", "{point}");
        // What was under way goes on to its end.
        assert_eq!(Move::Finish.make(&scene, 1).await, "took", "{point}");
        invariants::check(&theatre.own.pool, point).await;
        assert!(resume(&theatre.own.gateway).await.unwrap());
        assert_eq!(Move::Claim.make(&later, 1).await, "claimed", "{point}");
        for scene in [scene, later, asking] {
            scene.end(point).await;
        }
    }
}

#[tokio::test]
async fn a_claim_that_began_before_the_pause_holds_and_the_pause_does_not_wait_for_it() {
    let theatre = Theatre::new().await;
    for point in Move::Claim.points() {
        let scene = std::sync::Arc::new(Scene::new(&theatre, Start::Due, 0).await);
        let stop = theatre.stage.stop("first", point.at).await;
        let claim = tokio::spawn({
            let scene = scene.clone();
            async move { Move::Claim.make(&scene, 0).await }
        });
        stop.reached().await;
        let paused = pause(&theatre.sessions[1].gateway);
        assert!(bounded("a pause beside a claim", paused).await.unwrap());
        stop.release().await;
        assert_eq!(claim.await.unwrap(), "claimed", "{point:?}");
        assert!(resume(&theatre.own.gateway).await.unwrap());
        scene.end(point.at).await;
    }
}

#[tokio::test]
async fn of_two_pauses_and_of_two_resumptions_one_is_made_and_recorded() {
    let theatre = Theatre::new().await;
    let resuming = ["before statement posting_pause", "before row posting_pause"];
    for (points, act, action) in
        [(&PAUSE[..], pause as fn(&Gateway) -> _, "pause"), (&resuming, resume, "resume")]
    {
        for point in points {
            let (undo, wanted) =
                (if action == "pause" { resume } else { pause }, action == "pause");
            if is_paused(&theatre).await == wanted {
                assert!(undo(&theatre.own.gateway).await.unwrap());
            }
            let before = recorded(&theatre, action).await;
            let stop = theatre.stage.stop("first", point).await;
            let first = act(&theatre.sessions[0].gateway);
            stop.reached().await;
            let mut second = act(&theatre.sessions[1].gateway);
            tokio::select! {
                () = theatre.stage.blocked("second") => {}
                done = &mut second => {
                    assert!(done.unwrap());
                    second = tokio::spawn(async { true });
                }
            }
            stop.release().await;
            assert!(first.await.unwrap() && second.await.unwrap());
            assert_eq!(is_paused(&theatre).await, wanted, "{action} {point}");
            assert_eq!(recorded(&theatre, action).await - before, 1, "{action} {point}");
            invariants::check(&theatre.own.pool, point).await;
        }
    }
}

#[tokio::test]
async fn a_pause_that_is_rolled_back_stops_nothing() {
    let theatre = Theatre::new().await;
    let stop = theatre.stage.stop("first", "after row posting_pause").await;
    let paused = pause(&theatre.sessions[0].gateway);
    stop.reached().await;
    Stop::roll_back(stop).await;
    assert!(!paused.await.unwrap());
    let scene = Scene::new(&theatre, Start::Due, 0).await;
    let turn = scene.actors[0].poster.process(scene.id, Purpose::Post, ()).await.unwrap();
    assert!(matches!(turn, Turn::Took(_)), "{turn:?}");
    assert_eq!(recorded(&theatre, "pause").await, 0);
    scene.end("after a pause that was rolled back").await;
}
