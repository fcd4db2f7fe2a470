//! Open-loop load on Onceward, and the audit at the end.
//!
//! Every request leaves when it is due, however long the answers to those before it take, and its
//! latency counts from when it was due: a server that stalls cannot hide it by holding the load up.
//! A request that may not have arrived, or was told to come back, is repeated with the same id and
//! the same content, which Onceward promises to be safe. When all are answered, the run waits until
//! every accepted transaction is final and then compares what Onceward says with the posting
//! service's own ledger.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod audit;
mod config;
mod error;
mod open_loop;
mod pacing;
mod polling;
mod progress;
mod report;
mod report_table;
mod tally;
mod transaction;

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::Client;
use tokio::time::Instant;

use audit::{Ledger, Verdict};
pub use config::LoadConfig;
pub use error::LoadError;
use polling::{Settled, Standing};
use progress::Progress;
pub use report::{Examples, FailedReason, Latency, Report, SentLate};
use tally::Tally;

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long an answer may take that only shows that somebody listens.
const REACH_TIMEOUT: Duration = Duration::from_secs(10);

/// Offers the load, waits until all is final, audits.
///
/// # Errors
/// A setting that makes no sense, an address at which nobody listens when the run starts, a ledger
/// that cannot be read when it ends. What goes wrong in between is part of the report.
pub async fn run(config: LoadConfig) -> Result<Report, LoadError> {
    config.check()?;
    let target = config::base_url("target", &config.target)?;
    let ledger_url = config::base_url("ledger", &config.ledger)?;
    let client = client(&config)?;
    reach(&client, &target, "/livez").await?;
    reach(&client, &ledger_url, "/health").await?;

    let progress = Progress::new(config.progress, config.total());
    let start = Instant::now();
    let deadline = start + config.duration + config.wait;
    let tally = open_loop::offer(&config, &client, &target, start, deadline, &progress).await?;
    let offered_by = Instant::now();
    let settled = polling::settle(&client, &target, &tally.accepted, deadline, &progress).await;
    progress.finish();
    let ledger = audit::read_ledger(&client, &ledger_url, deadline).await?;
    let verdict = audit::judge(&tally.accepted, &tally.others, &settled.standings, &ledger.rows);

    let since = |from: Instant| {
        let all_final = settled.all_final?;
        u64::try_from(all_final.saturating_duration_since(from).as_millis()).ok()
    };
    let mut report = Report {
        target,
        ledger: ledger_url,
        seed: config.seed,
        offered_rate: config.rate,
        all_final_after_ms: since(start),
        all_final_after_offering_ms: since(offered_by),
        ..Report::default()
    };
    // The last request's own share of time belongs to the run, or ten requests at ten a second
    // would come out as eleven a second.
    let offering = offered_by.duration_since(start).max(config.duration);
    put_tally(&mut report, &tally, offering);
    put_standings(&mut report, &settled);
    put_verdict(&mut report, verdict, &ledger);
    Ok(report)
}

fn client(config: &LoadConfig) -> Result<Client, LoadError> {
    // An error means that a provider is installed already, which serves as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_max_idle_per_host(config.max_connections)
        // What is measured is Onceward, not a proxy on the way to it.
        .no_proxy()
        .build()
        .map_err(LoadError::Client)
}

/// Fails where nobody listens. Any answer will do, and so will a connection that breaks: a load may
/// well be put on something that is in trouble, but not on a wrong address.
async fn reach(client: &Client, url: &str, path: &str) -> Result<(), LoadError> {
    let answer = client.get(format!("{url}{path}")).timeout(REACH_TIMEOUT).send().await;
    match answer {
        Err(source) if source.is_connect() => {
            Err(LoadError::Unreachable { url: url.to_owned(), source })
        }
        Ok(_) | Err(_) => Ok(()),
    }
}

#[expect(clippy::cast_precision_loss, reason = "a run has ten million requests at most")]
fn put_tally(report: &mut Report, tally: &Tally, offering: Duration) {
    report.offered = tally.offered;
    report.accepted = tally.accepted.len() as u64;
    report.accepted_rate = report.accepted as f64 / offering.as_secs_f64();
    report.rejected = tally.rejected_by_status.values().sum();
    report.rejected_by_status.clone_from(&tally.rejected_by_status);
    report.gave_up = tally.gave_up.values().sum();
    report.gave_up_reasons.clone_from(&tally.gave_up);
    report.retried = tally.retried;
    report.repeats = tally.repeats;
    report.latency = Latency {
        p50_ms: tally.latency_ms(0.5),
        p90_ms: tally.latency_ms(0.9),
        p99_ms: tally.latency_ms(0.99),
        max_ms: tally.latency_max_ms(),
    };
    report.sent_late = SentLate {
        requests: tally.sent_late,
        max_ms: u64::try_from(tally.sent_late_max.as_millis()).unwrap_or(u64::MAX),
        in_flight_bound_hits: tally.in_flight_bound_hits,
        connection_bound_hits: tally.connection_bound_hits,
    };
}

fn put_standings(report: &mut Report, settled: &Settled) {
    let mut reasons = BTreeMap::new();
    for standing in settled.standings.values() {
        let count = match standing {
            Standing::Completed => &mut report.completed,
            Standing::Failed { reason } => {
                *reasons.entry(reason.clone()).or_default() += 1;
                &mut report.failed
            }
            Standing::Screened => &mut report.screened,
            Standing::Cancelled => &mut report.cancelled,
            Standing::InDoubt => &mut report.in_doubt,
            Standing::UnderWay | Standing::Unknown => &mut report.unfinished,
            // Counted by the verdict, as lost.
            Standing::Absent => continue,
        };
        *count += 1;
    }
    report.set_failed_reasons(reasons);
}

fn put_verdict(report: &mut Report, verdict: Verdict, ledger: &Ledger) {
    let Verdict { lost, duplicated, wrongly_failed, mismatched } = verdict;
    report.lost = lost.count;
    report.duplicated = duplicated.count;
    report.wrongly_failed = wrongly_failed.count;
    report.mismatched = mismatched.count;
    report.examples = Examples {
        lost: lost.ids,
        duplicated: duplicated.ids,
        wrongly_failed: wrongly_failed.ids,
        mismatched: mismatched.ids,
    };
    report.late_writes_pending = ledger.late_writes_pending;
}
