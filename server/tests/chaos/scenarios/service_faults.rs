//! Faults of the posting service: gone, resetting everything, refusing.

use std::{collections::HashMap, time::Duration};

use chrono::{DateTime, Utc};
use simulator::Faults;
use tokio::time::{Instant, sleep, sleep_until};
use uuid::Uuid;

use crate::{
    Fallible,
    testbed::{Stage, posting_service::PostingService},
};

/// What is under way when an outage begins may end as unknown; what begins later than this may not.
const NOTICED_WITHIN: Duration = Duration::from_secs(2);
/// What begins shortly before the end may arrive after it.
const BEFORE_THE_END: Duration = Duration::from_millis(500);
/// What the measure of a second may be wrong by.
const TOLERANCE: f64 = 1.05;
/// Between two looks at how many requests have arrived.
const LOOK: Duration = Duration::from_millis(50);

/// Nothing listens for a while. No attempt is used up by that: what was not sent does not count.
pub async fn nothing_listens(stage: &mut Stage) -> Fallible<()> {
    sleep_until(stage.moment(0.2)).await;
    let began_at = now(stage).await?;
    stage.service.kill().await?;
    sleep(outage(stage)).await;
    let ended_at = now(stage).await?;
    stage.service.start_again().await?;
    let busiest = busiest_second(&stage.service, stage.size.pick(10, 4)).await?;
    let burnt = burnt_attempts(stage, began_at, ended_at).await?;
    if !burnt.is_empty() {
        let broken = format!("attempts were used up while nothing listened: {burnt:?}");
        stage.findings.broken.push(broken);
    }
    // Each process keeps to it on its own.
    let limit = stage.rate_limit_per_s.map(|limit| limit * stage.fleet.workers.len() as u32);
    let limited = limit.map_or("not limited".to_owned(), |limit| format!("limited to {limit}"));
    let measured = format!(
        "{busiest:.0} requests in the busiest second after the posting service came back, {limited}"
    );
    if limit.is_some_and(|limit| busiest > f64::from(limit) * TOLERANCE) {
        stage.findings.broken.push(measured.clone());
    }
    stage.findings.remarks.push(measured);
    Ok(())
}

/// Every connection is reset for a while, after the request is in. Each transaction that runs into it
/// uses up one attempt and no more: after that it is verified, and an answer does not come.
pub async fn everything_is_reset(stage: &mut Stage) -> Fallible<()> {
    sleep_until(stage.moment(0.2)).await;
    let began_at = now(stage).await?;
    stage.service.set_faults(&Faults { outage: true, ..Faults::default() }).await?;
    sleep(outage(stage)).await;
    let ended_at = now(stage).await?;
    stage.service.set_faults(&Faults::default()).await?;
    let busiest = busiest_second(&stage.service, stage.size.pick(10, 4)).await?;
    let burnt = burnt_attempts(stage, began_at, ended_at).await?;
    stage.findings.remarks.push(format!(
        "{} attempts were used up by the outage; {busiest:.0} requests in the busiest second after it",
        burnt.len(),
    ));
    let mut attempts_by_id: HashMap<Uuid, usize> = HashMap::new();
    burnt.into_iter().for_each(|id| *attempts_by_id.entry(id).or_default() += 1);
    attempts_by_id.retain(|_, attempts| *attempts > 1);
    if !attempts_by_id.is_empty() {
        let broken = format!("posted more than once into an outage: {attempts_by_id:?}");
        stage.findings.broken.push(broken);
    }
    Ok(())
}

fn outage(stage: &Stage) -> Duration {
    Duration::from_secs(stage.size.pick(30, 4))
}

/// The time by the database's clock, which is that of the attempts.
async fn now(stage: &Stage) -> sqlx::Result<DateTime<Utc>> {
    sqlx::query_scalar("select clock_timestamp()").fetch_one(&stage.database).await
}

/// The transactions with an attempt that began in an outage, after it was to be noticed, and that
/// counts; one that has several is there several times. An attempt that a worker gave back since
/// PostgreSQL was too slow for it is not the outage's.
async fn burnt_attempts(
    stage: &Stage,
    began_at: DateTime<Utc>,
    ended_at: DateTime<Utc>,
) -> sqlx::Result<Vec<Uuid>> {
    sqlx::query_scalar(
        "select transaction_id from attempts
         where started_at between $1 and $2 and outcome is distinct from 'not_sent'
            and transport_error is distinct from 'the turn was cut short before its answer was recorded'",
    )
    .bind(began_at + NOTICED_WITHIN)
    .bind(ended_at - BEFORE_THE_END)
    .fetch_all(&stage.database)
    .await
}

/// The most requests a second that arrive within the next seconds.
async fn busiest_second(service: &PostingService, seconds: u64) -> Fallible<f64> {
    let until = Instant::now() + Duration::from_secs(seconds);
    let mut looks: Vec<(Instant, u64)> = Vec::new();
    let mut busiest: f64 = 0.0;
    while Instant::now() < until {
        let requests = service.audit().await?.requests;
        let arrived = requests.post + requests.get;
        let now = Instant::now();
        let second = Duration::from_secs(1);
        let a_second_ago = looks.iter().rev().find(|(at, _)| now - *at >= second);
        if let Some((at, before)) = a_second_ago {
            busiest = busiest.max((arrived - before) as f64 / (now - *at).as_secs_f64());
        }
        looks.push((now, arrived));
        sleep(LOOK).await;
    }
    Ok(busiest)
}

/// What was refused has failed with the service's reason after one attempt, and nothing else has.
pub async fn check_refusals(stage: &mut Stage) -> Fallible<()> {
    let wrong: Vec<Uuid> = sqlx::query_scalar(
        "select id from transactions t
         left join lateral (
            select count(*) as made, count(*) filter (where outcome = 'refused') as refused
            from attempts where transaction_id = t.id
         ) a on true
         where (state = 'failed') <> (refused > 0)
            or (state = 'failed' and (made <> 1 or error is null or error not like '%refused%'))",
    )
    .fetch_all(&stage.database)
    .await?;
    if !wrong.is_empty() {
        stage.findings.broken.push(format!("refused and not failed by that: {wrong:?}"));
    }
    let failed: i64 =
        sqlx::query_scalar("select count(*) from transactions where state = 'failed'")
            .fetch_one(&stage.database)
            .await?;
    let audit = stage.service.audit().await?;
    let refused = audit.faults_injected.get("refusal").copied().unwrap_or_default();
    if refused != failed.unsigned_abs() {
        let broken = format!("the posting service refused {refused}, and {failed} have failed");
        stage.findings.broken.push(broken);
    }
    stage.findings.remarks.push(format!("the posting service refused {refused}"));
    Ok(())
}
