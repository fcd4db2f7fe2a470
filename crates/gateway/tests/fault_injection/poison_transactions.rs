//! A transaction that kills its worker, again and again.

use domain::{Actor, Intervention, Scope, State, protocol::delay_after_worker_death};
use gateway::Purpose;
use uuid::Uuid;

use crate::{
    breakpoints::bounded,
    drive,
    fixture::{Environment, Fixture},
    invariants, support,
};

/// How the worker is lost.
#[derive(Debug, Clone, Copy)]
enum Loss {
    /// The execution panics, and the worker continues.
    Panic,
    /// The worker ends during the execution, and its lease expires.
    End,
}

async fn lose_the_worker(fixture: &Fixture<'_>, loss: Loss, purpose: Purpose) {
    match loss {
        Loss::Panic => bounded("an execution that panics", fixture.execute(purpose)).await.unwrap(),
        Loss::End => {
            let client = &fixture.worker.client;
            let barrier = if purpose == Purpose::Post {
                &client.before_post
            } else {
                &client.before_verification
            };
            barrier.close();
            let execution = fixture.execute(purpose);
            bounded("a request in flight", barrier.reached()).await;
            execution.abort();
            let _ = execution.await;
            client.open();
            drive::expire(fixture.env.pool(), fixture.worker.run).await;
            assert_eq!(
                gateway::reclaim_expired(fixture.env.pool(), &fixture.policy).await.unwrap(),
                1
            );
            // A new run under the same id: the lease begins again.
            sqlx::query("update workers set expires_at = now() + interval '1 hour' where id = $1")
                .bind(fixture.worker.run)
                .execute(fixture.env.pool())
                .await
                .unwrap();
        }
    }
}

/// The database's clock and when the transaction is due, both in seconds.
async fn clock(fixture: &Fixture<'_>) -> (f64, Option<f64>) {
    let text = "select extract(epoch from clock_timestamp())::float8,
            extract(epoch from next_attempt_at)::float8
        from transactions where id = $1";
    sqlx::query_as(text).bind(fixture.id).fetch_one(fixture.env.pool()).await.unwrap()
}

async fn keeps_losing_its_worker(loss: Loss) {
    let env = Environment::new().await;
    let fixture = Fixture::new(&env, 3).await;
    if matches!(loss, Loss::Panic) {
        fixture.worker.client.poison(fixture.id);
    }
    let most = fixture.policy.max_worker_deaths();
    for losses in 0..most {
        let context = format!("{loss:?} after {losses} losses");
        let purpose = if losses == 0 { Purpose::Post } else { Purpose::Verify };
        let (before, _) = clock(&fixture).await;
        lose_the_worker(&fixture, loss, purpose).await;
        let (after, due) = clock(&fixture).await;
        invariants::check(env.pool(), &context).await;
        // Other transactions are not delayed.
        let another = drive::stored(&env.gateway).await;
        fixture.worker.executor.run_job(another, Purpose::Post, ()).await;
        assert_eq!(state(&env, another).await, State::Completed, "{context}");
        assert_eq!(fixture.losses().await, losses as i32 + 1, "{context}");
        if losses + 1 < most {
            assert_eq!(state(&env, fixture.id).await, State::Pending, "{context}");
            let delay = delay_after_worker_death(losses).as_secs_f64();
            let due = due.unwrap();
            assert!((before + delay..=after + delay).contains(&due), "{context}: due at {due}");
            drive::let_windows_pass(env.pool(), fixture.id).await;
        }
    }
    let transaction = env.gateway.transaction(&Scope::All, fixture.id).await.unwrap().unwrap();
    assert_eq!((transaction.status, transaction.next_attempt_at), (State::InDoubt, None));
    let error = transaction.error.unwrap();
    assert_eq!(error, format!("its worker died while processing it {most} times in a row"));
    assert_eq!(support::jobs(env.pool(), fixture.id).await, 0);
    // No worker executes it by itself.
    for purpose in [Purpose::Post, Purpose::Verify] {
        bounded("an execution of a transaction that is not due", fixture.execute(purpose))
            .await
            .unwrap();
    }
    assert_eq!(fixture.losses().await, most as i32);
    assert_eq!(fixture.ledger.entries(fixture.id), 0);

    // An operator who has removed the cause retries it.
    fixture.worker.client.clear_poison();
    let actor = Actor::anonymous();
    let retried =
        env.gateway.intervene(&actor, fixture.id, Intervention::Retry, Some("fixed")).await;
    assert_eq!(retried.unwrap().status, State::Pending);
    assert_eq!(fixture.losses().await, 0);
    assert_eq!(fixture.end("after the poison").await, State::Completed);
}

async fn state(env: &Environment, id: Uuid) -> State {
    support::state(&env.gateway, id).await
}

#[tokio::test]
async fn a_transaction_whose_execution_keeps_panicking_is_quarantined_and_others_continue() {
    keeps_losing_its_worker(Loss::Panic).await;
}

#[tokio::test]
async fn a_transaction_that_keeps_killing_its_worker_is_quarantined() {
    keeps_losing_its_worker(Loss::End).await;
}

#[tokio::test]
async fn a_transaction_that_loses_its_worker_now_and_then_is_not_quarantined() {
    let env = Environment::new().await;
    let fixture = Fixture::new(&env, 3).await;
    fixture.doubt(crate::posting_service::Post::Broken).await;
    for _ in 0..fixture.policy.max_worker_deaths() {
        fixture.worker.client.poison(fixture.id);
        bounded("an execution that panics", fixture.execute(Purpose::Verify)).await.unwrap();
        assert_eq!((fixture.losses().await, state(&env, fixture.id).await), (1, State::Pending));
        // One execution that ends normally.
        fixture.worker.client.clear_poison();
        fixture.worker.client.script_verifications([crate::posting_service::Verification::Failed]);
        drive::let_windows_pass(env.pool(), fixture.id).await;
        bounded("an execution that ends", fixture.execute(Purpose::Verify)).await.unwrap();
        assert_eq!(fixture.losses().await, 0);
        drive::let_windows_pass(env.pool(), fixture.id).await;
    }
    assert_eq!(fixture.end("now and then").await, State::Completed);
}
