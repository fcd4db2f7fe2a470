//! The order of the parts: those that are compared take turns, so that what changes on the machine
//! meanwhile hits all of them alike.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::arguments::{Arguments, Part};
use crate::environment::machine::Machine;
use crate::environment::testbed::{DATABASE, Stage};
use crate::error::Fallible;
use crate::report::figures::Figures;
use crate::report::output;
use crate::scenarios::drain;
use crate::scenarios::history;
use crate::scenarios::latency;
use crate::scenarios::list_pages;
use crate::scenarios::memory;
use crate::scenarios::outage;
use crate::scenarios::overload;
use crate::scenarios::pgbench;
use crate::scenarios::throughput;

/// Characters of a part's numbers that are printed while the run goes on.
const EXCERPT: usize = 300;
/// Figure 2's rate.
const LATENCY_A_SECOND: f64 = 1_000.0;
/// Figure 4's rate.
const DELAY_A_SECOND: f64 = 200.0;

/// Measures what is asked for, prints it, and writes it where the run was whole. A part that fails does
/// not keep the others from being measured.
///
/// # Errors
/// Where a part could not be measured, or something accepted was lost or posted twice.
pub async fn run(arguments: &Arguments) -> Fallible<()> {
    // The harness holds the other end of each connection.
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most)?;
    let mut stage = Stage::set(arguments).await?;
    let machine = Machine::look(&stage).await?;
    let mut figures = Figures::default();
    // With history is compared with without.
    let compared = |part| matches!(part, Part::Accepted | Part::Delay);
    let asks =
        |part| arguments.asks_for(part) || (compared(part) && arguments.asks_for(Part::History));

    if asks(Part::History) || asks(Part::Pages) {
        println!("making a history of {} rows", stage.scale.history + stage.scale.waiting);
        history::make(&stage).await?;
    }
    for repeat in 1..=arguments.repeats {
        println!("repeat {repeat} of {}", arguments.repeats);
        if asks(Part::Pgbench) {
            let rate = pgbench::transactions_a_second(&stage).await;
            figures.note("pgbench", rate, |figures, rate| figures.pgbench.push(rate));
        }
        if asks(Part::Accepted) {
            let accepted = accepted(&stage, None).await;
            figures.note("1", accepted, |figures, accepted| figures.accepted.push(accepted));
        }
        if asks(Part::Posted) {
            let drain = drain::measure(&stage).await;
            figures.note("3", drain, |figures, drain| figures.posted.push(drain));
        }
        if asks(Part::Delay) {
            let delay = delay(&stage, None).await;
            figures.note("4", delay, |figures, delay| figures.delay.push(delay));
        }
        if asks(Part::History) {
            let template = Some(history::TEMPLATE);
            let delay = delay(&stage, template).await;
            figures.note("4 with history", delay, |figures, delay| {
                figures.delay_with_history.push(delay);
            });
            let accepted = accepted(&stage, template).await;
            figures.note("1 with history", accepted, |figures, accepted| {
                figures.accepted_with_history.push(accepted);
            });
        }
        if asks(Part::Latency) {
            let latency = latency(&stage).await;
            figures.note("2", latency, |figures, latency| figures.latency.push(latency));
        }
    }
    if asks(Part::Pages) {
        let pages = list_pages::measure(&stage, history::TEMPLATE).await;
        figures.note("7", pages, |figures, pages| figures.pages = pages);
    }
    stage.cluster.drop_database(history::TEMPLATE).await?;
    if asks(Part::Memory) {
        let waiting = memory::measure(&stage, memory::DEFAULT_CONCURRENCY).await;
        figures.note("6", waiting, |figures, memory| figures.memory_waiting = Some(memory));
        let under_way = memory::measure(&stage, usize::MAX).await;
        figures.note("6, all under way", under_way, |figures, memory| {
            figures.memory_under_way = Some(memory);
        });
    }
    if asks(Part::Overload) {
        let overload = overload::measure(&stage).await;
        figures.note("overload", overload, |figures, seen| figures.overload = Some(seen));
    }
    if asks(Part::Outage) {
        for kind in [outage::Kind::Frozen, outage::Kind::Crashed] {
            let outage = outage::measure(&mut stage, kind).await;
            figures.note("outage", outage, |figures, seen| figures.outages.push(seen));
        }
    }
    output::give(&machine, &stage.scale, &figures, arguments)?;
    match figures.failures.is_empty() {
        true => Ok(()),
        false => Err(figures.failures.join("\n").into()),
    }
}

/// On a fresh database, or on a copy of a template.
async fn accepted(stage: &Stage, template: Option<&str>) -> Fallible<throughput::Throughput> {
    stage.cluster.make_database(DATABASE, template).await?;
    throughput::measure(stage, DATABASE).await
}

async fn delay(stage: &Stage, template: Option<&str>) -> Fallible<latency::Flow> {
    stage.cluster.make_database(DATABASE, template).await?;
    latency::measure(stage, DATABASE, DELAY_A_SECOND, stage.scale.delay).await
}

async fn latency(stage: &Stage) -> Fallible<latency::Flow> {
    stage.cluster.make_database(DATABASE, None).await?;
    latency::measure(stage, DATABASE, LATENCY_A_SECOND, stage.scale.latency).await
}

impl Figures {
    /// Prints what a part has given, and keeps it.
    fn note<T: serde::Serialize>(
        &mut self,
        part: &str,
        result: Fallible<T>,
        keep: impl FnOnce(&mut Self, T),
    ) {
        match result {
            Ok(measured) => {
                let json = serde_json::to_string(&measured).unwrap_or_default();
                // The report has all of it; this is to see that it goes on.
                println!("  {part:<15} {json:.EXCERPT$}");
                keep(self, measured);
            }
            Err(error) => {
                println!("  {part:<15} failed: {error}");
                self.failures.push(format!("{part}: {error}"));
            }
        }
    }
}
