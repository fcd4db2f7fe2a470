//! Open-loop load on Onceward, and the audit at the end.
//!
//! Every request is sent when it is due, however long earlier answers take, and its latency counts
//! from when it was due. So a server that stalls cannot hide it by slowing the load down
//! (coordinated omission). A request that may not have arrived, or was answered with 429 or 503, is
//! repeated with the same id and content, which Onceward promises to be safe. When all are
//! answered, the run waits until every accepted transaction is final, and then compares what
//! Onceward reports with the posting service's ledger. A run that is interrupted reports and audits what it has
//! submitted by then.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod audit;
mod config;
mod error;
mod interrupts;
mod open_loop;
mod pacing;
mod polling;
mod progress;
mod report;
mod report_table;
mod tally;
mod transaction;

use std::collections::BTreeMap;
use std::error::Error;
use std::time::Duration;

use reqwest::{
    Client,
    header::{AUTHORIZATION, HeaderMap, HeaderValue},
};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::Instant;

use audit::{Findings, Ledger};
pub use config::LoadConfig;
pub use error::LoadError;
pub use interrupts::Interrupts;
use polling::{FinalStates, ReportedState};
use progress::Progress;
pub use report::{Examples, FailedReason, Latency, Report, SentLate};
use tally::Tally;

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the answer to the check at the start may take.
const START_CHECK_TIMEOUT: Duration = Duration::from_secs(10);

/// Offers the load, waits until all accepted transactions are final, and audits.
///
/// # Errors
/// A setting is invalid, no server listens at an address when the run starts, or the
/// ledger cannot be read when it ends. Errors in between are part of the report.
pub async fn run(config: LoadConfig) -> Result<Report, LoadError> {
    config.check()?;
    let target = config::base_url("target", &config.target)?;
    let ledger_url = config::base_url("ledger", &config.ledger)?;
    let client = client(&config, &target, config.key.as_ref())?;
    // The key is for Onceward alone.
    let ledger_client = self::client(&config, &ledger_url, None)?;
    check_reachable(&client, &target, "/livez").await?;
    check_reachable(&ledger_client, &ledger_url, "/health").await?;

    let progress = Progress::new(config.progress, config.total());
    let start = Instant::now();
    let deadline = start + config.duration + config.wait;
    let tally = open_loop::offer(&config, &client, &target, start, deadline, &progress).await?;
    let all_answered_at = Instant::now();
    let Interrupts { first, second } = &config.interrupts;
    let stopped_early = first.is_cancelled();
    let (deadline, stop_waiting) = if stopped_early {
        tracing::info!(
            "no more is submitted; waiting until everything accepted is final. Ctrl-C again ends the waiting"
        );
        (deadline.min(all_answered_at + config.wait), second)
    } else {
        (deadline, first)
    };
    let accepted = &tally.accepted;
    let final_states =
        polling::wait_until_final(&client, &target, accepted, deadline, stop_waiting, &progress)
            .await;
    progress.finish();
    let ledger = audit::read_ledger(&ledger_client, &ledger_url, deadline).await?;
    let findings =
        audit::compare(&tally.accepted, &tally.not_accepted, &final_states.states, &ledger.rows);

    let since = |from: Instant| {
        let all_final_at = final_states.all_final_at?;
        u64::try_from(all_final_at.saturating_duration_since(from).as_millis()).ok()
    };
    let mut report = Report {
        target,
        ledger: ledger_url,
        seed: config.seed,
        offered_rate: config.rate,
        stopped_early,
        all_final_after_ms: since(start),
        all_final_after_offering_ms: since(all_answered_at),
        ..Report::default()
    };
    // The interval after the last request belongs to the run: otherwise ten requests at ten per
    // second would count as eleven per second.
    let least = if stopped_early { Duration::ZERO } else { config.duration };
    let offering = all_answered_at.duration_since(start).max(least);
    put_tally(&mut report, &tally, offering);
    put_states(&mut report, &final_states);
    put_findings(&mut report, findings, &ledger);
    Ok(report)
}

/// Certificates are loaded only if the address is https: plain http works on a machine that has none.
fn client(
    config: &LoadConfig,
    address: &str,
    key: Option<&SecretString>,
) -> Result<Client, LoadError> {
    // An error means that a provider is already installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_max_idle_per_host(config.max_connections)
        // Onceward is measured, not a proxy on the way to it.
        .no_proxy();
    if let Some(key) = key {
        let bearer = format!("Bearer {}", key.expose_secret());
        let mut bearer = HeaderValue::try_from(bearer).map_err(|_| LoadError::Setting {
            setting: "key",
            reason: "is no API key: it has characters that a header cannot have".to_owned(),
        })?;
        bearer.set_sensitive(true);
        builder = builder.default_headers(HeaderMap::from_iter([(AUTHORIZATION, bearer)]));
    }
    let secured = config::is_secured(address);
    if !secured {
        builder = builder.tls_certs_only([]);
    }
    builder.build().map_err(|error| {
        // What reqwest itself says is only that it is an error of the builder.
        let causes = std::iter::successors(error.source(), |&cause| cause.source());
        let cause = causes.last().map_or_else(|| error.to_string(), ToString::to_string);
        if secured { LoadError::Certificates(cause) } else { LoadError::Client(cause) }
    })
}

/// Fails if no server listens. Any answer is accepted, and so is a connection that breaks: a load
/// may be put on a server in trouble, but not on a wrong address.
async fn check_reachable(client: &Client, url: &str, path: &str) -> Result<(), LoadError> {
    let answer = client.get(format!("{url}{path}")).timeout(START_CHECK_TIMEOUT).send().await;
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

fn put_states(report: &mut Report, final_states: &FinalStates) {
    let mut reasons = BTreeMap::new();
    for state in final_states.states.values() {
        let count = match state {
            ReportedState::Completed => &mut report.completed,
            ReportedState::Failed { reason } => {
                *reasons.entry(reason.clone()).or_default() += 1;
                &mut report.failed
            }
            ReportedState::Screened => &mut report.screened,
            ReportedState::Cancelled => &mut report.cancelled,
            ReportedState::InDoubt => &mut report.in_doubt,
            ReportedState::InProgress | ReportedState::Unknown => &mut report.unfinished,
            // The audit counts it as lost.
            ReportedState::NotFound => continue,
        };
        *count += 1;
    }
    report.set_failed_reasons(reasons);
}

fn put_findings(report: &mut Report, findings: Findings, ledger: &Ledger) {
    let Findings { lost, duplicated, wrongly_failed, mismatched } = findings;
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
