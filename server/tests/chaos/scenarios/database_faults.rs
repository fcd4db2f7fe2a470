//! Faults of PostgreSQL: sessions that are ended, restarts, and a stop under load.

use std::time::Duration;

use nix::sys::signal::Signal;
use rand::{RngExt, seq::IndexedRandom};
use tokio::time::{Instant, sleep, sleep_until};

use crate::{
    Fallible,
    observation::{claims::Claims, probe::Probe},
    testbed::Stage,
};

/// Ends up to five sessions of Onceward at a time, a few times a second.
pub async fn terminate_backends(stage: &mut Stage) -> Fallible<()> {
    let end = stage.moment(0.95);
    let mut terminated = 0;
    while Instant::now() < end {
        let pause_ms = stage.draw.random_range(100..600);
        sleep(Duration::from_millis(pause_ms)).await;
        let held = Claims::of_all(&stage.database).await?;
        let sessions: Vec<i32> = sqlx::query_scalar(
            "select pid from pg_stat_activity
             where datname = 'onceward' and application_name = 'onceward' order by pid",
        )
        .fetch_all(&stage.database)
        .await?;
        let count = stage.draw.random_range(1..=5);
        let victims: Vec<i32> = sessions.sample(&mut stage.draw, count).copied().collect();
        sqlx::query("select pg_terminate_backend(pid) from unnest($1) as victim (pid)")
            .bind(&victims)
            .execute(&stage.database)
            .await?;
        terminated += victims.len();
        stage.watch(held, "sessions were ended", Instant::now());
    }
    stage.findings.remarks.push(format!("{terminated} sessions were ended"));
    Ok(())
}

pub async fn restart_fast(stage: &mut Stage) -> Fallible<()> {
    restarts(stage, Signal::SIGINT, "PostgreSQL was restarted").await
}

pub async fn restart_immediately(stage: &mut Stage) -> Fallible<()> {
    restarts(stage, Signal::SIGQUIT, "PostgreSQL crashed").await
}

async fn restarts(stage: &mut Stage, signal: Signal, fault: &'static str) -> Fallible<()> {
    for moment in stage.moments(stage.size.pick(3, 2), 0.05..0.95) {
        sleep_until(moment).await;
        restart(stage, signal, fault).await?;
    }
    Ok(())
}

/// One restart, with a short while in between.
pub async fn restart(stage: &mut Stage, signal: Signal, fault: &'static str) -> Fallible<()> {
    let held = Claims::of_all(&stage.database).await?;
    let stopped_at = Instant::now();
    stage.cluster.stop(signal).await?;
    stage.short_while().await;
    stage.cluster.start_again().await?;
    stage.watch(held, fault, stopped_at);
    Ok(())
}

/// Stops PostgreSQL where it stands, and crashes it, for ten seconds each; shorter in the short form.
/// Meanwhile every request is answered, and what was accepted is there afterwards.
pub async fn stop_and_crash(stage: &mut Stage) -> Fallible<()> {
    let lasts = Duration::from_secs(stage.size.pick(10, 3));
    sleep_until(stage.moment(0.05)).await;
    for crashes in [false, true] {
        let held = Claims::of_all(&stage.database).await?;
        let stopped_at = Instant::now();
        let probe = Probe::start(&stage.fleet.web_url)?;
        if crashes {
            stage.cluster.stop(Signal::SIGQUIT).await?;
            sleep(lasts).await;
            stage.cluster.start_again().await?;
        } else {
            stage.cluster.freeze()?;
            sleep(lasts).await;
            stage.cluster.thaw()?;
        }
        let fault = if crashes { "PostgreSQL was away" } else { "PostgreSQL was stopped" };
        let (remark, broken) = probe.end(&stage.database).await?;
        stage.findings.remarks.push(format!("{fault} for {} s: {remark}", lasts.as_secs()));
        stage.findings.broken.extend(broken.into_iter().map(|what| format!("{fault}: {what}")));
        stage.watch(held, fault, stopped_at);
    }
    Ok(())
}
