//! The names of all metrics, and their rendering in Prometheus's text format. Counters and histograms are those of
//! this process. The gauges of the database are read for each request, and are missing if the database does not answer.

use std::time::Duration;

use ::metrics::{Unit, describe_counter, describe_gauge, describe_histogram, gauge};
use domain::{Circuit, State};
use gateway::Statistics;
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::time::sleep;

use super::lossy_writer;

const SECONDS: [f64; 14] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
const ROWS: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];
/// How often recorded values move into the buckets of their histograms; otherwise they would pile up until the next
/// request.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// Starts recording. Must be called once, within a tokio runtime.
///
/// # Errors
/// If it was called before.
pub fn start() -> Result<PrometheusHandle, BuildError> {
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)?
        .set_buckets_for_metric(Matcher::Suffix("_rows".to_owned()), &ROWS)?
        .install_recorder()?;
    describe_counter!(
        "onceward_http_requests_total",
        "Answered HTTP requests by method, route and status."
    );
    describe_counter!(
        "onceward_refused_total",
        "Requests refused by load shedding: too many of their kind were in flight, too many connections were open, or too many bodies arrived."
    );
    describe_counter!(
        "onceward_rate_limited_total",
        "Requests refused by a rate limit: of a principal (default) or of an address."
    );
    describe_histogram!(
        "onceward_http_request_duration_seconds",
        Unit::Seconds,
        "Time until an HTTP request was answered, by method and route; for the stream, until it began."
    );
    describe_counter!(
        "onceward_accepted_total",
        "Accepted submissions: new ones, and replays of stored ones."
    );
    describe_histogram!(
        "onceward_accept_batch_rows",
        Unit::Count,
        "Submissions stored by one commit."
    );
    describe_counter!(
        "onceward_attempts_total",
        "POSTs to the posting service, by the outcome known right after the POST."
    );
    describe_histogram!(
        "onceward_attempt_duration_seconds",
        Unit::Seconds,
        "Time until a POST to the posting service was answered or abandoned, by outcome."
    );
    describe_counter!(
        "onceward_verifications_total",
        "Verifications with the posting service, by finding."
    );
    describe_counter!(
        "onceward_audit_entries_lost_total",
        "Entries of the audit about refusals that were lost, because more came than could be written."
    );
    describe_gauge!(
        "onceward_circuit_open",
        "1 if this process holds back its POSTs because none reached the posting service."
    );
    describe_counter!(
        "onceward_log_lines_lost_total",
        "Lines of the log that could not be written."
    );
    lossy_writer::report_lost();
    let upkeep = handle.clone();
    tokio::spawn(async move {
        loop {
            sleep(UPKEEP_INTERVAL).await;
            upkeep.run_upkeep();
        }
    });
    Ok(handle)
}

/// Renders the gauges of the database. Each rendering has a recorder of its own, so that a gauge without a current
/// value disappears.
pub fn render(statistics: &Statistics) -> String {
    let recorder = PrometheusBuilder::new().build_recorder();
    ::metrics::with_local_recorder(&recorder, || record(statistics));
    recorder.handle().render()
}

fn record(statistics: &Statistics) {
    let set = |name: &'static str, help: &'static str, value: f64| {
        describe_gauge!(name, help);
        gauge!(name).set(value);
    };
    describe_gauge!("onceward_transactions", "Transactions by state.");
    for state in State::ALL {
        gauge!("onceward_transactions", "state" => state.as_str())
            .set(statistics.transactions.of(state) as f64);
    }
    set("onceward_pending_due", "Pending transactions that are due.", statistics.due as f64);
    set(
        "onceward_pending_waiting",
        "Pending transactions that are not due yet.",
        statistics.waiting as f64,
    );
    set(
        "onceward_oldest_due_age_seconds",
        "How long the longest-due pending transaction has been due.",
        statistics.oldest_due_age,
    );
    set(
        "onceward_oldest_unfinished_age_seconds",
        "Time since the submission of the oldest transaction that is not final.",
        statistics.unfinished.oldest_seconds,
    );
    describe_gauge!(
        "onceward_unfinished_older_than",
        "Transactions that are not final and were submitted longer ago than this many seconds; no more than 1,000 are counted."
    );
    for limit in &statistics.unfinished.older_than {
        gauge!("onceward_unfinished_older_than", "seconds" => limit.seconds.to_string())
            .set(limit.count as f64);
    }
    set(
        "onceward_unreadable_transactions",
        "Stored transactions that were found to be unreadable.",
        statistics.unreadable as f64,
    );
    set(
        "onceward_posting_paused",
        "1 if posting is paused.",
        f64::from(u8::from(statistics.posting.paused.is_some())),
    );
    describe_gauge!("onceward_workers", "Live workers by state of their circuit breaker.");
    let circuits = statistics.posting.circuits;
    for (circuit, workers) in [
        (Circuit::Closed, circuits.closed),
        (Circuit::Open, circuits.open),
        (Circuit::HalfOpen, circuits.half_open),
    ] {
        gauge!("onceward_workers", "circuit" => circuit.as_str()).set(f64::from(workers));
    }
    describe_gauge!(
        "onceward_jobs",
        "Queued jobs by queue; a bulk retry counts until it is finished."
    );
    for (queue, count) in statistics.jobs {
        gauge!("onceward_jobs", "queue" => queue).set(count as f64);
    }
    describe_gauge!("onceward_table_live_tuples", "Rows of a table, as estimated by PostgreSQL.");
    describe_gauge!(
        "onceward_table_dead_tuples",
        "Dead row versions that vacuum has not removed yet, as estimated by PostgreSQL."
    );
    describe_gauge!(
        "onceward_table_autovacuum_age_seconds",
        "Time since the last autovacuum of a table; missing if there was none."
    );
    for table in &statistics.tables {
        let labels = [("table", table.table.clone())];
        gauge!("onceward_table_live_tuples", &labels).set(table.live_tuples as f64);
        gauge!("onceward_table_dead_tuples", &labels).set(table.dead_tuples as f64);
        if let Some(age) = table.autovacuum_age {
            gauge!("onceward_table_autovacuum_age_seconds", &labels).set(age);
        }
    }
    set(
        "onceward_database_oldest_transaction_age_seconds",
        "Age of the oldest open database transaction.",
        statistics.oldest_transaction_age,
    );
    set(
        "onceward_database_oldest_snapshot_age_seconds",
        "Age of the oldest database transaction that holds a snapshot. Rows deleted since then cannot be vacuumed.",
        statistics.oldest_snapshot_age,
    );
    set(
        "onceward_database_oldest_snapshot_age_transactions",
        "Database transactions since the oldest snapshot, including prepared transactions and replication slots.",
        statistics.oldest_snapshot_age_transactions as f64,
    );
    set(
        "onceward_database_size_bytes",
        "Size of the database on disk.",
        statistics.database_size as f64,
    );
}
