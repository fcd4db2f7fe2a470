//! The report as Markdown.

use std::{collections::BTreeMap, fmt::Write as _};

use crate::environment::machine::Machine;
use crate::report::figures::Figures;
use crate::report::goals::{Goal, Line};
use crate::scenarios::outage::Kind;
use crate::statistics::Repeats;

/// The measured part of the page.
pub fn markdown(
    machine: &Machine,
    figures: &Figures,
    lines: &[Line],
) -> Result<String, std::fmt::Error> {
    let mut out = String::new();
    if !lines.is_empty() {
        writeln!(out, "| | what | measured | spread | goal | |\n|---|---|---:|---:|---:|---|")?;
    }
    for line in lines {
        writeln!(out, "{}", row(line))?;
    }
    let rates = [
        ("pgbench", figures.pgbench.clone(), "transactions per second"),
        (
            "accepted",
            figures.accepted.iter().map(|one| one.accepted_a_second).collect(),
            "per second",
        ),
        (
            "accepted with history",
            figures.accepted_with_history.iter().map(|one| one.accepted_a_second).collect(),
            "per second",
        ),
        (
            "posted",
            figures.posted.iter().map(|one| one.completed_a_second).collect(),
            "per second, measured until recorded as completed",
        ),
    ];
    writeln!(out, "\nThe absolute numbers on this machine:\n")?;
    for (name, values, unit) in rates {
        if let Some(Repeats { median, min, max }) = Repeats::of(values) {
            writeln!(out, "- {name}: {median:.0} {unit} ({min:.0} to {max:.0})")?;
        }
    }
    if let Some(Repeats { median, .. }) =
        Repeats::of(figures.latency.iter().map(|flow| flow.sent_late as f64))
    {
        let max = figures.latency.iter().map(|flow| flow.accepting.max_ms).fold(0.0, f64::max);
        let p999 = Repeats::of(figures.latency.iter().map(|flow| flow.accepting.p999_ms));
        let p999 = p999.map_or(0.0, |p999| p999.median);
        writeln!(
            out,
            "- accept latency at 1,000 per second: p99.9 {p999:.1} ms, max {max:.1} ms; {median:.0} \
             requests were sent more than 5 ms late"
        )?;
    }
    let throughputs = figures.accepted.iter().chain(&figures.accepted_with_history);
    let fleet: Vec<_> = figures.fleet.iter().map(|fleet| fleet.latencies.clone()).collect();
    let flows = [&figures.latency, &figures.delay, &figures.delay_with_history, &fleet];
    let others = throughputs
        .map(|one| &one.others)
        .chain(flows.into_iter().flatten().map(|flow| &flow.others))
        .filter(|others| !others.is_empty());
    for others in others {
        writeln!(out, "- answers other than 202 in one repetition: {}", counted(others))?;
    }
    overload_and_outages(&mut out, figures)?;
    machine_and_settings(&mut out, machine)?;
    if !figures.pages.is_empty() {
        writeln!(out, "\n### Pages of the list\n")?;
        writeln!(out, "| filter | p50 (ms) | p99 (ms) | requests |\n|---|---:|---:|---:|")?;
    }
    for pages in &figures.pages {
        let (filter, latency) = (&pages.filter, pages.latency);
        write!(out, "| `{filter}` | {:.1} | {:.1} |", latency.p50_ms, latency.p99_ms)?;
        let others: u64 = pages.others.values().sum();
        match others {
            0 => writeln!(out, " {} |", latency.count)?,
            _ => writeln!(out, " {}, {others} failed |", latency.count)?,
        }
    }
    for failure in &figures.failures {
        writeln!(out, "\nFAILED {failure}")?;
    }
    Ok(out)
}

fn row(line: &Line) -> String {
    let Line { figure, what, measured, min, max, unit, goal, stretch } = line;
    let number = |value: f64| match *unit {
        "" => format!("{value:.2}"),
        unit => format!("{value:.1} {unit}"),
    };
    let wanted = |goal: &Goal| match goal {
        Goal::AtLeast(least) => format!("≥ {}", number(*least)),
        Goal::AtMost(most) => format!("≤ {}", number(*most)),
    };
    let mut goals = wanted(goal);
    if let Some(stretch) = stretch {
        goals.push_str(&format!(" (stretch {})", wanted(stretch)));
    }
    let reached = match (goal.is_reached(*measured), stretch) {
        (true, Some(stretch)) if stretch.is_reached(*measured) => "reached, and the stretch",
        (true, _) => "reached",
        (false, _) => "**missed**",
    };
    let (measured, min, max) = (number(*measured), number(*min), number(*max));
    format!("| {figure} | {what} | {measured} | {min} to {max} | {goals} | {reached} |")
}

fn counted(counts: &BTreeMap<String, u64>) -> String {
    let each: Vec<String> = counts.iter().map(|(what, n)| format!("{n} × {what}")).collect();
    each.join(", ")
}

/// The parts that have no goal in the table.
fn overload_and_outages(out: &mut String, figures: &Figures) -> std::fmt::Result {
    if let Some(seen) = &figures.overload {
        writeln!(out, "\n### Overload: 20,000 requests per second\n")?;
        writeln!(
            out,
            "- {} requests were due; {} of them were not sent because all 8,000 connections were busy",
            seen.due, seen.not_sent
        )?;
        writeln!(out, "- answers: {}", counted(&seen.by_status))?;
        let answers = seen.answers;
        writeln!(
            out,
            "- latency: p50 {:.0} ms, p99 {:.0} ms, max {:.0} ms",
            answers.p50_ms, answers.p99_ms, answers.max_ms
        )?;
        let memory = seen.memory.peak_bytes as f64 / 1e6;
        writeln!(out, "- peak memory of the process: {memory:.0} MB")?;
        writeln!(out, "- all {} accepted transactions were posted exactly once", seen.posted)?;
    }
    for seen in &figures.outages {
        let how = match seen.kind {
            Kind::Frozen => "stopped by SIGSTOP",
            Kind::Crashed => "crashed and restarted",
        };
        writeln!(out, "\n### PostgreSQL {how}, at 500 requests per second\n")?;
        writeln!(out, "- answers: {}", counted(&seen.by_status))?;
        writeln!(out, "- slowest answer: {:.0} ms", seen.answers.max_ms)?;
        writeln!(out, "- all {} accepted transactions were posted exactly once", seen.posted)?;
    }
    Ok(())
}

fn machine_and_settings(out: &mut String, machine: &Machine) -> std::fmt::Result {
    let Machine { date, processor, cores, memory_bytes, kernel, file_system, fdatasync, .. } =
        machine;
    let memory = *memory_bytes as f64 / 1e9;
    writeln!(out, "\n### Machine, versions and settings\n")?;
    writeln!(out, "- {date}: {processor}, {cores} cores, {memory:.1} GB, {kernel}")?;
    let (p50, p99) = (fdatasync.p50_ms * 1000.0, fdatasync.p99_ms * 1000.0);
    writeln!(
        out,
        "- {file_system}; writing 8 KiB with fdatasync takes {p50:.0} µs (p99 {p99:.0} µs)"
    )?;
    writeln!(out, "- {} at {}, built by {}", machine.onceward, machine.commit, machine.rustc)?;
    let settings: Vec<String> =
        machine.postgres.iter().map(|(name, value)| format!("{name} {value}")).collect();
    writeln!(
        out,
        "- PostgreSQL (the same server for pgbench and Onceward): {}",
        settings.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_whether_its_goal_is_reached() {
        let line = |measured| Line {
            figure: "1",
            what: "accepted",
            measured,
            min: 0.5,
            max: 2.0,
            unit: "",
            goal: Goal::AtLeast(1.0),
            stretch: Some(Goal::AtLeast(1.35)),
        };
        let goals = "0.50 to 2.00 | ≥ 1.00 (stretch ≥ 1.35)";
        for (measured, expected) in [
            (0.99, format!("| 1 | accepted | 0.99 | {goals} | **missed** |")),
            (1.0, format!("| 1 | accepted | 1.00 | {goals} | reached |")),
            (1.4, format!("| 1 | accepted | 1.40 | {goals} | reached, and the stretch |")),
        ] {
            assert_eq!(row(&line(measured)), expected);
        }
    }
}
