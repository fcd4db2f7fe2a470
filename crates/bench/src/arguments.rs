//! The command line.

use std::{path::PathBuf, time::Duration};

use clap::{Parser, ValueEnum};

/// Measures Onceward beside pgbench on one PostgreSQL, and writes docs/BENCHMARKS.md and
/// docs/benchmarks.json. A run that leaves out, shortens or profiles something only prints.
#[derive(Debug, Clone, Parser)]
#[command(name = "bench")]
pub struct Arguments {
    /// Only these parts, such as pgbench,1,3
    #[arg(long, value_name = "PARTS", value_enum, value_delimiter = ',')]
    pub only: Vec<Part>,
    /// How often each part is measured; the median is quoted
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=100))]
    pub repeats: u16,
    /// Everything shorter and smaller, for trying
    #[arg(long)]
    pub short: bool,
    /// After each part: statements by time, WAL and processor time a transaction. It costs time
    #[arg(long)]
    pub profile: bool,
    /// The program to measure
    #[arg(long, value_name = "FILE", default_value = "target/release/onceward")]
    pub program: PathBuf,
    /// Where the PostgreSQL cluster is made, and removed again: a folder on a real disk whose path is
    /// short and open to all accounts
    #[arg(long, value_name = "FOLDER", default_value = "/tmp")]
    pub folder: PathBuf,
}

/// A part of the benchmarks: a figure of the table, or something that must be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// What PostgreSQL can do at all
    Pgbench,
    /// Accepted a second
    #[value(name = "1")]
    Accepted,
    /// Accept latency
    #[value(name = "2")]
    Latency,
    /// Posted a second
    #[value(name = "3")]
    Posted,
    /// From accepted to posted
    #[value(name = "4")]
    Delay,
    /// 1 and 4 with history
    #[value(name = "5")]
    History,
    /// Memory with many requests waiting
    #[value(name = "6")]
    Memory,
    /// Pages of the list
    #[value(name = "7")]
    Pages,
    /// Far more offered than can be accepted
    Overload,
    /// PostgreSQL stopped under load
    Outage,
}

impl Arguments {
    /// Whether a part is asked for.
    pub fn asks_for(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }

    /// Whether the run measures everything as it is to be measured.
    pub fn is_whole(&self) -> bool {
        self.only.is_empty() && self.repeats >= 3 && !self.short && !self.profile
    }

    /// How much is measured.
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
                overload: seconds(4),
                outage: seconds(3),
            },
        }
    }
}

/// How long, and how many.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub struct Scale {
    /// Before a throughput is measured.
    pub warm_up: Duration,
    /// pgbench and accepting.
    pub throughput: Duration,
    /// Transactions that a worker drains.
    pub backlog: usize,
    /// The open loop of the accept latency.
    pub latency: Duration,
    /// The open loop from accepted to posted.
    pub delay: Duration,
    /// Rows that are final.
    pub history: u32,
    /// Rows that are due far in the future.
    pub waiting: u32,
    /// Requests that a slow posting service holds at once.
    pub held: usize,
    /// Pages that are read with each filter.
    pub pages: usize,
    /// Offering too much.
    pub overload: Duration,
    /// PostgreSQL stopped.
    pub outage: Duration,
}
