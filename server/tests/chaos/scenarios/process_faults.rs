//! Faults of Onceward's processes: killed, or stopped for a while.

use std::time::Duration;

use nix::sys::signal::Signal;
use rand::RngExt;
use tokio::time::{Instant, sleep, sleep_until};

use crate::{Fallible, observation::claims::Claims, testbed::Stage, wait};

/// How long others may take to get posted what a stopped worker held.
const POSTED_WITHIN: Duration = Duration::from_secs(90);
/// How long it may take until a worker holds anything; under load that is at once.
const BUSY_WITHIN: Duration = Duration::from_secs(30);
/// How long answers of PostgreSQL take when a worker is about to be stopped.
const ANSWERS_TAKE: Duration = Duration::from_millis(300);

pub async fn kill_workers(stage: &mut Stage) -> Fallible<()> {
    for moment in stage.moments(stage.size.pick(6, 2), 0.05..0.95) {
        sleep_until(moment).await;
        let victim = draw_worker(stage);
        kill_worker(stage, victim).await?;
        stage.short_while().await;
        stage.fleet.start_worker_again(victim).await?;
    }
    Ok(())
}

pub async fn kill_web(stage: &mut Stage) -> Fallible<()> {
    for moment in stage.moments(stage.size.pick(6, 2), 0.05..0.95) {
        sleep_until(moment).await;
        stage.fleet.web.kill().await?;
        stage.short_while().await;
        stage.fleet.start_web_again().await?;
    }
    Ok(())
}

pub async fn kill_both(stage: &mut Stage) -> Fallible<()> {
    for moment in stage.moments(stage.size.pick(5, 2), 0.05..0.95) {
        sleep_until(moment).await;
        let victim = draw_worker(stage);
        kill_worker(stage, victim).await?;
        stage.fleet.web.kill().await?;
        stage.short_while().await;
        stage.fleet.start_web_again().await?;
        stage.fleet.start_worker_again(victim).await?;
    }
    Ok(())
}

/// Each worker in turn is stopped until others have posted all that it held, so that it comes back
/// to a world that went on without it; in between the other one is stopped for a moment.
pub async fn stop_workers(stage: &mut Stage) -> Fallible<()> {
    let (mut stopped_with, mut posted_by_others) = (0, 0);
    let stops = stage.size.pick(3, 1);
    let first = draw_worker(stage);
    for (nth, moment) in stage.moments(stops, 0.05..0.8).into_iter().enumerate() {
        sleep_until(moment).await;
        let victim = (first + nth) % 2;
        let held = stop_after_claims(stage, victim).await?;
        let stop_ms = stage.draw.random_range(200..1_500);
        stop_worker(stage, 1 - victim).await?;
        sleep(Duration::from_millis(stop_ms)).await;
        stage.fleet.resume(1 - victim).await?;
        wait::until("others post what a stopped worker held", POSTED_WITHIN, || async {
            held.unfinished(&stage.database).await.ok().filter(|unfinished| *unfinished == 0)
        })
        .await?;
        stopped_with += held.len();
        posted_by_others += held.posted_later(&stage.database).await?;
        stage.fleet.resume(victim).await?;
    }
    stage.findings.remarks.push(format!(
        "workers were stopped with {stopped_with} claims; {posted_by_others} of them were posted by \
         others before they went on, the rest was found posted"
    ));
    Ok(())
}

pub fn draw_worker(stage: &mut Stage) -> usize {
    stage.draw.random_range(0..stage.fleet.workers.len())
}

/// Kills a worker, and watches what it held. That is asked after the kill: once what it had told
/// PostgreSQL has landed, it changes no more until the lease is over.
pub async fn kill_worker(stage: &mut Stage, victim: usize) -> Fallible<Claims> {
    let worker = &mut stage.fleet.workers[victim];
    worker.process.kill().await?;
    let killed_at = Instant::now();
    let mut held = Claims::of(&stage.database, worker.run).await?;
    loop {
        wait::pause().await;
        let now = Claims::of(&stage.database, worker.run).await?;
        if now.len() == held.len() {
            break;
        }
        held = now;
    }
    stage.watch(held.clone(), "a worker was killed", killed_at);
    Ok(held)
}

/// Stops a worker that has just claimed transactions and does not know so yet, since answers of
/// PostgreSQL take a while. It must not post them when it goes on.
async fn stop_after_claims(stage: &mut Stage, victim: usize) -> Fallible<Claims> {
    let run = stage.fleet.workers[victim].run;
    let proxy = stage.proxy.as_ref().ok_or("there is no proxy")?;
    proxy.delay_answers(ANSWERS_TAKE);
    let before = Claims::of(&stage.database, run).await?;
    let at_least = stage.size.pick(5, 2);
    wait::until("a worker claims transactions", BUSY_WITHIN, || async {
        let held = Claims::of(&stage.database, run).await.ok()?;
        let new = held.ids.iter().filter(|id| !before.ids.contains(id)).count();
        (new >= at_least).then_some(())
    })
    .await?;
    let held = stop_worker(stage, victim).await?;
    stage.proxy.iter().for_each(|proxy| proxy.delay_answers(Duration::ZERO));
    Ok(held)
}

/// Stops a worker at a moment at which it holds something, and gives what.
pub async fn stop_worker(stage: &mut Stage, victim: usize) -> Fallible<Claims> {
    let worker = &stage.fleet.workers[victim];
    wait::until("a worker that is to be stopped is busy", BUSY_WITHIN, || async {
        Claims::of(&stage.database, worker.run).await.ok().filter(|held| !held.is_empty())
    })
    .await?;
    worker.process.signal(Signal::SIGSTOP)?;
    let stopped_at = Instant::now();
    let held = Claims::of(&stage.database, worker.run).await?;
    stage.watch(held.clone(), "a worker was stopped", stopped_at);
    Ok(held)
}
