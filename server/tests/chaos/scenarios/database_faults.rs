//! Faults of PostgreSQL: terminated sessions, restarts, and a stop under load.

use std::time::Duration;

use nix::sys::signal::Signal;
use rand::{RngExt, seq::IndexedRandom};
use tokio::time::{Instant, sleep, sleep_until};

use crate::{
    Fallible,
    observation::{claims::Claims, probe::Probe},
    testbed::Testbed,
};

/// Terminates up to five sessions of Onceward at a time, a few times a second.
pub async fn terminate_backends(testbed: &mut Testbed) -> Fallible<()> {
    let end = testbed.moment(0.95);
    let mut terminated = 0;
    while Instant::now() < end {
        let pause_ms = testbed.rng.random_range(100..600);
        sleep(Duration::from_millis(pause_ms)).await;
        let held = Claims::of_all(&testbed.database).await?;
        let sessions: Vec<i32> = sqlx::query_scalar(
            "select pid from pg_stat_activity
             where datname = 'onceward' and application_name = 'onceward' order by pid",
        )
        .fetch_all(&testbed.database)
        .await?;
        let count = testbed.rng.random_range(1..=5);
        let victims: Vec<i32> = sessions.sample(&mut testbed.rng, count).copied().collect();
        sqlx::query("select pg_terminate_backend(pid) from unnest($1) as victim (pid)")
            .bind(&victims)
            .execute(&testbed.database)
            .await?;
        terminated += victims.len();
        testbed.measure_recovery(held, "sessions were terminated", Instant::now());
    }
    testbed.findings.remarks.push(format!("{terminated} sessions were terminated"));
    Ok(())
}

pub async fn restart_fast(testbed: &mut Testbed) -> Fallible<()> {
    restarts(testbed, Signal::SIGINT, "PostgreSQL was restarted").await
}

pub async fn restart_immediately(testbed: &mut Testbed) -> Fallible<()> {
    restarts(testbed, Signal::SIGQUIT, "PostgreSQL crashed").await
}

async fn restarts(testbed: &mut Testbed, signal: Signal, fault: &'static str) -> Fallible<()> {
    for moment in testbed.moments(testbed.size.pick(3, 2), 0.05..0.95) {
        sleep_until(moment).await;
        restart(testbed, signal, fault).await?;
    }
    Ok(())
}

/// Restarts once, with a short pause in between.
pub async fn restart(testbed: &mut Testbed, signal: Signal, fault: &'static str) -> Fallible<()> {
    let held = Claims::of_all(&testbed.database).await?;
    let stopped_at = Instant::now();
    testbed.cluster_mut()?.stop(signal).await?;
    testbed.restart_pause().await;
    testbed.cluster_mut()?.restart().await?;
    testbed.measure_recovery(held, fault, stopped_at);
    Ok(())
}

/// Stops PostgreSQL with SIGSTOP, then crashes it, for ten seconds each; shorter in the short form.
/// Meanwhile every request is answered, and what was accepted is stored afterwards.
pub async fn stop_and_crash(testbed: &mut Testbed) -> Fallible<()> {
    let lasts = Duration::from_secs(testbed.size.pick(10, 3));
    sleep_until(testbed.moment(0.05)).await;
    for crashes in [false, true] {
        let held = Claims::of_all(&testbed.database).await?;
        let stopped_at = Instant::now();
        let probe = Probe::start(&testbed.fleet.web_url)?;
        if crashes {
            testbed.cluster_mut()?.stop(Signal::SIGQUIT).await?;
            sleep(lasts).await;
            testbed.cluster_mut()?.restart().await?;
        } else {
            testbed.cluster()?.freeze()?;
            sleep(lasts).await;
            testbed.cluster()?.thaw()?;
        }
        let fault = if crashes { "PostgreSQL was down" } else { "PostgreSQL was stopped" };
        let (remark, violations) = probe.end(&testbed.database).await?;
        testbed.findings.remarks.push(format!("{fault} for {} s: {remark}", lasts.as_secs()));
        testbed
            .findings
            .violations
            .extend(violations.into_iter().map(|what| format!("{fault}: {what}")));
        testbed.measure_recovery(held, fault, stopped_at);
    }
    Ok(())
}
