//! The order of the parts. Parts that are compared alternate, so that changes on the machine during
//! a run affect all of them alike.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::arguments::{Arguments, Part};
use crate::environment::machine::Machine;
use crate::environment::testbed::{DATABASE, Testbed};
use crate::error::Fallible;
use crate::report::figures::Figures;
use crate::report::output;
use crate::scenarios::credentials::{self, Credential};
use crate::scenarios::drain;
use crate::scenarios::fleet;
use crate::scenarios::history;
use crate::scenarios::latency;
use crate::scenarios::list_pages;
use crate::scenarios::memory;
use crate::scenarios::outage;
use crate::scenarios::overload;
use crate::scenarios::pgbench;
use crate::scenarios::throughput;

/// How many characters of a part's result are printed during the run.
const EXCERPT: usize = 300;
/// Figure 2's rate.
const LATENCY_PER_SECOND: f64 = 1_000.0;
/// The rate of figures 4 and 8.
const DELAY_PER_SECOND: f64 = 200.0;

/// Measures the selected parts, prints the report, and writes it if the run was complete. The other
/// parts are measured even if one fails.
///
/// # Errors
/// A part could not be measured, or an accepted transaction was lost or posted twice.
pub async fn run(arguments: &Arguments) -> Fallible<()> {
    // The harness needs a file descriptor for its end of each connection.
    let (_, hard_limit) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard_limit, hard_limit)?;
    let mut testbed = Testbed::create(arguments).await?;
    let machine = Machine::inspect(&testbed).await?;
    let mut figures = Figures::default();
    // Part 5 compares the figures with history to those without, and part 9 those with a credential.
    let compared = |part| match part {
        Part::Accepted => {
            arguments.includes(Part::History) || arguments.includes(Part::Credentials)
        }
        Part::Delay => arguments.includes(Part::History),
        _ => false,
    };
    let included = |part| arguments.includes(part) || compared(part);

    if included(Part::History) || included(Part::Pages) {
        println!("creating a history of {} rows", testbed.scale.history + testbed.scale.waiting);
        history::create(&testbed).await?;
    }
    for repeat in 1..=arguments.repeats {
        println!("repetition {repeat} of {}", arguments.repeats);
        if included(Part::Pgbench) {
            let rate = pgbench::transactions_per_second(&testbed).await;
            figures.record("pgbench", rate, |figures, rate| figures.pgbench.push(rate));
        }
        if included(Part::Accepted) {
            let accepted = accepted(&testbed, None).await;
            figures.record("1", accepted, |figures, accepted| figures.accepted.push(accepted));
        }
        if included(Part::Credentials) {
            let with_key = credentials::measure(&testbed, Credential::Key).await;
            figures.record("9, key", with_key, |figures, seen| figures.with_key.push(seen));
            let with_token = credentials::measure(&testbed, Credential::Token).await;
            figures.record("9, token", with_token, |figures, seen| figures.with_token.push(seen));
        }
        if included(Part::Posted) {
            let drain = drain::measure(&testbed).await;
            figures.record("3", drain, |figures, drain| figures.posted.push(drain));
        }
        if included(Part::Delay) {
            let delay = delay(&testbed, None).await;
            figures.record("4", delay, |figures, delay| figures.delay.push(delay));
        }
        if included(Part::Fleet) {
            let fleet = fleet::measure(&testbed, DELAY_PER_SECOND, testbed.scale.delay).await;
            figures.record("8", fleet, |figures, fleet| figures.fleet.push(fleet));
        }
        if included(Part::History) {
            let template = Some(history::TEMPLATE);
            let delay = delay(&testbed, template).await;
            figures.record("4 with history", delay, |figures, delay| {
                figures.delay_with_history.push(delay);
            });
            let accepted = accepted(&testbed, template).await;
            figures.record("1 with history", accepted, |figures, accepted| {
                figures.accepted_with_history.push(accepted);
            });
        }
        if included(Part::Latency) {
            let latency = latency(&testbed).await;
            figures.record("2", latency, |figures, latency| figures.latency.push(latency));
        }
    }
    if included(Part::Pages) {
        let pages = list_pages::measure(&testbed, history::TEMPLATE).await;
        figures.record("7", pages, |figures, pages| figures.pages = pages);
    }
    testbed.cluster.drop_database(history::TEMPLATE).await?;
    if included(Part::Memory) {
        let waiting = memory::measure(&testbed, memory::DEFAULT_CONCURRENCY).await;
        figures.record("6", waiting, |figures, memory| figures.memory_waiting = Some(memory));
        let in_flight = memory::measure(&testbed, usize::MAX).await;
        figures.record("6, all in flight", in_flight, |figures, memory| {
            figures.memory_under_way = Some(memory);
        });
    }
    if included(Part::Overload) {
        let overload = overload::measure(&testbed).await;
        figures.record("overload", overload, |figures, seen| figures.overload = Some(seen));
    }
    if included(Part::Outage) {
        for kind in [outage::Kind::Frozen, outage::Kind::Crashed] {
            let outage = outage::measure(&mut testbed, kind).await;
            figures.record("outage", outage, |figures, seen| figures.outages.push(seen));
        }
    }
    output::publish(&machine, &testbed.scale, &figures, arguments)?;
    match figures.failures.is_empty() {
        true => Ok(()),
        false => Err(figures.failures.join("\n").into()),
    }
}

/// Measures on an empty database, or on a copy of a template.
async fn accepted(testbed: &Testbed, template: Option<&str>) -> Fallible<throughput::Throughput> {
    testbed.cluster.create_database(DATABASE, template).await?;
    throughput::measure(testbed, DATABASE).await
}

async fn delay(testbed: &Testbed, template: Option<&str>) -> Fallible<latency::Latencies> {
    testbed.cluster.create_database(DATABASE, template).await?;
    latency::measure(testbed, DATABASE, DELAY_PER_SECOND, testbed.scale.delay).await
}

async fn latency(testbed: &Testbed) -> Fallible<latency::Latencies> {
    testbed.cluster.create_database(DATABASE, None).await?;
    latency::measure(testbed, DATABASE, LATENCY_PER_SECOND, testbed.scale.latency).await
}

impl Figures {
    /// Prints the result of a part, and stores it with `store`.
    fn record<T: serde::Serialize>(
        &mut self,
        part: &str,
        result: Fallible<T>,
        store: impl FnOnce(&mut Self, T),
    ) {
        match result {
            Ok(measured) => {
                let json = serde_json::to_string(&measured).unwrap_or_default();
                // An excerpt that shows progress; the report has everything.
                println!("  {part:<15} {json:.EXCERPT$}");
                store(self, measured);
            }
            Err(error) => {
                println!("  {part:<15} failed: {error}");
                self.failures.push(format!("{part}: {error}"));
            }
        }
    }
}
