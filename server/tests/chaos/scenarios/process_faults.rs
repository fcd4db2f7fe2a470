//! Faults of Onceward's processes: killed, or stopped for a while.

use std::time::Duration;

use nix::sys::signal::Signal;
use rand::RngExt;
use tokio::time::{Instant, sleep, sleep_until};

use crate::{Fallible, observation::claims::Claims, testbed::Testbed, wait};

/// How long others may take to post what a stopped worker held.
const POSTED_WITHIN: Duration = Duration::from_secs(90);
/// How long it may take until a worker holds anything; under load that is immediate.
const BUSY_WITHIN: Duration = Duration::from_secs(30);
/// The delay of PostgreSQL's answers while a worker is about to be stopped.
const ANSWERS_TAKE: Duration = Duration::from_millis(300);

pub async fn kill_workers(testbed: &mut Testbed) -> Fallible<()> {
    for moment in testbed.moments(testbed.size.pick(6, 2), 0.05..0.95) {
        sleep_until(moment).await;
        let victim = draw_worker(testbed);
        kill_worker(testbed, victim).await?;
        testbed.restart_pause().await;
        testbed.fleet.restart_worker(victim).await?;
    }
    Ok(())
}

pub async fn kill_web(testbed: &mut Testbed) -> Fallible<()> {
    for moment in testbed.moments(testbed.size.pick(6, 2), 0.05..0.95) {
        sleep_until(moment).await;
        testbed.fleet.web.kill().await?;
        testbed.restart_pause().await;
        testbed.fleet.restart_web().await?;
    }
    Ok(())
}

pub async fn kill_both(testbed: &mut Testbed) -> Fallible<()> {
    for moment in testbed.moments(testbed.size.pick(5, 2), 0.05..0.95) {
        sleep_until(moment).await;
        let victim = draw_worker(testbed);
        kill_worker(testbed, victim).await?;
        testbed.fleet.web.kill().await?;
        testbed.restart_pause().await;
        testbed.fleet.restart_web().await?;
        testbed.fleet.restart_worker(victim).await?;
    }
    Ok(())
}

/// Stops each worker in turn until others have posted everything that it held, so that its claims
/// are outdated when it resumes; in between the other one is stopped for a moment.
pub async fn stop_workers(testbed: &mut Testbed) -> Fallible<()> {
    let (mut stopped_with, mut posted_by_others) = (0, 0);
    let stops = testbed.size.pick(3, 1);
    let first = draw_worker(testbed);
    for (nth, moment) in testbed.moments(stops, 0.05..0.8).into_iter().enumerate() {
        sleep_until(moment).await;
        let victim = (first + nth) % 2;
        let held = stop_after_claims(testbed, victim).await?;
        let stop_ms = testbed.rng.random_range(200..1_500);
        stop_worker(testbed, 1 - victim).await?;
        sleep(Duration::from_millis(stop_ms)).await;
        testbed.fleet.resume(1 - victim).await?;
        wait::until("others post what a stopped worker held", POSTED_WITHIN, || async {
            held.unfinished(&testbed.database).await.ok().filter(|unfinished| *unfinished == 0)
        })
        .await?;
        stopped_with += held.len();
        posted_by_others += held.posted_later(&testbed.database).await?;
        testbed.fleet.resume(victim).await?;
    }
    testbed.findings.remarks.push(format!(
        "workers were stopped with {stopped_with} claims; {posted_by_others} of them were posted by \
         others before they resumed, the rest was found posted"
    ));
    Ok(())
}

pub fn draw_worker(testbed: &mut Testbed) -> usize {
    testbed.rng.random_range(0..testbed.fleet.workers.len())
}

/// Kills a worker, and measures the recovery of what it held. The claims are read after the kill:
/// once the statements it had sent are executed, they change no more until its lease expires.
pub async fn kill_worker(testbed: &mut Testbed, victim: usize) -> Fallible<Claims> {
    let worker = &mut testbed.fleet.workers[victim];
    worker.process.kill().await?;
    let killed_at = Instant::now();
    let mut held = Claims::of(&testbed.database, worker.run).await?;
    loop {
        wait::pause().await;
        let now = Claims::of(&testbed.database, worker.run).await?;
        if now.len() == held.len() {
            break;
        }
        held = now;
    }
    testbed.measure_recovery(held.clone(), "a worker was killed", killed_at);
    Ok(held)
}

/// Stops a worker that has just claimed transactions and does not know it yet, because PostgreSQL's
/// answers are delayed. It must not post them when it resumes.
async fn stop_after_claims(testbed: &mut Testbed, victim: usize) -> Fallible<Claims> {
    let run = testbed.fleet.workers[victim].run;
    let proxy = testbed.proxy.as_ref().ok_or("there is no proxy")?;
    proxy.delay_answers(ANSWERS_TAKE);
    let before = Claims::of(&testbed.database, run).await?;
    let at_least = testbed.size.pick(5, 2);
    wait::until("a worker claims transactions", BUSY_WITHIN, || async {
        let held = Claims::of(&testbed.database, run).await.ok()?;
        let new = held.ids.iter().filter(|id| !before.ids.contains(id)).count();
        (new >= at_least).then_some(())
    })
    .await?;
    let held = stop_worker(testbed, victim).await?;
    testbed.proxy.iter().for_each(|proxy| proxy.delay_answers(Duration::ZERO));
    Ok(held)
}

/// Stops a worker at a moment at which it holds something, and returns what it held.
pub async fn stop_worker(testbed: &mut Testbed, victim: usize) -> Fallible<Claims> {
    let worker = &testbed.fleet.workers[victim];
    wait::until("a worker that is to be stopped is busy", BUSY_WITHIN, || async {
        Claims::of(&testbed.database, worker.run).await.ok().filter(|held| !held.is_empty())
    })
    .await?;
    worker.process.signal(Signal::SIGSTOP)?;
    let stopped_at = Instant::now();
    let held = Claims::of(&testbed.database, worker.run).await?;
    testbed.measure_recovery(held.clone(), "a worker was stopped", stopped_at);
    Ok(held)
}
