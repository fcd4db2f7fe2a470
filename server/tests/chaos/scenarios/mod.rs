//! The scenarios, one file a kind of fault: what each one tests, what it needs, and how it runs.
//! The processes it disturbs are in `testbed`.

mod connection_faults;
mod database_faults;
mod log_faults;
mod lone_worker;
mod mixed_faults;
mod own_postgres_faults;
mod process_faults;
mod service_faults;

use std::time::Duration;

use clap::ValueEnum;
use simulator::Faults;
use tokio::process::Command;

use crate::{
    Fallible,
    observation::health,
    testbed::{Requirements, Size, Testbed, own_postgres::OwnPostgres},
};

/// The disk of a PostgreSQL that runs full: room for a new cluster, its WAL and the load.
const DISK_MB: u32 = 700;

/// A scenario. `--list` prints the comment of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Scenario {
    /// the posting service has its usual faults, and nothing is killed
    Calm,
    /// a worker is killed at random moments, repeatedly
    KillWorker,
    /// the web process is killed at random moments, repeatedly
    KillWeb,
    /// a worker and the web process are killed at once, repeatedly
    KillBoth,
    /// one of two busy workers is killed and not restarted
    OneOfTwoWorkers,
    /// a worker is stopped until others have posted what it held, then resumes
    StopWorker,
    /// sessions of Onceward are terminated in PostgreSQL at random
    TerminateBackends,
    /// PostgreSQL is restarted with a fast shutdown
    PostgresFast,
    /// PostgreSQL is restarted with an immediate shutdown, as after a crash
    PostgresImmediate,
    /// PostgreSQL is stopped and resumes, then crashes and is down for as long; every request is
    /// answered
    PostgresStopped,
    /// connections to PostgreSQL break, lose answers, and stall
    CutConnections,
    /// the table is locked, or other clients take every connection of PostgreSQL
    PoolExhausted,
    /// Onceward runs its own PostgreSQL, whose postmaster is killed repeatedly
    OwnPostgresKilled,
    /// the disk of Onceward's own PostgreSQL is full for a while
    DatabaseDiskFull,
    /// nothing listens at the posting service's address for a while
    PostingServiceGone,
    /// the posting service accepts connections and resets every one for a while
    PostingServiceResets,
    /// the posting service fails, resets, hangs, writes late, and does not show what it just wrote
    HostilePostingService,
    /// the posting service refuses some transactions permanently
    Refusals,
    /// no process can write its log: the disk is full, nobody reads the pipe, its reader is gone
    LogDiskFull,
    /// the posting service shows the id alone, confirms with nothing, with a 202, or with what is no
    /// confirmation
    SaysLittle,
    /// a hostile posting service, kills, stops, and restarts of PostgreSQL
    Everything,
}

impl Scenario {
    pub fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    pub fn about(self) -> String {
        let value = self.to_possible_value();
        value.and_then(|value| value.get_help().map(ToString::to_string)).unwrap_or_default()
    }

    /// Whether it is part of the short form. Those that are not add nothing to one that is: every
    /// scenario contains `calm`, `kill-both` contains the two kills, an immediate shutdown is
    /// harder than a fast one, and a service that resets is part of a hostile one.
    pub fn is_short(self) -> bool {
        !matches!(
            self,
            Self::Calm
                | Self::KillWorker
                | Self::KillWeb
                | Self::PostgresFast
                | Self::PostingServiceResets
        )
    }

    /// The size of the scenario.
    pub fn size(self, full: bool, transactions: Option<u32>) -> Size {
        let transactions = transactions.unwrap_or(if full { 5_000 } else { 240 });
        let load_s = match (self, full) {
            // Long enough for the slow faults.
            (Self::StopWorker | Self::PostingServiceGone | Self::PostingServiceResets, true) => 50,
            (Self::PoolExhausted | Self::PostgresStopped | Self::Everything, true) => 40,
            (_, true) => 20,
            // Fast enough to keep two workers busy.
            (Self::OneOfTwoWorkers, false) => 2,
            (_, false) => 6,
        };
        Size { transactions, load: Duration::from_secs(load_s), full }
    }

    /// What it needs from its testbed.
    pub async fn requirements(self, size: &Size) -> Fallible<Requirements> {
        Ok(Requirements {
            name: self.name(),
            max_connections: self.max_connections(),
            own_postgres: matches!(self, Self::OwnPostgresKilled | Self::DatabaseDiskFull),
            disk_mb: (self == Self::DatabaseDiskFull).then_some(DISK_MB),
            proxied: matches!(self, Self::CutConnections | Self::StopWorker),
            faults: self.faults(),
            rate_limit_per_s: self.rate_limit_per_s(size).await?,
            logs_fail: self == Self::LogDiskFull,
        })
    }

    /// Why it cannot run here, if so.
    pub fn obstacle(self) -> Option<String> {
        if self != Self::DatabaseDiskFull {
            return None;
        }
        OwnPostgres::no_disk().map(|why| format!("skipped, because no disk can be mounted: {why}"))
    }

    /// The faults of the posting service. It keeps the promises on which Onceward's settings (see
    /// `testbed/fleet.rs`) rest: a late write lands within the settle window, and a write is
    /// visible within the visibility window. A request that hangs does so longer than Onceward
    /// waits.
    fn faults(self) -> Faults {
        match self {
            Self::OneOfTwoWorkers => lone_worker::slow(),
            Self::Refusals => Faults { refusal_rate: 0.02, ..Faults::default() },
            Self::HostilePostingService | Self::Everything => Faults {
                pre_write_failure_rate: 0.1,
                post_write_failure_rate: 0.1,
                reset_before_write_rate: 0.025,
                reset_after_write_rate: 0.025,
                hang_rate: 0.03,
                hang_ms: 5_000,
                late_write_rate: 0.03,
                late_write_delay_ms: 2_500,
                verification_failure_rate: 0.05,
                visibility_lag_ms: 500,
                ..Faults::default()
            },
            Self::SaysLittle => Faults {
                says_little: true,
                accepted_rate: 0.03,
                accepted_lost_rate: 0.02,
                wrong_success_rate: 0.04,
                late_write_delay_ms: 2_500,
                ..Faults::default()
            },
            _ => Faults::default(),
        }
    }

    /// How many connections PostgreSQL accepts.
    fn max_connections(self) -> u32 {
        match self {
            // Enough for Onceward's pools, and soon taken by others.
            Self::PoolExhausted => 70,
            _ => 150,
        }
    }

    /// The rate limit of each worker, if it has a setting for that.
    async fn rate_limit_per_s(self, size: &Size) -> Fallible<Option<u32>> {
        if self != Self::PostingServiceGone {
            return Ok(None);
        }
        let program = env!("CARGO_BIN_EXE_onceward");
        let help = Command::new(program).args(["worker", "--help"]).output().await?;
        let has_limit = String::from_utf8_lossy(&help.stdout).contains("POSTING_RATE_LIMIT");
        Ok(has_limit.then_some(size.pick(120, 50)))
    }

    /// Injects the fault while the load runs.
    pub async fn disrupt(self, testbed: &mut Testbed) -> Fallible<()> {
        match self {
            Self::Calm | Self::HostilePostingService => Ok(()),
            Self::KillWorker => process_faults::kill_workers(testbed).await,
            Self::KillWeb => process_faults::kill_web(testbed).await,
            Self::KillBoth => process_faults::kill_both(testbed).await,
            Self::OneOfTwoWorkers => lone_worker::kill_one_of_two(testbed).await,
            Self::StopWorker => process_faults::stop_workers(testbed).await,
            Self::TerminateBackends => database_faults::terminate_backends(testbed).await,
            Self::PostgresFast => database_faults::restart_fast(testbed).await,
            Self::PostgresImmediate => database_faults::restart_immediately(testbed).await,
            Self::PostgresStopped => database_faults::stop_and_crash(testbed).await,
            Self::CutConnections => connection_faults::cut(testbed).await,
            Self::PoolExhausted => connection_faults::exhaust(testbed).await,
            Self::OwnPostgresKilled => own_postgres_faults::kill_postmaster(testbed).await,
            Self::DatabaseDiskFull => own_postgres_faults::fill_disk(testbed).await,
            Self::PostingServiceGone => service_faults::nothing_listens(testbed).await,
            Self::PostingServiceResets => service_faults::everything_is_reset(testbed).await,
            Self::Refusals => Ok(()),
            Self::LogDiskFull => log_faults::restart_without_log(testbed).await,
            Self::SaysLittle => health::watch(testbed).await,
            Self::Everything => mixed_faults::everything(testbed).await,
        }
    }

    /// Checks what only this scenario promises, after everything is final.
    pub async fn check(self, testbed: &mut Testbed) -> Fallible<()> {
        match self {
            Self::Refusals => service_faults::check_refusals(testbed).await,
            Self::LogDiskFull => log_faults::check(testbed).await,
            Self::SaysLittle => health::check_at_the_end(testbed).await,
            _ => Ok(()),
        }
    }
}
