//! One of two busy workers is killed and not restarted: the other reclaims what it held, and
//! nothing else.

use std::time::Duration;

use rand::RngExt;
use simulator::Faults;
use sqlx::PgPool;
use tokio::time::{Instant, sleep_until};
use uuid::Uuid;

use crate::{
    Fallible, observation::claims::Claims, scenarios::process_faults::kill_worker,
    testbed::Testbed, wait,
};

/// A posting service so slow that both workers reach their concurrency limit.
pub fn slow() -> Faults {
    Faults { latency_median_ms: 1_500, verification_latency_median_ms: 50, ..Faults::none() }
}

/// The default of `POSTING_CONCURRENCY`.
const CONCURRENCY: usize = 64;
/// How long it may take until both workers are at their limit.
const BUSY_WITHIN: Duration = Duration::from_secs(30);
/// The product's promise: the first claim of a dead worker is reclaimed within this time.
const RECLAIMED_WITHIN: Duration = Duration::from_secs(10);

pub async fn kill_one_of_two(testbed: &mut Testbed) -> Fallible<()> {
    let runs = [testbed.fleet.workers[0].run, testbed.fleet.workers[1].run];
    let part = testbed.rng.random_range(0.2..0.4);
    sleep_until(testbed.moment(part)).await;
    // An execution that has just ended leaves its permit free for a moment.
    wait::until("both workers are at their limit", BUSY_WITHIN, || async {
        let held = both(&testbed.database, runs).await.ok()?;
        held.iter().all(|claims| claims.len() >= CONCURRENCY - 8).then_some(())
    })
    .await?;

    let victim = testbed.rng.random_range(0..2);
    let (dead, alive) = (runs[victim], runs[1 - victim]);
    let held_by_live = Claims::of(&testbed.database, alive).await?;
    let held = kill_worker(testbed, victim).await?;
    let killed_at = Instant::now();
    // It is not restarted, so its end is no violation.
    testbed.fleet.workers.remove(victim);
    // The backlog must not delay what the dead worker held.
    let quick = Faults { latency_median_ms: 100, ..slow() };
    testbed.service.set_faults(&quick).await?;

    let first =
        wait::until("the other worker reclaims what the dead one held", BUSY_WITHIN, || {
            any_reclaimed_by(&testbed.database, &held, alive)
        });
    first.await?;
    let took = killed_at.elapsed();
    testbed.findings.remarks.push(format!(
        "{} claims of the dead worker and {} of the live one; the first was reclaimed after {:.1} s",
        held.len(),
        held_by_live.len(),
        took.as_secs_f64(),
    ));
    if took > RECLAIMED_WITHIN {
        let violation = format!("the first claim of {dead} was reclaimed after {took:?}");
        testbed.findings.violations.push(violation);
    }
    let all_recovered = held.clone().recovered(
        testbed.database.clone(),
        "a worker was killed and not restarted",
        killed_at,
    );
    all_recovered.await?;
    check_live_worker(testbed, &held).await
}

async fn both(database: &PgPool, runs: [Uuid; 2]) -> sqlx::Result<[Claims; 2]> {
    Ok([Claims::of(database, runs[0]).await?, Claims::of(database, runs[1]).await?])
}

/// Whether one of these claims is held, or was ended, under a later fence.
async fn any_reclaimed_by(database: &PgPool, claims: &Claims, run: Uuid) -> Option<()> {
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

/// Checks that only attempts of the dead worker were given up by another.
async fn check_live_worker(testbed: &mut Testbed, dead: &Claims) -> Fallible<()> {
    let disturbed: Vec<Uuid> = sqlx::query_scalar(
        "select transaction_id from attempts a
         left join unnest($1, $2) as dead (id, fence)
            on a.transaction_id = dead.id and a.fence = dead.fence
         where a.transport_error = 'the worker stopped before the answer came'
            and dead.id is null",
    )
    .bind(&dead.ids)
    .bind(&dead.fences)
    .fetch_all(&testbed.database)
    .await?;
    if !disturbed.is_empty() {
        let violation = format!("claims of a live worker were reclaimed: {disturbed:?}");
        testbed.findings.violations.push(violation);
    }
    Ok(())
}
