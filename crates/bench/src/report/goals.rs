//! The table: each figure and its goal.

use serde::Serialize;

use crate::environment::onceward_process::Memory;
use crate::report::figures::Figures;
use crate::scenarios::credentials::Authenticated;
use crate::scenarios::latency::Latencies;
use crate::statistics::{Quantiles, Repeats};

/// A line of the table.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Line {
    pub figure: &'static str,
    pub what: &'static str,
    pub measured: f64,
    pub min: f64,
    pub max: f64,
    pub unit: &'static str,
    pub goal: Goal,
    pub stretch: Option<Goal>,
}

/// The bound of a figure.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Goal {
    AtLeast(f64),
    AtMost(f64),
}

impl Goal {
    /// Whether a number is within the bound.
    pub fn is_reached(self, measured: f64) -> bool {
        match self {
            Self::AtLeast(least) => measured >= least,
            Self::AtMost(most) => measured <= most,
        }
    }
}

/// The lines of the table; a part that was left out has none.
pub fn lines(figures: &Figures) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut line = |figure, what, values: Option<Repeats>, unit, goal, stretch| {
        let Some(Repeats { median, min, max }) = values else { return };
        lines.push(Line { figure, what, measured: median, min, max, unit, goal, stretch });
    };
    let pgbench = Repeats::of(figures.pgbench.iter().copied()).map(|rate| rate.median);
    let ratio = |values: Vec<f64>| {
        pgbench.and_then(|pgbench| Repeats::of(values.into_iter().map(|value| value / pgbench)))
    };
    let accepted: Vec<f64> = figures.accepted.iter().map(|one| one.accepted_a_second).collect();
    let posted = figures.posted.iter().map(|one| one.completed_a_second).collect();
    let accepting = |at: fn(&Quantiles) -> f64| {
        Repeats::of(figures.latency.iter().map(move |flow| at(&flow.accepting)))
    };
    let posting = |flows: &[Latencies], at: fn(&Quantiles) -> f64| {
        Repeats::of(flows.iter().map(move |flow| at(&flow.posting)))
    };
    use Goal::{AtLeast, AtMost};

    line(
        "1",
        "accepted a second ÷ pgbench",
        ratio(accepted.clone()),
        "",
        AtLeast(1.0),
        Some(AtLeast(1.35)),
    );
    line("2", "accept latency at 1,000 a second, p50", accepting(p50), "ms", AtMost(3.0), None);
    line("2", "the same, p99", accepting(p99), "ms", AtMost(20.0), None);
    line("3", "posted a second ÷ pgbench", ratio(posted), "", AtLeast(0.5), Some(AtLeast(0.9)));
    let delay = &figures.delay;
    line(
        "4",
        "from accepted to posted at 200 a second, p50",
        posting(delay, p50),
        "ms",
        AtMost(20.0),
        None,
    );
    line("4", "the same, p99", posting(delay, p99), "ms", AtMost(100.0), None);

    let over = |values: Option<Repeats>, base: Option<Repeats>| {
        let base = base?.median;
        values.map(|Repeats { median, min, max }| Repeats {
            median: median / base,
            min: min / base,
            max: max / base,
        })
    };
    let with_history = figures.accepted_with_history.iter().map(|one| one.accepted_a_second);
    let plain = Repeats::of(accepted);
    let accepted = over(Repeats::of(with_history), plain);
    line("5", "1 with history ÷ without", accepted, "", AtLeast(0.8), None);
    let late = &figures.delay_with_history;
    let at_p50 = over(posting(late, p50), posting(delay, p50));
    line("5", "4 with history ÷ without, p50", at_p50, "", AtMost(1.2), None);
    let at_p99 = over(posting(late, p99), posting(delay, p99));
    line("5", "the same, p99", at_p99, "", AtMost(1.2), None);

    let memory = |seen: Option<Memory>| Repeats::of(seen.map(|seen| seen.peak_bytes as f64 / 1e6));
    let waiting = memory(figures.memory_waiting);
    line("6", "memory with 10,000 waiting, 64 POSTs under way", waiting, "MB", AtMost(200.0), None);
    let under_way = memory(figures.memory_under_way);
    line("6", "the same, all 10,000 POSTs under way", under_way, "MB", AtMost(200.0), None);
    let worst = figures.pages.iter().map(|pages| pages.latency.p99_ms).max_by(f64::total_cmp);
    line(
        "7",
        "a page of 50, p99 of the slowest filter",
        Repeats::of(worst),
        "ms",
        AtMost(20.0),
        None,
    );
    let fleet = |at: fn(&Quantiles) -> f64| {
        Repeats::of(figures.fleet.iter().map(move |fleet| at(&fleet.latencies.posting)))
    };
    line(
        "8",
        "from accepted to posted at 200 a second, web and two workers apart, p50",
        fleet(p50),
        "ms",
        AtMost(5.0),
        None,
    );
    line("8", "the same, p99", fleet(p99), "ms", AtMost(20.0), None);
    let idle = figures.fleet.iter().map(|fleet| fleet.idle_statements_a_second);
    line(
        "8",
        "statements of an idle fleet, two web and four workers",
        Repeats::of(idle),
        "a second",
        AtMost(25.0),
        None,
    );
    let rates = |seen: &[Authenticated]| {
        Repeats::of(seen.iter().map(|one| one.throughput.accepted_a_second))
    };
    let with_key = over(rates(&figures.with_key), plain);
    line("9", "1 with an API key ÷ without", with_key, "", AtLeast(0.95), None);
    let with_token = over(rates(&figures.with_token), plain);
    line("9", "1 with a token (ES256) ÷ without", with_token, "", AtLeast(0.9), None);
    let revocations = figures.with_key.iter().chain(&figures.with_token);
    let revocations = Repeats::of(revocations.map(|one| one.revoked_after_ms));
    line("9", "from a revocation to the first refusal", revocations, "ms", AtMost(1_000.0), None);
    lines
}

fn p50(latency: &Quantiles) -> f64 {
    latency.p50_ms
}

fn p99(latency: &Quantiles) -> f64 {
    latency.p99_ms
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenarios::drain::Drain;
    use crate::scenarios::throughput::Throughput;

    #[test]
    fn throughput_is_reported_relative_to_the_median_of_pgbench() {
        let accepted = |accepted_a_second| Throughput { accepted_a_second, others: [].into() };
        let figures = Figures {
            pgbench: vec![1000.0, 4000.0, 2000.0],
            accepted: [3000.0, 2000.0, 1000.0].map(accepted).to_vec(),
            posted: vec![Drain { completed_a_second: 800.0, arrived_a_second: 900.0 }],
            accepted_with_history: vec![accepted(1500.0)],
            ..Figures::default()
        };
        let lines = lines(&figures);
        let shown: Vec<_> =
            lines.iter().map(|line| (line.figure, line.measured, line.min, line.max)).collect();
        let expected = [("1", 1.0, 0.5, 1.5), ("3", 0.4, 0.4, 0.4), ("5", 0.75, 0.75, 0.75)];
        assert_eq!(shown, expected);
        let reached = lines.iter().map(|line| line.goal.is_reached(line.measured));
        assert_eq!(reached.collect::<Vec<_>>(), [true, false, false]);
    }
}
