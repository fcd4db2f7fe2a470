//! Two processes reclaim the same claims.

use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use crate::{
    breakpoints::bounded,
    fixture::{Fixture, Start, TestDatabase},
    invariants,
    support::POLICY,
};

async fn touch(connection: &mut PgConnection, id: Uuid) {
    sqlx::query("update transactions set changed_in = current_change() where id = $1")
        .bind(id)
        .execute(connection)
        .await
        .unwrap();
}

/// A connection within a database transaction.
async fn begun(pool: &PgPool) -> PgConnection {
    let mut connection = pool.acquire().await.unwrap().detach();
    sqlx::query("begin").execute(&mut connection).await.unwrap();
    connection
}

/// Waits until the session with pid `by` blocks the session `session`.
async fn blocked_by(pool: &PgPool, session: &str, by: i32) {
    let is_blocked = async {
        loop {
            let is_blocked: bool = sqlx::query_scalar(
                "select exists (
                    select from pg_stat_activity
                    where datname = current_database() and application_name = $1
                        and $2 = any (pg_blocking_pids(pid))
                 )",
            )
            .bind(session)
            .bind(by)
            .fetch_one(pool)
            .await
            .unwrap();
            if is_blocked {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    };
    bounded(&format!("{session} is blocked"), is_blocked).await;
}

async fn pid(connection: &mut PgConnection) -> i32 {
    sqlx::query_scalar("select pg_backend_pid()").fetch_one(connection).await.unwrap()
}

/// A row that is changed moves to the end of its table, so two processes that look for the same
/// rows can find them in opposite orders. They must not lock them in the orders in which they found
/// them.
#[tokio::test]
async fn two_processes_that_reclaim_the_same_claims_do_not_deadlock() {
    let database = TestDatabase::new().await;
    let pool = &database.own.pool;
    let mut fixtures = Vec::new();
    for _ in 0..3 {
        fixtures.push(Fixture::new(&database, Start::Orphaned, 0).await);
    }
    let [a, b, c] = [0, 1, 2].map(|number| fixtures[number].id);
    // Rewritten in the order of their ids, so that the table begins with them.
    for id in [a, b, c] {
        touch(&mut pool.acquire().await.unwrap(), id).await;
    }
    let reclaim_expired = |number: usize| {
        let pool = database.sessions[number].pool.clone();
        tokio::spawn(async move { gateway::reclaim_expired(&pool, &POLICY).await })
    };
    let (mut one, mut other) = (begun(pool).await, begun(pool).await);
    let (pid_of_one, pid_of_other) = (pid(&mut one).await, pid(&mut other).await);

    // The first has found a, b and c, and waits for a. Meanwhile b and a move behind c.
    touch(&mut one, a).await;
    let first = reclaim_expired(0);
    blocked_by(pool, "first", pid_of_one).await;
    touch(&mut pool.acquire().await.unwrap(), b).await;
    touch(&mut other, b).await;
    touch(&mut one, a).await;
    sqlx::query("commit").execute(&mut one).await.unwrap();
    // The first has a and waits for b. The second finds c first.
    blocked_by(pool, "first", pid_of_other).await;
    let second = reclaim_expired(1);
    database.breakpoints.blocked("second").await;
    sqlx::query("rollback").execute(&mut other).await.unwrap();

    let (first, second) = (first.await.unwrap(), second.await.unwrap());
    assert_eq!(first.unwrap() + second.unwrap(), 3);
    invariants::check(pool, "two processes that reclaim").await;
    for fixture in fixtures {
        fixture.end("two processes that reclaim").await;
    }
}
