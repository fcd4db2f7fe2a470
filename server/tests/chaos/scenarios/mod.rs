//! The scenarios: what each is for, what it asks of its surroundings, and how it goes.

mod connection_faults;
mod database_faults;
mod lone_worker;
mod mixed_faults;
mod process_faults;
mod service_faults;

use std::time::Duration;

use clap::ValueEnum;
use simulator::Faults;
use tokio::process::Command;

use crate::{
    Fallible,
    arguments::Arguments,
    testbed::{Size, Stage},
};

/// A scenario. Its comment is what `--list` says of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Scenario {
    /// the posting service has a bad day, and nothing is killed
    Calm,
    /// a worker is killed at random, again and again
    KillWorker,
    /// the web process is killed at random, again and again
    KillWeb,
    /// a worker and the web process are killed at once, again and again
    KillBoth,
    /// one of two busy workers is killed for good
    OneOfTwoWorkers,
    /// a worker is stopped until others have posted what it held, then goes on
    StopWorker,
    /// sessions of Onceward are ended in PostgreSQL at random
    TerminateBackends,
    /// PostgreSQL is restarted with a fast shutdown
    PostgresFast,
    /// PostgreSQL is restarted with an immediate shutdown, as after a crash
    PostgresImmediate,
    /// PostgreSQL is stopped and goes on, then crashes and is away for as long; every request is answered
    PostgresStopped,
    /// connections to PostgreSQL break, lose answers, and stall
    CutConnections,
    /// the table is locked, or others take every connection of PostgreSQL
    PoolExhausted,
    /// nothing listens at the posting service's address for a while
    PostingServiceGone,
    /// the posting service takes connections and resets every one of them for a while
    PostingServiceResets,
    /// the posting service fails, resets, hangs, writes late, and forgets what it just wrote
    HostilePostingService,
    /// the posting service refuses some transactions for good
    Refusals,
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

    /// Whether it is part of the short form. Those that are not add nothing to one that is:
    /// everything contains `calm`, `kill-both` contains the two kills, an immediate shutdown is
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

    /// How much it does.
    pub fn size(self, arguments: &Arguments) -> Size {
        let full = arguments.full;
        let transactions = arguments.transactions.unwrap_or(if full { 5_000 } else { 240 });
        let load_s = match (self, full) {
            // Long enough for what takes its time.
            (Self::StopWorker | Self::PostingServiceGone | Self::PostingServiceResets, true) => 50,
            (Self::PoolExhausted | Self::PostgresStopped | Self::Everything, true) => 40,
            (_, true) => 20,
            // Fast enough to keep two workers busy.
            (Self::OneOfTwoWorkers, false) => 2,
            (_, false) => 6,
        };
        Size { transactions, load: Duration::from_secs(load_s), full }
    }

    /// What goes wrong at the posting service. It keeps the promises that Onceward's settings (see
    /// `fleet.rs`) rest on: a late write lands within the settle window, and a write is visible
    /// within the visibility window. What hangs, hangs longer than Onceward waits.
    pub fn faults(self) -> Faults {
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
            _ => Faults::default(),
        }
    }

    /// How many connections PostgreSQL takes.
    pub fn max_connections(self) -> u32 {
        match self {
            // Enough for Onceward's pools, and soon taken by others.
            Self::PoolExhausted => 70,
            _ => 150,
        }
    }

    /// The most requests a second that each worker is told to make, where it has a setting for that.
    pub async fn rate_limit_per_s(self, size: &Size) -> Fallible<Option<u32>> {
        if self != Self::PostingServiceGone {
            return Ok(None);
        }
        let program = env!("CARGO_BIN_EXE_onceward");
        let help = Command::new(program).args(["worker", "--help"]).output().await?;
        let has_limit = String::from_utf8_lossy(&help.stdout).contains("POSTING_RATE_LIMIT");
        Ok(has_limit.then_some(size.pick(120, 50)))
    }

    /// Makes go wrong what is to go wrong, while the load is on.
    pub async fn disrupt(self, stage: &mut Stage) -> Fallible<()> {
        match self {
            Self::Calm | Self::HostilePostingService => Ok(()),
            Self::KillWorker => process_faults::kill_workers(stage).await,
            Self::KillWeb => process_faults::kill_web(stage).await,
            Self::KillBoth => process_faults::kill_both(stage).await,
            Self::OneOfTwoWorkers => lone_worker::kill_one_of_two(stage).await,
            Self::StopWorker => process_faults::stop_workers(stage).await,
            Self::TerminateBackends => database_faults::terminate_backends(stage).await,
            Self::PostgresFast => database_faults::restart_fast(stage).await,
            Self::PostgresImmediate => database_faults::restart_immediately(stage).await,
            Self::PostgresStopped => database_faults::stop_and_crash(stage).await,
            Self::CutConnections => connection_faults::cut(stage).await,
            Self::PoolExhausted => connection_faults::exhaust(stage).await,
            Self::PostingServiceGone => service_faults::nothing_listens(stage).await,
            Self::PostingServiceResets => service_faults::everything_is_reset(stage).await,
            Self::Refusals => Ok(()),
            Self::Everything => mixed_faults::everything(stage).await,
        }
    }

    /// What only this scenario promises, looked at when all is over.
    pub async fn check(self, stage: &mut Stage) -> Fallible<()> {
        match self {
            Self::Refusals => service_faults::check_refusals(stage).await,
            _ => Ok(()),
        }
    }
}
