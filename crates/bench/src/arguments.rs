//! The command line.

use std::{path::PathBuf, time::Duration};

use clap::{Parser, ValueEnum};

/// Measures Onceward and pgbench on the same PostgreSQL, and writes docs/BENCHMARKS.md and
/// docs/benchmarks.json. A run with --only, --short, --profile or fewer than 3 repetitions only
/// prints.
#[derive(Debug, Clone, Parser)]
#[command(name = "bench")]
pub struct Arguments {
    /// Measure only these parts, such as pgbench,1,3
    #[arg(long, value_name = "PARTS", value_enum, value_delimiter = ',')]
    pub only: Vec<Part>,
    /// How many times each part is measured; the median is reported
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=100))]
    pub repeats: u16,
    /// Shorten and shrink everything, for a trial run
    #[arg(long)]
    pub short: bool,
    /// After each part, print the statements by time, and WAL and processor time per transaction.
    /// This slows PostgreSQL down
    #[arg(long)]
    pub profile: bool,
    /// The program to measure
    #[arg(long, value_name = "FILE", default_value = "target/release/onceward")]
    pub program: PathBuf,
    /// The folder in which the PostgreSQL cluster is created and removed again: on a real disk,
    /// with a short path that all accounts may enter
    #[arg(long, value_name = "FOLDER", default_value = "/tmp")]
    pub folder: PathBuf,
}

/// A part of the benchmarks: a figure of the table, or a behaviour under overload or in an outage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// The baseline: what PostgreSQL itself can do
    Pgbench,
    /// Accepted transactions per second
    #[value(name = "1")]
    Accepted,
    /// Accept latency
    #[value(name = "2")]
    Latency,
    /// Posted transactions per second
    #[value(name = "3")]
    Posted,
    /// Delay from accepted to posted
    #[value(name = "4")]
    Delay,
    /// Parts 1 and 4 on a database with history
    #[value(name = "5")]
    History,
    /// Memory with many requests in flight
    #[value(name = "6")]
    Memory,
    /// Pages of the list
    #[value(name = "7")]
    Pages,
    /// A fleet: the delay from accepted to posted by other processes, and its statements while it is idle
    #[value(name = "8")]
    Fleet,
    /// Accepted transactions per second with an API key, and with a token
    #[value(name = "9")]
    Credentials,
    /// Far more requests than can be accepted
    Overload,
    /// PostgreSQL stopped under load
    Outage,
}

impl Arguments {
    /// Whether a part is measured.
    pub fn includes(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }

    /// Whether the run measures everything, so that its results may be published.
    pub fn is_complete(&self) -> bool {
        self.only.is_empty() && self.repeats >= 3 && !self.short && !self.profile
    }

    /// How long and how much is measured.
    pub fn scale(&self) -> Scale {
        let seconds = Duration::from_secs;
        match self.short {
            false => Scale {
                warm_up: seconds(3),
                throughput: seconds(15),
                backlog: 20_000,
                latency: seconds(60),
                delay: seconds(20),
                history: 1_000_000,
                waiting: 300_000,
                held: 10_000,
                pages: 100,
                idle: seconds(20),
                overload: seconds(20),
                outage: seconds(10),
            },
            true => Scale {
                warm_up: seconds(1),
                throughput: seconds(4),
                backlog: 5_000,
                latency: seconds(6),
                delay: seconds(4),
                history: 100_000,
                waiting: 30_000,
                held: 1_000,
                pages: 20,
                idle: seconds(10),
                overload: seconds(4),
                outage: seconds(3),
            },
        }
    }
}

/// Durations and counts of the measurements.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub struct Scale {
    /// Before a throughput is measured.
    pub warm_up: Duration,
    /// pgbench, and the throughput of accepting.
    pub throughput: Duration,
    /// Transactions that a worker drains.
    pub backlog: usize,
    /// The open loop of the accept latency.
    pub latency: Duration,
    /// The open loop from accepted to posted.
    pub delay: Duration,
    /// Rows in the history that are final or in doubt.
    pub history: u32,
    /// Pending rows in the history, due far in the future.
    pub waiting: u32,
    /// Transactions that are accepted while the posting service holds its answers.
    pub held: usize,
    /// Pages that are read with each filter.
    pub pages: usize,
    /// How long an idle fleet's statements are counted.
    pub idle: Duration,
    /// The overload.
    pub overload: Duration,
    /// How long PostgreSQL is stopped.
    pub outage: Duration,
}
