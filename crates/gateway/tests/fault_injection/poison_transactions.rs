//! A transaction that takes its worker along, again and again.

use domain::{Intervention, Principal, State, protocol::delay_after_loss};
use gateway::Purpose;
use uuid::Uuid;

use crate::{
    breakpoints::bounded,
    drive,
    fixture::{Place, Scene},
    invariants, support,
};

/// How its worker is lost over it.
#[derive(Debug, Clone, Copy)]
enum Loss {
    /// Its turn panics, and the worker goes on.
    Panic,
    /// The worker ends in the middle of the turn, and its lease runs out.
    End,
}

async fn lose_the_worker(scene: &Scene<'_>, loss: Loss, purpose: Purpose) {
    match loss {
        Loss::Panic => bounded("a turn that panics", scene.turn(purpose)).await.unwrap(),
        Loss::End => {
            let clerk = &scene.worker.clerk;
            let door = if purpose == Purpose::Post { &clerk.post } else { &clerk.look };
            door.close();
            let turn = scene.turn(purpose);
            bounded("a request under way", door.reached()).await;
            turn.abort();
            let _ = turn.await;
            clerk.open();
            drive::expire(scene.place.pool(), scene.worker.run).await;
            assert_eq!(gateway::recover(scene.place.pool(), &scene.policy).await.unwrap(), 1);
            // A new one under the same name: the lease begins again.
            sqlx::query("update workers set expires_at = now() + interval '1 hour' where id = $1")
                .bind(scene.worker.run)
                .execute(scene.place.pool())
                .await
                .unwrap();
        }
    }
}

/// The time by the clock of the database, and when it is due, in seconds.
async fn clock(scene: &Scene<'_>) -> (f64, Option<f64>) {
    let text = "select extract(epoch from clock_timestamp())::float8,
            extract(epoch from next_attempt_at)::float8
        from transactions where id = $1";
    sqlx::query_as(text).bind(scene.id).fetch_one(scene.place.pool()).await.unwrap()
}

async fn is_lost_again_and_again(loss: Loss) {
    let place = Place::new().await;
    let scene = Scene::new(&place, 3).await;
    if matches!(loss, Loss::Panic) {
        scene.worker.clerk.curse(scene.id);
    }
    let most = scene.policy.max_losses();
    for losses in 0..most {
        let context = format!("{loss:?} after {losses} losses");
        let purpose = if losses == 0 { Purpose::Post } else { Purpose::Verify };
        let (before, _) = clock(&scene).await;
        lose_the_worker(&scene, loss, purpose).await;
        let (after, due) = clock(&scene).await;
        invariants::check(place.pool(), &context).await;
        // Others are not held up.
        let another = drive::stored(&place.gateway).await;
        scene.worker.poster.turn(another, Purpose::Post, ()).await;
        assert_eq!(state(&place, another).await, State::Completed, "{context}");
        assert_eq!(scene.losses().await, losses as i32 + 1, "{context}");
        if losses + 1 < most {
            assert_eq!(state(&place, scene.id).await, State::Pending, "{context}");
            let delay = delay_after_loss(losses).as_secs_f64();
            let due = due.unwrap();
            assert!((before + delay..=after + delay).contains(&due), "{context}: due at {due}");
            drive::let_pass(place.pool(), scene.id).await;
        }
    }
    let transaction = place.gateway.transaction(scene.id).await.unwrap().unwrap();
    assert_eq!((transaction.status, transaction.next_attempt_at), (State::InDoubt, None));
    let error = transaction.error.unwrap();
    assert_eq!(error, format!("its worker stopped over it {most} times in a row"));
    assert_eq!(support::jobs(place.pool(), scene.id).await, 0);
    // Nobody touches it of himself.
    for purpose in [Purpose::Post, Purpose::Verify] {
        bounded("a turn in vain", scene.turn(purpose)).await.unwrap();
    }
    assert_eq!(scene.losses().await, most as i32);
    assert_eq!(scene.ledger.entries(scene.id), 0);

    // A person who knows that the cause is gone has it tried again.
    scene.worker.clerk.lift_curses();
    let principal = Principal::anonymous();
    let retried =
        place.gateway.intervene(&principal, scene.id, Intervention::Retry, Some("fixed")).await;
    assert_eq!(retried.unwrap().status, State::Pending);
    assert_eq!(scene.losses().await, 0);
    assert_eq!(scene.end("after the poison").await, State::Completed);
}

async fn state(place: &Place, id: Uuid) -> State {
    support::state(&place.gateway, id).await
}

#[tokio::test]
async fn what_panics_again_and_again_is_set_aside_for_a_person_and_others_go_on() {
    is_lost_again_and_again(Loss::Panic).await;
}

#[tokio::test]
async fn what_takes_its_worker_along_again_and_again_is_set_aside_for_a_person() {
    is_lost_again_and_again(Loss::End).await;
}

#[tokio::test]
async fn what_is_lost_now_and_then_is_not_set_aside() {
    let place = Place::new().await;
    let scene = Scene::new(&place, 3).await;
    scene.doubt(crate::posting_service::Post::Broken).await;
    for _ in 0..scene.policy.max_losses() {
        scene.worker.clerk.curse(scene.id);
        bounded("a turn that panics", scene.turn(Purpose::Verify)).await.unwrap();
        assert_eq!((scene.losses().await, state(&place, scene.id).await), (1, State::Pending));
        // One turn that ends as it should.
        scene.worker.clerk.lift_curses();
        scene.worker.clerk.looks([crate::posting_service::Look::Failed]);
        drive::let_pass(place.pool(), scene.id).await;
        bounded("a turn that ends", scene.turn(Purpose::Verify)).await.unwrap();
        assert_eq!(scene.losses().await, 0);
        drive::let_pass(place.pool(), scene.id).await;
    }
    assert_eq!(scene.end("now and then").await, State::Completed);
}
