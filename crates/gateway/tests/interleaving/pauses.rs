//! A pause of posting against claims, and against another pause.

use domain::Actor;
use gateway::{ExecutionResult, Gateway, Purpose};
use tokio::task::JoinHandle;

use crate::{
    action::Action,
    breakpoints::{Breakpoint, bounded},
    fixture::{Fixture, Start, TestDatabase},
    invariants,
};

const PAUSE: [&str; 4] = [
    "before statement posting_pause",
    "before row posting_pause",
    "before row audit",
    "after row posting_pause",
];

fn pause(gateway: &Gateway) -> JoinHandle<bool> {
    let gateway = gateway.clone();
    tokio::spawn(async move { gateway.pause(&Actor::anonymous(), Some("why")).await.is_ok() })
}

fn resume(gateway: &Gateway) -> JoinHandle<bool> {
    let gateway = gateway.clone();
    tokio::spawn(async move { gateway.resume(&Actor::anonymous(), None).await.is_ok() })
}

async fn is_paused(database: &TestDatabase) -> bool {
    database.own.gateway.posting().await.unwrap().paused.is_some()
}

async fn recorded(database: &TestDatabase, action: &str) -> i64 {
    let text = "select count(*) from audit where action = $1";
    sqlx::query_scalar(text).bind(action).fetch_one(&database.own.pool).await.unwrap()
}

#[tokio::test]
async fn a_pause_stops_claims_after_its_commit_and_blocks_none() {
    let database = TestDatabase::new().await;
    for point in PAUSE {
        let (fixture, later) = (
            Fixture::new(&database, Start::Due, 1).await,
            Fixture::new(&database, Start::Due, 1).await,
        );
        let verified = Fixture::new(&database, Start::Doubtful, 1).await;
        let breakpoint = database.breakpoints.set("first", point).await;
        let paused = pause(&database.sessions[0].gateway);
        breakpoint.reached().await;
        let claim = bounded("a claim beside a pause", Action::Claim.run(&fixture, 1));
        assert_eq!(claim.await, "claimed", "{point}");
        breakpoint.release().await;
        assert!(paused.await.unwrap());
        // From then on only claims to post are stopped.
        assert_eq!(Action::Claim.run(&later, 1).await, "not due", "{point}");
        assert_eq!(Action::Verify.run(&verified, 1).await, "claimed", "{point}");
        // The execution in flight continues to its end.
        assert_eq!(Action::Record.run(&fixture, 1).await, "recorded", "{point}");
        invariants::check(&database.own.pool, point).await;
        assert!(resume(&database.own.gateway).await.unwrap());
        assert_eq!(Action::Claim.run(&later, 1).await, "claimed", "{point}");
        for fixture in [fixture, later, verified] {
            fixture.end(point).await;
        }
    }
}

#[tokio::test]
async fn a_claim_that_began_before_a_pause_holds_and_does_not_block_it() {
    let database = TestDatabase::new().await;
    for point in Action::Claim.points() {
        let fixture = std::sync::Arc::new(Fixture::new(&database, Start::Due, 0).await);
        let breakpoint = database.breakpoints.set("first", point.at).await;
        let claim = tokio::spawn({
            let fixture = fixture.clone();
            async move { Action::Claim.run(&fixture, 0).await }
        });
        breakpoint.reached().await;
        let paused = pause(&database.sessions[1].gateway);
        assert!(bounded("a pause beside a claim", paused).await.unwrap());
        breakpoint.release().await;
        assert_eq!(claim.await.unwrap(), "claimed", "{point:?}");
        assert!(resume(&database.own.gateway).await.unwrap());
        fixture.end(point.at).await;
    }
}

#[tokio::test]
async fn of_two_concurrent_pauses_or_resumptions_one_is_made_and_recorded() {
    let database = TestDatabase::new().await;
    let resuming = ["before statement posting_pause", "before row posting_pause"];
    for (points, act, action) in
        [(&PAUSE[..], pause as fn(&Gateway) -> _, "pause"), (&resuming, resume, "resume")]
    {
        for point in points {
            let (undo, wanted) =
                (if action == "pause" { resume } else { pause }, action == "pause");
            if is_paused(&database).await == wanted {
                assert!(undo(&database.own.gateway).await.unwrap());
            }
            let before = recorded(&database, action).await;
            let breakpoint = database.breakpoints.set("first", point).await;
            let first = act(&database.sessions[0].gateway);
            breakpoint.reached().await;
            let mut second = act(&database.sessions[1].gateway);
            tokio::select! {
                () = database.breakpoints.blocked("second") => {}
                done = &mut second => {
                    assert!(done.unwrap());
                    second = tokio::spawn(async { true });
                }
            }
            breakpoint.release().await;
            assert!(first.await.unwrap() && second.await.unwrap());
            assert_eq!(is_paused(&database).await, wanted, "{action} {point}");
            assert_eq!(recorded(&database, action).await - before, 1, "{action} {point}");
            invariants::check(&database.own.pool, point).await;
        }
    }
}

#[tokio::test]
async fn a_pause_that_is_rolled_back_stops_nothing() {
    let database = TestDatabase::new().await;
    let breakpoint = database.breakpoints.set("first", "after row posting_pause").await;
    let paused = pause(&database.sessions[0].gateway);
    breakpoint.reached().await;
    Breakpoint::roll_back(breakpoint).await;
    assert!(!paused.await.unwrap());
    let fixture = Fixture::new(&database, Start::Due, 0).await;
    let execution =
        fixture.contenders[0].executor.execute(fixture.id, Purpose::Post, ()).await.unwrap();
    assert!(matches!(execution, ExecutionResult::Took(_)), "{execution:?}");
    assert_eq!(recorded(&database, "pause").await, 0);
    fixture.end("after a pause that was rolled back").await;
}
