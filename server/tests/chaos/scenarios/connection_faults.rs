//! Faults between Onceward and PostgreSQL: connections that break, lose answers and stall, and none
//! available.

use std::time::Duration;

use futures::future::join_all;
use rand::RngExt;
use sqlx::PgConnection;
use tokio::time::{Instant, sleep, sleep_until};

use crate::{
    Fallible,
    observation::claims::Claims,
    testbed::{Testbed, proxy::Proxy},
    wait,
};

/// How long a stall lasts.
const STALL: Duration = Duration::from_secs(3);
/// How long it may take until answers are lost; under load that is immediate.
const LOST_WITHIN: Duration = Duration::from_secs(10);
/// How long to try to take every connection.
const OCCUPIED_WITHIN: Duration = Duration::from_secs(5);
/// How many connections are opened at once.
const AT_ONCE: usize = 16;
/// SQLSTATE: sorry, too many clients already.
const TOO_MANY_CONNECTIONS: &str = "53300";

/// Alternately cuts everything and loses some answers; stalls once, in the middle.
pub async fn cut(testbed: &mut Testbed) -> Fallible<()> {
    let faults = testbed.size.pick(12, 6);
    for (nth, moment) in testbed.moments(faults, 0.05..0.95).into_iter().enumerate() {
        sleep_until(moment).await;
        let held = Claims::of_all(&testbed.database).await?;
        let began_at = Instant::now();
        let answers = testbed.rng.random_range(3..20);
        let proxy = testbed.proxy.as_ref().ok_or("there is no proxy")?;
        if nth == faults / 2 {
            proxy.stall(true);
            sleep(STALL).await;
            proxy.stall(false);
        } else if nth % 2 == 0 {
            proxy.cut_all();
        } else {
            lose_answers(proxy, answers).await?;
        }
        testbed.measure_recovery(held, "connections to PostgreSQL broke", began_at);
    }
    let lost = testbed.proxy.as_ref().map_or(0, Proxy::answers_lost);
    testbed.findings.remarks.push(format!("{lost} answers of PostgreSQL were lost"));
    Ok(())
}

/// Loses about this many answers, each with its connection.
async fn lose_answers(proxy: &Proxy, answers: u64) -> Fallible<()> {
    let enough = proxy.answers_lost() + answers;
    proxy.lose_answers(true);
    let lost = wait::until("answers of PostgreSQL are lost", LOST_WITHIN, || async {
        (proxy.answers_lost() >= enough).then_some(())
    });
    let lost = lost.await;
    proxy.lose_answers(false);
    lost
}

/// Alternately: the table is locked, so that every pooled connection waits; or others take all of
/// PostgreSQL's connections, so that the pools cannot replace theirs, which are terminated.
pub async fn exhaust(testbed: &mut Testbed) -> Fallible<()> {
    let mut observer = testbed.cluster()?.connect().await?;
    for (nth, moment) in testbed.moments(testbed.size.pick(6, 2), 0.05..0.9).into_iter().enumerate()
    {
        sleep_until(moment).await;
        let held = Claims::of_all(&testbed.database).await?;
        let began_at = Instant::now();
        let lasts = Duration::from_millis(testbed.rng.random_range(2_000..3_000));
        if nth % 2 == 0 {
            lock_table(&mut observer, lasts).await?;
            testbed.measure_recovery(held, "the table was locked", began_at);
        } else {
            let taken = take_all_connections(testbed, &mut observer).await?;
            sleep(lasts).await;
            testbed.findings.remarks.push(format!("others held {} connections", taken.len()));
            drop(taken);
            testbed.measure_recovery(held, "others took all connections", began_at);
        }
    }
    Ok(())
}

async fn lock_table(connection: &mut PgConnection, lasts: Duration) -> Fallible<()> {
    let lock = sqlx::raw_sql("begin; lock table transactions in access exclusive mode");
    lock.execute(&mut *connection).await?;
    sleep(lasts).await;
    sqlx::query("rollback").execute(connection).await?;
    Ok(())
}

/// Takes every free connection, and those of Onceward as they are terminated. Onceward tries to
/// reconnect, so it may keep a few.
async fn take_all_connections(
    testbed: &Testbed,
    observer: &mut PgConnection,
) -> Fallible<Vec<PgConnection>> {
    let mut taken = Vec::new();
    let until = Instant::now() + OCCUPIED_WITHIN;
    loop {
        let cluster = testbed.cluster()?;
        let at_once = join_all((0..AT_ONCE).map(|_| cluster.connect())).await;
        let mut is_full = false;
        for connected in at_once {
            match connected {
                Ok(connection) => taken.push(connection),
                Err(error) if is_too_many(error.as_ref()) => is_full = true,
                // So many connect that the socket's own queue is full.
                Err(error) if is_io(error.as_ref()) => {}
                Err(error) => return Err(error),
            }
        }
        let mut left = None;
        if is_full {
            let terminated = sqlx::query(
                "select pg_terminate_backend(pid) from pg_stat_activity
                 where datname = 'onceward' and application_name = 'onceward'",
            );
            left = Some(terminated.execute(&mut *observer).await?.rows_affected());
        }
        if left == Some(0) || Instant::now() > until {
            return Ok(taken);
        }
    }
}

fn is_io(error: &(dyn std::error::Error + Send + Sync + 'static)) -> bool {
    matches!(error.downcast_ref(), Some(sqlx::Error::Io(_)))
}

fn is_too_many(error: &(dyn std::error::Error + Send + Sync + 'static)) -> bool {
    let error = error.downcast_ref::<sqlx::Error>().and_then(sqlx::Error::as_database_error);
    error.and_then(|error| error.code()).is_some_and(|code| code == TOO_MANY_CONNECTIONS)
}
