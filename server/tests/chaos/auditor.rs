//! The verdict on a scenario: the load's audit, and the table compared with the ledger when
//! everything is over.

use std::{
    collections::{HashMap, HashSet},
    fmt::Debug,
    time::Duration,
};

use loadgen::Report;
use tokio::time::Instant;
use uuid::Uuid;

use crate::{Fallible, observation::claims::Claims, testbed::Testbed, wait};

/// How many ids are printed for each kind of violation.
const NAMED: usize = 10;
/// From which duration on the slowest submission is reported.
const REMARKABLE_S: f64 = 10.0;
/// How long it may take until nothing is in flight.
const QUIET_WITHIN: Duration = Duration::from_secs(60);
/// How long no request may arrive at the posting service for it to count as quiet.
const QUIET: Duration = Duration::from_secs(1);

/// A row of the table of results.
#[derive(Debug, Default)]
pub struct Counts {
    pub accepted: u64,
    pub posted: u64,
    pub lost: u64,
    pub duplicated: u64,
    pub failed: u64,
    pub in_doubt: u64,
}

/// Compares what was accepted with the table and the ledger, and adds violations to the findings.
pub async fn check(testbed: &mut Testbed, report: &Report) -> Fallible<Counts> {
    quiet(testbed).await?;
    let rows: Vec<(Uuid, String, bool)> = sqlx::query_as(
        "select id, state, exists (
            select from attempts where transaction_id = t.id and outcome = 'refused'
         ) from transactions t",
    )
    .fetch_all(&testbed.database)
    .await?;
    let mut entries_by_id: HashMap<Uuid, usize> = HashMap::new();
    for id in testbed.service.ledger().await? {
        *entries_by_id.entry(id.parse()?).or_default() += 1;
    }
    let entries = |id: &Uuid| entries_by_id.get(id).copied().unwrap_or_default();
    let ids = |wanted: &dyn Fn(&Uuid, &str, bool) -> bool| -> Vec<Uuid> {
        let wanted = rows.iter().filter(|(id, state, refused)| wanted(id, state, *refused));
        wanted.map(|(id, ..)| *id).collect()
    };
    let known: HashSet<Uuid> = rows.iter().map(|(id, ..)| *id).collect();
    let not_posted = ids(&|id, state, _| state == "completed" && entries(id) == 0);
    let duplicated: Vec<_> =
        entries_by_id.iter().filter(|(_, entries)| **entries > 1).map(|(id, _)| *id).collect();
    let unknown: Vec<_> = entries_by_id.keys().filter(|id| !known.contains(id)).copied().collect();
    let posted_only = ids(&|id, state, _| state != "completed" && entries(id) > 0);
    let not_refused = ids(&|_, state, refused| state == "failed" && !refused);
    let unfinished = ids(&|_, state, _| !matches!(state, "completed" | "failed" | "in_doubt"));
    let counts = Counts {
        accepted: report.accepted,
        posted: known.iter().filter(|id| entries(id) > 0).count() as u64,
        lost: report.lost.max(not_posted.len() as u64),
        duplicated: report.duplicated.max(duplicated.len() as u64),
        failed: ids(&|_, state, _| state == "failed").len() as u64,
        in_doubt: ids(&|_, state, _| state == "in_doubt").len() as u64,
    };

    let slowest_s = report.latency.max_ms / 1_000.0;
    if slowest_s > REMARKABLE_S {
        let remark = format!("the slowest submission was accepted after {slowest_s:.1} s");
        testbed.findings.remarks.push(remark);
    }
    let violations = &mut testbed.findings.violations;
    let mut expect_none = |what: &str, ids: &[Uuid]| {
        if !ids.is_empty() {
            let named = &ids[..ids.len().min(NAMED)];
            violations.push(format!("{what}: {} transactions: {named:?}", ids.len()));
        }
    };
    expect_none("completed, and not in the ledger", &not_posted);
    expect_none("more than once in the ledger", &duplicated);
    expect_none("in the ledger, and not in the table", &unknown);
    expect_none("in the ledger, and not completed", &posted_only);
    expect_none("failed, and never refused", &not_refused);
    expect_none("not final", &unfinished);
    expect_none("in doubt", &ids(&|_, state, _| state == "in_doubt"));
    let examples = &report.examples;
    expect_zero(violations, "lost, says the load", report.lost, &examples.lost);
    expect_zero(violations, "duplicated, says the load", report.duplicated, &examples.duplicated);
    expect_zero(violations, "wrongly failed", report.wrongly_failed, &examples.wrongly_failed);
    expect_zero(violations, "mismatched", report.mismatched, &examples.mismatched);
    expect_zero(violations, "unfinished, says the load", report.unfinished, &"");
    expect_zero(violations, "not accepted", report.rejected, &report.rejected_by_status);
    expect_zero(violations, "never answered", report.gave_up, &report.gave_up_reasons);
    if report.accepted > rows.len() as u64 {
        violations.push(format!("{} accepted, {} in the table", report.accepted, rows.len()));
    }
    violations.extend(testbed.fleet.ended_by_themselves()?);
    Ok(counts)
}

fn expect_zero(violations: &mut Vec<String>, what: &str, count: u64, details: &dyn Debug) {
    if count > 0 {
        violations.push(format!("{what}: {count} transactions {details:?}"));
    }
}

/// Waits until nothing is claimed, no late write is pending, and no request arrives any more: a
/// worker that was stopped may still send something although everything is final.
async fn quiet(testbed: &Testbed) -> Fallible<()> {
    let deadline = Instant::now() + QUIET_WITHIN;
    let mut quiet_since = (None, Instant::now());
    while Instant::now() < deadline {
        let requests = requests_if_idle(testbed).await;
        if requests.is_none() || requests != quiet_since.0 {
            quiet_since = (requests, Instant::now());
        } else if quiet_since.1.elapsed() >= QUIET {
            return Ok(());
        }
        wait::pause().await;
    }
    Err("something is still in flight although everything is final".into())
}

/// How many requests the posting service has received; `None` while anything is in flight.
async fn requests_if_idle(testbed: &Testbed) -> Option<u64> {
    let audit = testbed.service.audit().await.ok()?;
    let claims = Claims::of_all(&testbed.database).await.ok()?;
    let is_idle = audit.late_writes_pending == 0 && claims.is_empty();
    is_idle.then_some(audit.requests.post + audit.requests.get)
}
