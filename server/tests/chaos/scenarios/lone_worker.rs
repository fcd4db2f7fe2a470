//! One of two busy workers is killed for good: the other takes over what it held, and nothing else.

use std::time::Duration;

use rand::RngExt;
use simulator::Faults;
use sqlx::PgPool;
use tokio::time::{Instant, sleep_until};
use uuid::Uuid;

use crate::{
    Fallible, observation::claims::Claims, scenarios::process_faults::kill_worker, testbed::Stage,
    wait,
};

/// A posting service so slow that both workers have as many requests under way as they may.
pub fn slow() -> Faults {
    Faults { latency_median_ms: 1_500, verification_latency_median_ms: 50, ..Faults::none() }
}

/// `POSTING_CONCURRENCY` as it is by default.
const CONCURRENCY: usize = 64;
/// How long it may take until both workers are as busy as they can be.
const BUSY_WITHIN: Duration = Duration::from_secs(30);
/// The product's promise: the first claim of a dead worker is taken up by another within this.
const TAKEN_UP_WITHIN: Duration = Duration::from_secs(10);

pub async fn kill_one_of_two(stage: &mut Stage) -> Fallible<()> {
    let runs = [stage.fleet.workers[0].run, stage.fleet.workers[1].run];
    let part = stage.draw.random_range(0.2..0.4);
    sleep_until(stage.moment(part)).await;
    // A turn that has just ended leaves its place free for a moment.
    wait::until("both workers hold all they can", BUSY_WITHIN, || async {
        let held = both(&stage.database, runs).await.ok()?;
        held.iter().all(|claims| claims.len() >= CONCURRENCY - 8).then_some(())
    })
    .await?;

    let victim = stage.draw.random_range(0..2);
    let (dead, alive) = (runs[victim], runs[1 - victim]);
    let of_the_living = Claims::of(&stage.database, alive).await?;
    let held = kill_worker(stage, victim).await?;
    let killed_at = Instant::now();
    // Gone for good, so its end is no finding.
    stage.fleet.workers.remove(victim);
    // What waits meanwhile must not stand in the way of what the dead one held.
    let quick = Faults { latency_median_ms: 100, ..slow() };
    stage.service.set_faults(&quick).await?;

    let first = wait::until("the other worker takes up what a dead one held", BUSY_WITHIN, || {
        taken_up_by(&stage.database, &held, alive)
    });
    first.await?;
    let took = killed_at.elapsed();
    stage.findings.remarks.push(format!(
        "{} claims of the dead worker and {} of the living one; the first was taken up after {:.1} s",
        held.len(),
        of_the_living.len(),
        took.as_secs_f64(),
    ));
    if took > TAKEN_UP_WITHIN {
        let broken = format!("the first claim of {dead} was taken up after {took:?}");
        stage.findings.broken.push(broken);
    }
    let everything_is_taken_up =
        held.clone().taken_up(stage.database.clone(), "a worker was killed for good", killed_at);
    everything_is_taken_up.await?;
    check_the_living(stage, &held).await
}

async fn both(database: &PgPool, runs: [Uuid; 2]) -> sqlx::Result<[Claims; 2]> {
    Ok([Claims::of(database, runs[0]).await?, Claims::of(database, runs[1]).await?])
}

/// Whether one of these claims is held, or was ended, under a later fence.
async fn taken_up_by(database: &PgPool, claims: &Claims, run: Uuid) -> Option<()> {
    let taken: bool = sqlx::query_scalar(
        "select exists (
            select from transactions t
            join unnest($1, $2) as claim (id, fence) on t.id = claim.id and t.fence > claim.fence
            where t.claimed_by = $3 or t.completed_at is not null
         )",
    )
    .bind(&claims.ids)
    .bind(&claims.fences)
    .bind(run)
    .fetch_one(database)
    .await
    .ok()?;
    taken.then_some(())
}

/// No attempt but the dead worker's was given up by somebody else.
async fn check_the_living(stage: &mut Stage, dead: &Claims) -> Fallible<()> {
    let disturbed: Vec<Uuid> = sqlx::query_scalar(
        "select transaction_id from attempts a
         left join unnest($1, $2) as dead (id, fence)
            on a.transaction_id = dead.id and a.fence = dead.fence
         where a.transport_error = 'the worker stopped before the answer came'
            and dead.id is null",
    )
    .bind(&dead.ids)
    .bind(&dead.fences)
    .fetch_all(&stage.database)
    .await?;
    if !disturbed.is_empty() {
        let broken = format!("claims of a living worker were taken from it: {disturbed:?}");
        stage.findings.broken.push(broken);
    }
    Ok(())
}
