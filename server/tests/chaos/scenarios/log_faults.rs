//! Faults of the log: none of the processes can write its own. See `testbed/fleet.rs`.

use std::time::Duration;

use tokio::time::sleep_until;

use crate::{Fallible, scenarios::process_faults, testbed::Testbed, wait};

/// How long it may take until health has noticed that a worker is back.
const HEALTHY_WITHIN: Duration = Duration::from_secs(60);
/// How long a process may take to end in order.
const ENDS_WITHIN: Duration = Duration::from_secs(60);

/// A worker and the web process also start while their logs cannot be written.
pub async fn restart_without_log(testbed: &mut Testbed) -> Fallible<()> {
    sleep_until(testbed.moment(0.5)).await;
    let victim = process_faults::draw_worker(testbed);
    process_faults::kill_worker(testbed, victim).await?;
    testbed.fleet.restart_worker(victim).await?;
    testbed.fleet.web.kill().await?;
    testbed.fleet.restart_web().await
}

/// Health is true, what was lost is counted, and a signal ends every process in order.
pub async fn check(testbed: &mut Testbed) -> Fallible<()> {
    wait::until("everything is healthy", HEALTHY_WITHIN, || async {
        let health = testbed.fleet.read_web("/api/health").await.ok()?;
        health.contains(r#""status":"healthy""#).then_some(())
    })
    .await?;
    let metrics = testbed.fleet.read_web("/metrics").await?;
    let lost = metrics.lines().find_map(|line| line.strip_prefix("onceward_log_lines_lost_total "));
    let lost: u64 = lost.ok_or("the lost lines are not counted")?.parse()?;
    if lost == 0 {
        return Err("no line of the log was lost".into());
    }
    testbed.findings.remarks.push(format!("the web process lost {lost} lines of its log"));
    testbed.fleet.end_in_order(ENDS_WITHIN).await
}
