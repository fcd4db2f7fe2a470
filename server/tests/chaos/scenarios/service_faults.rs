//! Faults of the posting service: gone, resetting everything, refusing.

use std::{collections::HashMap, time::Duration};

use chrono::{DateTime, Utc};
use simulator::Faults;
use tokio::time::{Instant, sleep, sleep_until};
use uuid::Uuid;

use crate::{
    Fallible,
    testbed::{Testbed, posting_service::PostingService},
};

/// A request in flight when an outage begins may end as unknown; one that begins later than this
/// may not.
const NOTICED_WITHIN: Duration = Duration::from_secs(2);
/// A request that begins shortly before the end may arrive after it.
const BEFORE_THE_END: Duration = Duration::from_millis(500);
/// The tolerance of the measured rate.
const TOLERANCE: f64 = 1.05;
/// Between two polls of the number of requests.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Nothing listens for a while. That uses up no attempts: what was not sent does not count.
pub async fn nothing_listens(testbed: &mut Testbed) -> Fallible<()> {
    sleep_until(testbed.moment(0.2)).await;
    let began_at = now(testbed).await?;
    testbed.service.kill().await?;
    sleep(outage(testbed)).await;
    let ended_at = now(testbed).await?;
    testbed.service.restart().await?;
    let busiest = busiest_second(&testbed.service, testbed.size.pick(10, 4)).await?;
    let used_up = used_up_attempts(testbed, began_at, ended_at).await?;
    if !used_up.is_empty() {
        let violation = format!("attempts were used up while nothing listened: {used_up:?}");
        testbed.findings.violations.push(violation);
    }
    // Each process keeps to the limit on its own.
    let limit = testbed.rate_limit_per_s.map(|limit| limit * testbed.fleet.workers.len() as u32);
    let limited = limit.map_or("not limited".to_owned(), |limit| format!("limited to {limit}"));
    let measured = format!(
        "{busiest:.0} requests in the busiest second after the posting service came back, {limited}"
    );
    if limit.is_some_and(|limit| busiest > f64::from(limit) * TOLERANCE) {
        testbed.findings.violations.push(measured.clone());
    }
    testbed.findings.remarks.push(measured);
    Ok(())
}

/// Every connection is reset for a while, after the request has arrived. Each transaction that is
/// affected uses up one attempt and no more: from then on it is verified, without an answer.
pub async fn everything_is_reset(testbed: &mut Testbed) -> Fallible<()> {
    sleep_until(testbed.moment(0.2)).await;
    let began_at = now(testbed).await?;
    testbed.service.set_faults(&Faults { outage: true, ..Faults::default() }).await?;
    sleep(outage(testbed)).await;
    let ended_at = now(testbed).await?;
    testbed.service.set_faults(&Faults::default()).await?;
    let busiest = busiest_second(&testbed.service, testbed.size.pick(10, 4)).await?;
    let used_up = used_up_attempts(testbed, began_at, ended_at).await?;
    testbed.findings.remarks.push(format!(
        "{} attempts were used up by the outage; {busiest:.0} requests in the busiest second after it",
        used_up.len(),
    ));
    let mut attempts_by_id: HashMap<Uuid, usize> = HashMap::new();
    used_up.into_iter().for_each(|id| *attempts_by_id.entry(id).or_default() += 1);
    attempts_by_id.retain(|_, attempts| *attempts > 1);
    if !attempts_by_id.is_empty() {
        let violation = format!("posted more than once into an outage: {attempts_by_id:?}");
        testbed.findings.violations.push(violation);
    }
    Ok(())
}

fn outage(testbed: &Testbed) -> Duration {
    Duration::from_secs(testbed.size.pick(30, 4))
}

/// The time by the database's clock, which stamps the attempts.
async fn now(testbed: &Testbed) -> sqlx::Result<DateTime<Utc>> {
    sqlx::query_scalar("select clock_timestamp()").fetch_one(&testbed.database).await
}

/// The transactions with an attempt that counts and began in the outage, after it had to be
/// noticed; one with several is listed several times. An attempt that a worker released because
/// PostgreSQL was too slow for it is not caused by the outage.
async fn used_up_attempts(
    testbed: &Testbed,
    began_at: DateTime<Utc>,
    ended_at: DateTime<Utc>,
) -> sqlx::Result<Vec<Uuid>> {
    sqlx::query_scalar(
        "select transaction_id from attempts
         where started_at between $1 and $2 and outcome is distinct from 'not_sent'
            and transport_error is distinct from 'the execution was interrupted before its answer was recorded'",
    )
    .bind(began_at + NOTICED_WITHIN)
    .bind(ended_at - BEFORE_THE_END)
    .fetch_all(&testbed.database)
    .await
}

/// The highest rate of requests, in requests a second, within the next seconds.
async fn busiest_second(service: &PostingService, seconds: u64) -> Fallible<f64> {
    let until = Instant::now() + Duration::from_secs(seconds);
    let mut polls: Vec<(Instant, u64)> = Vec::new();
    let mut busiest: f64 = 0.0;
    while Instant::now() < until {
        let requests = service.audit().await?.requests;
        let arrived = requests.post + requests.get;
        let now = Instant::now();
        let second = Duration::from_secs(1);
        let a_second_ago = polls.iter().rev().find(|(at, _)| now - *at >= second);
        if let Some((at, before)) = a_second_ago {
            busiest = busiest.max((arrived - before) as f64 / (now - *at).as_secs_f64());
        }
        polls.push((now, arrived));
        sleep(POLL_INTERVAL).await;
    }
    Ok(busiest)
}

/// Checks that refused transactions have failed with the service's reason after one attempt, and no
/// others have.
pub async fn check_refusals(testbed: &mut Testbed) -> Fallible<()> {
    let wrong: Vec<Uuid> = sqlx::query_scalar(
        "select id from transactions t
         left join lateral (
            select count(*) as made, count(*) filter (where outcome = 'refused') as refused
            from attempts where transaction_id = t.id
         ) a on true
         where (state = 'failed') <> (refused > 0)
            or (state = 'failed' and (made <> 1 or error is null or error not like '%refused%'))",
    )
    .fetch_all(&testbed.database)
    .await?;
    if !wrong.is_empty() {
        testbed.findings.violations.push(format!("refused and failed do not agree: {wrong:?}"));
    }
    let failed: i64 =
        sqlx::query_scalar("select count(*) from transactions where state = 'failed'")
            .fetch_one(&testbed.database)
            .await?;
    let audit = testbed.service.audit().await?;
    let refused = audit.faults_injected.get("refusal").copied().unwrap_or_default();
    if refused != failed.unsigned_abs() {
        let violation = format!("the posting service refused {refused}, and {failed} have failed");
        testbed.findings.violations.push(violation);
    }
    testbed.findings.remarks.push(format!("the posting service refused {refused}"));
    Ok(())
}
