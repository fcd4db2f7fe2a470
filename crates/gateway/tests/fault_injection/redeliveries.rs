//! Jobs that are delivered twice, and requests that panic.

use domain::State;
use gateway::Purpose;

use crate::{
    breakpoints::bounded,
    fixture::{Environment, Fixture},
    invariants,
    posting_service::{Post, Verification},
};

/// Brings a first execution of the worker to a barrier, and leaves the barrier closed.
async fn begin(fixture: &Fixture<'_>, purpose: Purpose, post: Post) -> tokio::task::JoinHandle<()> {
    let client = &fixture.worker.client;
    client.script_posts([post]);
    let barrier = match (purpose, post) {
        (Purpose::Verify, _) | (_, Post::Broken) => &client.before_verification,
        (Purpose::Post, Post::EnteredThenBroken) => &client.before_answer,
        (Purpose::Post, _) => &client.before_post,
    };
    barrier.close();
    let execution = fixture.execute(purpose);
    bounded("a request in flight", barrier.reached()).await;
    execution
}

#[tokio::test]
async fn a_job_redelivered_during_its_execution_changes_nothing() {
    let env = Environment::new().await;
    for (earlier, purpose, post) in [
        (None, Purpose::Post, Post::Entered),
        (None, Purpose::Post, Post::EnteredThenBroken),
        (None, Purpose::Post, Post::Broken),
        (Some(Post::Broken), Purpose::Verify, Post::Entered),
        (Some(Post::EnteredThenBroken), Purpose::Verify, Post::Entered),
    ] {
        for same_run in [true, false] {
            let context =
                format!("{purpose:?} of {post:?} after {earlier:?}, by the same run: {same_run}");
            let fixture = Fixture::new(&env, 3).await;
            if let Some(post) = earlier {
                fixture.doubt(post).await;
            }
            let first = begin(&fixture, purpose, post).await;
            let again = if same_run { &fixture.worker } else { &fixture.other };
            for purpose in [Purpose::Post, Purpose::Verify] {
                bounded(&context, again.executor.run_job(fixture.id, purpose, ())).await;
            }
            assert!(fixture.is_claimed().await, "{context}");
            invariants::check(env.pool(), &context).await;
            assert_eq!(fixture.worker.executor.in_flight(), [fixture.id], "{context}");
            fixture.worker.client.open();
            bounded(&context, first).await.unwrap();
            assert!(!fixture.is_claimed().await, "{context}");
            assert!(fixture.worker.executor.in_flight().is_empty(), "{context}");
            assert_eq!(fixture.end(&context).await, State::Completed, "{context}");
        }
    }
}

#[tokio::test]
async fn of_many_concurrent_executions_one_posts() {
    let env = Environment::new().await;
    let fixture = Fixture::new(&env, 3).await;
    let executions = (0..8).map(|number| {
        let worker = if number % 2 == 0 { &fixture.worker } else { &fixture.other };
        let (executor, id) = (worker.executor.clone(), fixture.id);
        tokio::spawn(async move { executor.run_job(id, Purpose::Post, ()).await })
    });
    for execution in executions.collect::<Vec<_>>() {
        bounded("one of many executions", execution).await.unwrap();
    }
    assert_eq!(fixture.ledger.posts(fixture.id), 1);
    assert_eq!(fixture.end("many executions").await, State::Completed);
}

#[tokio::test]
async fn a_job_redelivered_after_its_execution_changes_nothing() {
    let env = Environment::new().await;
    for (post, verification, posts) in [
        (Post::Entered, Verification::Honest, 1),
        (Post::Refused, Verification::Honest, 1),
        (Post::NotWritten, Verification::Honest, 1),
        (Post::Broken, Verification::Honest, 1),
        (Post::Broken, Verification::Failed, 1),
        (Post::Broken, Verification::Mismatch, 1),
    ] {
        let context = format!("{post:?} {verification:?}");
        let fixture = Fixture::new(&env, 3).await;
        fixture.worker.client.script_posts([post]);
        fixture.worker.client.script_verifications([verification]);
        for _ in 0..3 {
            bounded(&context, fixture.execute(Purpose::Post)).await.unwrap();
            invariants::check(env.pool(), &context).await;
        }
        bounded(&context, fixture.execute(Purpose::Verify)).await.unwrap();
        invariants::check(env.pool(), &context).await;
        assert_eq!(fixture.ledger.posts(fixture.id), posts, "{context}");
        fixture.end(&context).await;
    }
}

#[tokio::test]
async fn a_request_that_panics_ends_only_its_own_execution() {
    let env = Environment::new().await;
    for (earlier, post, verification) in [
        (None, Post::Panic, Verification::Honest),
        (None, Post::EnteredThenPanic, Verification::Honest),
        (None, Post::Broken, Verification::Panic),
        (None, Post::EnteredThenBroken, Verification::Panic),
        (Some(Post::Broken), Post::Entered, Verification::Panic),
        (Some(Post::EnteredThenBroken), Post::Entered, Verification::Panic),
    ] {
        let context = format!("{post:?} {verification:?} after {earlier:?}");
        let fixture = Fixture::new(&env, 3).await;
        let purpose = match earlier {
            Some(post) => {
                fixture.doubt(post).await;
                Purpose::Verify
            }
            None => {
                fixture.worker.client.script_posts([post]);
                Purpose::Post
            }
        };
        fixture.worker.client.script_verifications([verification]);
        bounded(&context, fixture.execute(purpose)).await.unwrap();
        assert!(!fixture.is_claimed().await, "{context}");
        assert!(fixture.worker.executor.in_flight().is_empty(), "{context}");
        assert_eq!(fixture.losses().await, 1, "{context}");
        invariants::check(env.pool(), &context).await;
        assert_eq!(fixture.end(&context).await, State::Completed, "{context}");
    }
}
