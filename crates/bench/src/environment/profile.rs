//! Where the time of a part goes: statements by time, and WAL and processor time per transaction.

use nix::{
    sys::resource::{UsageWho, getrusage},
    unistd::Pid,
};
use sqlx::Row;

use crate::environment::onceward_process::OncewardProcess;
use crate::environment::testbed::Testbed;
use crate::error::Fallible;

/// How many statements are printed.
const STATEMENTS: i64 = 10;
/// How many characters of each.
const EXCERPT: usize = 110;
/// Clock ticks per second: Linux reports processor time in ticks of 10 ms on all common machines.
const TICKS_PER_SECOND: f64 = 100.0;

/// The profile of a part, if profiles are enabled.
#[derive(Debug)]
pub struct Profile {
    begun: Option<Begun>,
}

#[derive(Debug)]
struct Begun {
    wal_lsn: String,
    program: Option<Pid>,
    program_seconds: f64,
    harness_seconds: f64,
    postgres_seconds: f64,
}

impl Profile {
    /// Begins a profile, if profiles are enabled.
    ///
    /// # Errors
    /// PostgreSQL's error.
    pub async fn begin(testbed: &Testbed, program: Option<&OncewardProcess>) -> Fallible<Self> {
        if !testbed.profiled {
            return Ok(Self { begun: None });
        }
        let mut connection = testbed.cluster.connect("postgres").await?;
        sqlx::raw_sql("create extension if not exists pg_stat_statements")
            .execute(&mut connection)
            .await?;
        sqlx::raw_sql("select pg_stat_statements_reset()").execute(&mut connection).await?;
        let wal_lsn = sqlx::query_scalar("select pg_current_wal_insert_lsn()::text")
            .fetch_one(&mut connection)
            .await?;
        let program = program.map(OncewardProcess::pid).transpose()?;
        Ok(Self {
            begun: Some(Begun {
                wal_lsn,
                program,
                program_seconds: program.map_or(0.0, processor_seconds),
                harness_seconds: harness_seconds()?,
                postgres_seconds: postgres_seconds(testbed)?,
            }),
        })
    }

    /// Prints the profile of the part, per transaction.
    ///
    /// # Errors
    /// PostgreSQL's error.
    pub async fn end(self, testbed: &Testbed, part: &str, transactions: f64) -> Fallible<()> {
        let Some(begun) = self.begun else { return Ok(()) };
        let postgres = postgres_seconds(testbed)? - begun.postgres_seconds;
        let harness = harness_seconds()? - begun.harness_seconds;
        let program = begun.program.map_or(0.0, processor_seconds) - begun.program_seconds;
        let mut connection = testbed.cluster.connect("postgres").await?;
        let wal_bytes: f64 =
            sqlx::query_scalar("select (pg_current_wal_insert_lsn() - $1::pg_lsn)::float8")
                .bind(begun.wal_lsn)
                .fetch_one(&mut connection)
                .await?;
        let micros = |seconds: f64| seconds * 1e6 / transactions;
        println!("\nprofile of {part}: {transactions} transactions");
        println!("  per transaction: {:.0} bytes of WAL;", wal_bytes / transactions);
        println!(
            "  processor time: PostgreSQL {:.1} µs, onceward {:.1} µs, harness {:.1} µs",
            micros(postgres),
            micros(program),
            micros(harness)
        );
        let rows = sqlx::query(
            "select total_exec_time as total_ms, calls, rows, wal_bytes::float8 as wal_bytes,
                regexp_replace(query, '\\s+', ' ', 'g') as query
            from pg_stat_statements order by total_exec_time desc limit $1",
        )
        .bind(STATEMENTS)
        .fetch_all(&mut connection)
        .await?;
        println!(
            "  {:>10}  {:>8}  {:>9}  {:>9}  {:>11}",
            "total ms", "calls", "mean ms", "rows", "WAL bytes"
        );
        for row in rows {
            let (total_ms, calls): (f64, i64) = (row.get("total_ms"), row.get("calls"));
            let (count, wal): (i64, f64) = (row.get("rows"), row.get("wal_bytes"));
            let query: String = row.get("query");
            let query: String = query.trim().chars().take(EXCERPT).collect();
            let mean_ms = total_ms / calls as f64;
            println!(
                "  {total_ms:>10.0}  {calls:>8}  {mean_ms:>9.3}  {count:>9}  {wal:>11.0}  {query}"
            );
        }
        println!();
        Ok(())
    }
}

/// User and system time of all of PostgreSQL's processes, including those that have ended.
fn postgres_seconds(testbed: &Testbed) -> Fallible<f64> {
    let pids = testbed.cluster.pids()?;
    let ended = pids.first().map_or(0.0, |server| ticks(*server, 15..17));
    Ok(pids.into_iter().map(processor_seconds).sum::<f64>() + ended / TICKS_PER_SECOND)
}

/// User and system time of the harness and of pgbench, a child it has waited for.
fn harness_seconds() -> Fallible<f64> {
    let mut seconds = 0.0;
    for who in [UsageWho::RUSAGE_SELF, UsageWho::RUSAGE_CHILDREN] {
        let usage = getrusage(who)?;
        for time in [usage.user_time(), usage.system_time()] {
            seconds += time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
        }
    }
    Ok(seconds)
}

fn processor_seconds(pid: Pid) -> f64 {
    ticks(pid, 13..15) / TICKS_PER_SECOND
}

/// The sum of some fields of /proc/PID/stat, counted from 0.
fn ticks(pid: Pid, fields: std::ops::Range<usize>) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name, in parentheses, may contain anything; the third field follows it.
    let after = stat.rsplit_once(") ").map_or("", |(_, after)| after);
    let values = after.split(' ').skip(fields.start - 2).take(fields.len());
    values.filter_map(|value| value.parse::<f64>().ok()).sum()
}
