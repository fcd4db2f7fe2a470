//! Each statement of a turn fails once: before its commit, or after it with the answer lost.

use domain::State;
use futures::future::join_all;
use gateway::Purpose;

use crate::{
    breakpoints::{Failure, bounded},
    fixture::{Place, Scene, WORKER},
    invariants,
    posting_service::{
        Look::{self, Failed, Honest, Mismatch},
        Post::{self, Broken, Entered, EnteredThenBroken, NotWritten, Panic, Refused},
    },
};

/// How a statement fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    /// It raises an error.
    Raises,
    /// Its session ends.
    Terminates,
    /// It is committed, and nobody hears of it.
    LosesItsAnswer,
}

/// In all changes of a transaction.
const CHANGE: &str = "changed_in = current_change()";
/// In the statement that settles a job.
const SETTLING: &str = "later as (";

/// A turn, and which of its statements fails.
#[derive(Debug, Clone)]
struct Case {
    what: &'static str,
    /// Where the turn verifies an earlier POST, what became of that.
    earlier: Option<Post>,
    posts: &'static [Post],
    looks: &'static [Look],
    max_attempts: u32,
    /// Counts the changes that the turn makes.
    nth: usize,
    /// Where it ends, whichever way.
    ends: State,
}

impl Case {
    const fn new(what: &'static str, posts: &'static [Post], nth: usize, ends: State) -> Self {
        Self { what, earlier: None, posts, looks: &[], max_attempts: 3, nth, ends }
    }

    const fn verifying(
        what: &'static str,
        earlier: Post,
        look: &'static [Look],
        max_attempts: u32,
        nth: usize,
        ends: State,
    ) -> Self {
        Self { what, earlier: Some(earlier), posts: &[], looks: look, max_attempts, nth, ends }
    }

    const fn looking(self, looks: &'static [Look], max_attempts: u32) -> Self {
        Self { looks, max_attempts, ..self }
    }
}

const CASES: &[Case] = &[
    Case::new("claim to post", &[Entered], 1, State::Completed),
    Case::new("complete", &[Entered], 2, State::Completed),
    // The one that heard of the refusal could not tell; the next one is refused again.
    Case::new("fail", &[Refused, Refused], 2, State::Failed),
    Case::new("retry what was not sent", &[NotWritten], 2, State::Completed),
    Case::new("the end of the attempt", &[Broken], 2, State::Completed),
    Case::new("the end of an attempt that arrived", &[EnteredThenBroken], 2, State::Completed),
    Case::new("found at once", &[EnteredThenBroken], 3, State::Completed),
    Case::new("absent too early", &[Broken], 3, State::Completed),
    Case::new("verification failed", &[Broken], 3, State::Completed).looking(&[Failed], 3),
    Case::new("in doubt", &[EnteredThenBroken], 3, State::Completed).looking(&[Failed], 1),
    Case::new("another's entry", &[Broken], 3, State::InDoubt).looking(&[Mismatch, Mismatch], 3),
    Case::new("taking back after a panic", &[Panic], 2, State::Completed),
    Case::verifying("claim to verify", Broken, &[Honest], 3, 1, State::Completed),
    Case::verifying("found", EnteredThenBroken, &[Honest], 3, 2, State::Completed),
    Case::verifying("post again", Broken, &[Honest], 3, 2, State::Completed),
    Case::verifying("verify again", EnteredThenBroken, &[Failed], 3, 2, State::Completed),
    Case::verifying("proven absent", Broken, &[Honest], 1, 2, State::Failed),
    Case::verifying("in doubt still", EnteredThenBroken, &[Failed], 1, 2, State::Completed),
    Case::verifying("taking back after a panic", Broken, &[Look::Panic], 3, 2, State::Completed),
];

async fn fails_once(place: &Place, case: &Case, how: How) {
    let context = format!("{:?} {how:?}", case.what);
    let scene = Scene::new(place, case.max_attempts).await;
    if let Some(post) = case.earlier {
        scene.doubt(post).await;
    }
    // What is left of it is for those who come after.
    scene.worker.clerk.posts(case.posts.first().copied());
    scene.other.clerk.posts(case.posts.get(1).copied());
    scene.worker.clerk.looks(case.looks.first().copied());
    scene.other.clerk.looks(case.looks.get(1).copied());
    let purpose = if case.earlier.is_some() { Purpose::Verify } else { Purpose::Post };
    arm(place, how, "before row transactions", CHANGE, case.nth).await;
    bounded(&context, scene.turn(purpose)).await.unwrap();
    assert!(disarm(place, how).await, "{context}: it did not come to the step");

    // The turn itself leaves nothing claimed, and nothing broken.
    assert!(!scene.is_claimed().await, "{context}: it is claimed still");
    invariants::check(place.pool(), &context).await;
    // The job is delivered a second time.
    bounded(&context, scene.turn(purpose)).await.unwrap();
    invariants::check(place.pool(), &context).await;
    assert_eq!(scene.recover_and_end(&context).await, case.ends, "{context}");
}

async fn arm(place: &Place, how: How, point: &'static str, text: &'static str, nth: usize) {
    let failure = match how {
        How::Raises => Failure::Raise,
        How::Terminates => Failure::Terminate,
        How::LosesItsAnswer => return place.proxy.lose_answer(text, nth),
    };
    place.stage.fail(WORKER, point, nth as i64, failure).await;
}

/// Gives whether it has failed.
async fn disarm(place: &Place, how: How) -> bool {
    match how {
        How::Raises | How::Terminates => {
            let failed = place.stage.has_failed(WORKER).await;
            place.stage.disarm(WORKER).await;
            failed
        }
        How::LosesItsAnswer => place.proxy.take_lost() == 1,
    }
}

async fn each_fails(how: How) {
    // Each half in a database of its own, side by side.
    let halves = CASES.chunks(CASES.len().div_ceil(2)).map(async |cases| {
        let place = Place::new().await;
        for case in cases {
            fails_once(&place, case, how).await;
        }
    });
    join_all(halves).await;
}

#[tokio::test]
async fn a_step_that_raises_an_error_is_made_up_for() {
    each_fails(How::Raises).await;
}

#[tokio::test]
async fn a_step_whose_connection_is_lost_before_its_commit_is_made_up_for() {
    each_fails(How::Terminates).await;
}

#[tokio::test]
async fn a_step_whose_answer_is_lost_after_its_commit_is_made_up_for() {
    each_fails(How::LosesItsAnswer).await;
}

#[tokio::test]
async fn a_job_that_could_not_be_settled_is_there_still() {
    let place = Place::new().await;
    for how in [How::Raises, How::Terminates, How::LosesItsAnswer] {
        let context = format!("settling the job {how:?}");
        let scene = Scene::new(&place, 3).await;
        arm(&place, how, "before row jobs", SETTLING, 1).await;
        bounded(&context, scene.worker.idle.turn(scene.id, Purpose::Post, ())).await;
        assert!(disarm(&place, how).await, "{context}: it did not come to the step");
        invariants::check(place.pool(), &context).await;
        assert_eq!(scene.recover_and_end(&context).await, State::Completed, "{context}");
    }
}

#[tokio::test]
async fn a_recovery_that_fails_is_made_up_for_by_the_next() {
    let place = Place::new().await;
    for how in [How::Raises, How::Terminates, How::LosesItsAnswer] {
        let context = format!("taking back {how:?}");
        let scene = Scene::new(&place, 3).await;
        scene.worker.clerk.posts([EnteredThenBroken]);
        scene.worker.clerk.answer.close();
        let turn = scene.turn(Purpose::Post);
        bounded(&context, scene.worker.clerk.answer.reached()).await;
        turn.abort();
        let _ = turn.await;
        scene.worker.clerk.open();
        crate::drive::expire(place.pool(), scene.worker.run).await;
        arm(&place, how, "before row transactions", CHANGE, 1).await;
        let recovered = gateway::recover(&place.connections(), &scene.policy).await;
        assert!(recovered.is_err(), "{context}: {recovered:?}");
        assert!(disarm(&place, how).await, "{context}: it did not come to the step");
        assert_eq!(scene.is_claimed().await, how != How::LosesItsAnswer, "{context}");
        invariants::check(place.pool(), &context).await;
        assert_eq!(scene.recover_and_end(&context).await, State::Completed, "{context}");
    }
}
