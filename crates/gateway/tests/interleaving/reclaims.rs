//! Two recoverers over many claims.

use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use crate::{
    breakpoints::bounded,
    fixture::{Scene, Start, Theatre},
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

/// Waits until the second of these sessions holds up the first.
async fn held_up_by(pool: &PgPool, session: &str, by: i32) {
    let held_up = async {
        loop {
            let held_up: bool = sqlx::query_scalar(
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
            if held_up {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    };
    bounded(&format!("{session} is held up"), held_up).await;
}

async fn pid(connection: &mut PgConnection) -> i32 {
    sqlx::query_scalar("select pg_backend_pid()").fetch_one(connection).await.unwrap()
}

/// A row that is changed moves to the end of its table, so two who look for the same rows can find them
/// in opposite orders. They must not lock them in the orders in which they found them.
#[tokio::test]
async fn two_who_take_back_the_same_claims_do_not_wait_for_each_other_in_a_circle() {
    let theatre = Theatre::new().await;
    let pool = &theatre.own.pool;
    let mut scenes = Vec::new();
    for _ in 0..3 {
        scenes.push(Scene::new(&theatre, Start::Orphaned, 0).await);
    }
    let [a, b, c] = [0, 1, 2].map(|number| scenes[number].id);
    // Made anew in the order of their ids, so that this is where the table begins.
    for id in [a, b, c] {
        touch(&mut pool.acquire().await.unwrap(), id).await;
    }
    let recover = |number: usize| {
        let pool = theatre.sessions[number].pool.clone();
        tokio::spawn(async move { gateway::recover(&pool, &POLICY).await })
    };
    let (mut one, mut other) = (begun(pool).await, begun(pool).await);
    let (pid_of_one, pid_of_other) = (pid(&mut one).await, pid(&mut other).await);

    // The first has found a, b, c, and waits for a. Meanwhile b and a move behind c.
    touch(&mut one, a).await;
    let first = recover(0);
    held_up_by(pool, "first", pid_of_one).await;
    touch(&mut pool.acquire().await.unwrap(), b).await;
    touch(&mut other, b).await;
    touch(&mut one, a).await;
    sqlx::query("commit").execute(&mut one).await.unwrap();
    // It has a, and waits for b. The second finds c first.
    held_up_by(pool, "first", pid_of_other).await;
    let second = recover(1);
    theatre.stage.blocked("second").await;
    sqlx::query("rollback").execute(&mut other).await.unwrap();

    let (first, second) = (first.await.unwrap(), second.await.unwrap());
    assert_eq!(first.unwrap() + second.unwrap(), 3);
    invariants::check(pool, "two recoverers").await;
    for scene in scenes {
        scene.end("two recoverers").await;
    }
}
