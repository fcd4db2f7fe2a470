//! The verdict on a scenario: the load's audit, and the table against the ledger when all is over.

use std::{
    collections::{HashMap, HashSet},
    fmt::Debug,
    time::Duration,
};

use loadgen::Report;
use tokio::time::Instant;
use uuid::Uuid;

use crate::{Fallible, observation::claims::Claims, testbed::Stage, wait};

/// How many ids are named of each kind of trouble.
const NAMED: usize = 10;
/// From when on it is told how long the slowest submission took.
const REMARKABLE_S: f64 = 10.0;
/// How long it may take until nothing is under way any more.
const QUIET_WITHIN: Duration = Duration::from_secs(60);
/// From when on it counts as quiet that no request arrives at the posting service.
const QUIET: Duration = Duration::from_secs(1);

/// A line of the table.
#[derive(Debug, Default)]
pub struct Counts {
    pub accepted: u64,
    pub posted: u64,
    pub lost: u64,
    pub duplicated: u64,
    pub failed: u64,
    pub in_doubt: u64,
}

/// Compares what was accepted with the table and the ledger; what is wrong goes to the findings.
pub async fn judge(stage: &mut Stage, report: &Report) -> Fallible<Counts> {
    quiet(stage).await?;
    let rows: Vec<(Uuid, String, bool)> = sqlx::query_as(
        "select id, state, exists (
            select from attempts where transaction_id = t.id and outcome = 'refused'
         ) from transactions t",
    )
    .fetch_all(&stage.database)
    .await?;
    let mut entries_by_id: HashMap<Uuid, usize> = HashMap::new();
    for id in stage.service.ledger().await? {
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
        stage.findings.remarks.push(remark);
    }
    let broken = &mut stage.findings.broken;
    let mut expect_none = |what: &str, ids: &[Uuid]| {
        if !ids.is_empty() {
            let named = &ids[..ids.len().min(NAMED)];
            broken.push(format!("{what}: {} transactions: {named:?}", ids.len()));
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
    expect_zero(broken, "lost, says the load", report.lost, &examples.lost);
    expect_zero(broken, "duplicated, says the load", report.duplicated, &examples.duplicated);
    expect_zero(broken, "wrongly failed", report.wrongly_failed, &examples.wrongly_failed);
    expect_zero(broken, "mismatched", report.mismatched, &examples.mismatched);
    expect_zero(broken, "still under way, says the load", report.unfinished, &"");
    expect_zero(broken, "not accepted", report.rejected, &report.rejected_by_status);
    expect_zero(broken, "never answered", report.gave_up, &report.gave_up_reasons);
    if report.accepted > rows.len() as u64 {
        broken.push(format!("{} accepted, {} in the table", report.accepted, rows.len()));
    }
    broken.extend(stage.fleet.ended_by_themselves()?);
    Ok(counts)
}

fn expect_zero(broken: &mut Vec<String>, what: &str, count: u64, details: &dyn Debug) {
    if count > 0 {
        broken.push(format!("{what}: {count} transactions {details:?}"));
    }
}

/// Waits until nothing is claimed, no late write is to come, and no request arrives any more: a
/// worker that was stopped may have something to send although everything is final.
async fn quiet(stage: &Stage) -> Fallible<()> {
    let deadline = Instant::now() + QUIET_WITHIN;
    let mut quiet_since = (None, Instant::now());
    while Instant::now() < deadline {
        let requests = requests_if_idle(stage).await;
        if requests.is_none() || requests != quiet_since.0 {
            quiet_since = (requests, Instant::now());
        } else if quiet_since.1.elapsed() >= QUIET {
            return Ok(());
        }
        wait::pause().await;
    }
    Err("something is still under way although everything is final".into())
}

/// How many requests the posting service got so far; none while anything is under way.
async fn requests_if_idle(stage: &Stage) -> Option<u64> {
    let audit = stage.service.audit().await.ok()?;
    let claims = Claims::of_all(&stage.database).await.ok()?;
    let is_idle = audit.late_writes_pending == 0 && claims.is_empty();
    is_idle.then_some(audit.requests.post + audit.requests.get)
}
