//! A transaction that cannot be read is neither posted nor called failed, and holds up nothing.

use domain::{Ending, Finding, Outcome, State, protocol::Step};
use futures::future::join_all;
use gateway::{ExecutionResult, Purpose};
use sqlx::{AssertSqlSafe, PgPool};
use uuid::Uuid;

use crate::{
    fixture::{Fixture, fixture},
    support::{execute, let_time_pass, state, stored},
};

async fn change(pool: &PgPool, id: Uuid, columns: &str) {
    sqlx::raw_sql("alter table transactions drop constraint if exists transactions_amount_check")
        .execute(pool)
        .await
        .unwrap();
    let statement = format!("update transactions set {columns} where id = '{id}'");
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(pool).await.unwrap();
}

/// Its state, attempts that count, deaths of workers, and whether it is due later.
async fn row(pool: &PgPool, id: Uuid) -> (String, i32, i32, bool) {
    sqlx::query_as(
        "select state, attempts, lost_claims, next_attempt_at is not null from transactions where id = $1",
    )
    .bind(id)
    .fetch_one(pool)
    .await
    .unwrap()
}

async fn error(pool: &PgPool, id: Uuid) -> Option<String> {
    let error = sqlx::query_scalar("select error from transactions where id = $1");
    error.bind(id).fetch_one(pool).await.unwrap()
}

#[tokio::test]
async fn a_transaction_that_cannot_be_read_waits_unposted_and_those_claimed_with_it_are_posted() {
    let Fixture { pool, gateway, service, executor, id: damaged, .. } = fixture().await;
    let others = [stored(&gateway).await, stored(&gateway).await, stored(&gateway).await];
    for damage in ["amount = 'NaN'", "amount = 1e40", "occurred_at = 'infinity'", "metadata = '1'"]
    {
        change(&pool, damaged, damage).await;
        for _ in 0..2 {
            let result = executor.execute(damaged, Purpose::Post, ()).await.unwrap();
            assert!(matches!(result, ExecutionResult::Took(Step::Retry { .. })), "{result:?}");
            assert_eq!(row(&pool, damaged).await, ("pending".to_owned(), 0, 0, true), "{damage}");
            let column = damage.split(' ').next().unwrap();
            let expected = format!("the stored value of {column} cannot be read");
            assert_eq!(error(&pool, damaged).await, Some(expected));
            let_time_pass(&pool, damaged, 0).await;
        }
        change(&pool, damaged, "amount = 1, occurred_at = null, metadata = null").await;
    }
    change(&pool, damaged, "amount = 'NaN'").await;
    for _ in others {
        service.answers_status(201);
    }
    // Those that come while the first is claimed are claimed together.
    let all = [others[0], damaged, others[1], others[2]];
    let results = join_all(all.map(|id| executor.execute(id, Purpose::Post, ()))).await;
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    for id in others {
        assert_eq!(state(&gateway, id).await, State::Completed);
    }
    assert_eq!(service.requests(), ["post"; 3]);
    assert_eq!(gateway.health().await.unwrap().unreadable, Some(1));

    // Once it is repaired, it is posted.
    change(&pool, damaged, "amount = 1").await;
    let_time_pass(&pool, damaged, 0).await;
    service.answers_status(201);
    execute(&executor, &pool, damaged).await.unwrap();
    assert_eq!(state(&gateway, damaged).await, State::Completed);
}

#[tokio::test]
async fn a_transaction_whose_outcome_is_unknown_stays_so_while_it_cannot_be_read() {
    let fixture = fixture().await;
    let Fixture { pool, gateway, service, executor, id, .. } = &fixture;
    service.answers(Ending::Broken).shows(Finding::Failed);
    execute(executor, pool, *id).await.unwrap();
    change(pool, *id, "amount = 'NaN', doubt_since = 'infinity'").await;
    for _ in 0..5 {
        let_time_pass(pool, *id, 600).await;
        let result = executor.execute(*id, Purpose::Verify, ()).await.unwrap();
        assert!(matches!(result, ExecutionResult::Took(Step::Retry { .. } | Step::InDoubt { .. })));
        let (state, attempts, losses, is_due) = row(pool, *id).await;
        assert!(["pending", "in_doubt"].contains(&&*state), "{state}");
        assert_eq!((attempts, losses, is_due), (1, 0, true));
    }
    assert_eq!(service.requests(), ["post", "verify"]);
    assert_eq!(fixture.outcomes().await, [Some(Outcome::Unknown)]);
    let reason = error(pool, *id).await.unwrap();
    assert!(reason.contains("the stored value of amount cannot be read"), "{reason}");

    change(pool, *id, "amount = 100.50, doubt_since = now() - interval '1 hour'").await;
    let_time_pass(pool, *id, 0).await;
    service.shows(Finding::Found);
    executor.execute(*id, Purpose::Verify, ()).await.unwrap();
    assert_eq!(state(gateway, *id).await, State::Completed);
}

#[tokio::test]
async fn a_trace_that_cannot_be_read_does_not_hold_a_transaction_back() {
    let fixture = fixture().await;
    sqlx::raw_sql("alter table transactions drop constraint transactions_traceparent_check")
        .execute(&fixture.pool)
        .await
        .unwrap();
    change(&fixture.pool, fixture.id, "traceparent = 'no trace'").await;
    fixture.service.answers_status(201);
    fixture.execute().await;
    assert_eq!(fixture.state().await, State::Completed);
}
