//! The command line, including the options that `cargo test` passes to every test program.

use clap::{ArgAction, Parser, ValueEnum};

use crate::scenarios::Scenario;

/// Fault tests with real processes: Onceward, its PostgreSQL and its posting service are killed,
/// stopped, disconnected and restarted under load, and the ledger is compared with what was
/// accepted.
#[derive(Debug, Clone, Parser)]
#[command(name = "chaos")]
pub struct Arguments {
    /// Only the scenarios whose names contain one of these
    #[arg(value_name = "FILTER")]
    pub filters: Vec<String>,
    /// No scenario whose name contains this
    #[arg(long, value_name = "FILTER")]
    pub skip: Vec<String>,
    /// Only this scenario; may be repeated
    #[arg(long, value_name = "NAME", value_parser = scenario)]
    pub scenario: Vec<Scenario>,
    /// List the scenarios and what each one tests
    #[arg(long)]
    pub list: bool,
    /// Every scenario, at full length, on databases whose commits reach the disk
    #[arg(long)]
    pub full: bool,
    /// Transactions in each scenario [default: 5000 with --full, else 240]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub transactions: Option<u32>,
    /// Determines victims and moments; printed for a replay [default: random]
    #[arg(long)]
    pub seed: Option<u64>,
    /// Scenarios that run concurrently [default: 1 with --full, else 4]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub jobs: Option<u16>,
    /// Print the table in Markdown, with the command
    #[arg(long)]
    pub markdown: bool,
    #[command(flatten)]
    of_cargo_test: OfCargoTest,
}

/// Options of `cargo test`. They have no effect here, except that `--ignored` selects no scenario.
#[derive(Debug, Clone, clap::Args)]
struct OfCargoTest {
    #[arg(long, hide = true, action = ArgAction::Count, visible_alias = "no-capture")]
    nocapture: u8,
    #[arg(long, short, hide = true, action = ArgAction::Count)]
    quiet: u8,
    #[arg(long, hide = true, action = ArgAction::Count)]
    exact: u8,
    #[arg(long, hide = true, action = ArgAction::Count)]
    show_output: u8,
    #[arg(long, hide = true, action = ArgAction::Count)]
    include_ignored: u8,
    #[arg(long, hide = true, action = ArgAction::Count)]
    ignored: u8,
    #[arg(long, hide = true)]
    test_threads: Option<String>,
    #[arg(long, hide = true)]
    color: Option<String>,
    #[arg(long, hide = true)]
    format: Option<String>,
}

impl Arguments {
    /// The selected scenarios, in their order.
    pub fn scenarios(&self) -> Vec<Scenario> {
        let asked = |scenario: &Scenario| {
            let name = scenario.name();
            if self.of_cargo_test.ignored > 0 || self.skip.iter().any(|skip| name.contains(skip)) {
                return false;
            }
            match (self.scenario.is_empty(), self.filters.is_empty()) {
                (false, _) => self.scenario.contains(scenario),
                (true, false) => self.filters.iter().any(|filter| name.contains(filter)),
                (true, true) => self.full || scenario.is_short(),
            }
        };
        Scenario::value_variants().iter().copied().filter(asked).collect()
    }

    pub fn jobs(&self) -> usize {
        self.jobs.map_or(if self.full { 1 } else { 4 }, usize::from)
    }
}

fn scenario(name: &str) -> Result<Scenario, String> {
    Scenario::from_str(name, false).map_err(|_| "there is no such scenario; see --list".to_owned())
}
