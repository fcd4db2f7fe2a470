//! Runs scenarios, some of them concurrently, and prints their findings.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    time::Duration,
};

use loadgen::{LoadError, Report};
use tempfile::TempDir;
use tokio::{
    task::{Id, JoinSet},
    time::{Instant, timeout},
};

use crate::{
    Fallible,
    arguments::Arguments,
    auditor::{self, Counts},
    scenarios::Scenario,
    table::Table,
    testbed::{Findings, Size, Testbed},
};

/// The timeout of a scenario.
const LONGEST: Duration = Duration::from_secs(900);

/// A scenario that is running.
struct Running {
    task: Id,
    scenario: Scenario,
    began_at: Instant,
    /// Removed when this is dropped, unless it is kept.
    folder: TempDir,
}

/// Runs the selected scenarios. Returns whether all invariants held.
pub async fn all(arguments: &Arguments) -> Fallible<bool> {
    let scenarios = arguments.scenarios();
    let seed = arguments.seed.unwrap_or_else(|| rand::random::<u32>().into());
    let table = Table { markdown: arguments.markdown };
    println!("{}\n\n{}", heading(arguments, seed), table.head());

    let mut waiting = scenarios.iter().copied();
    let mut running: Vec<Running> = Vec::new();
    let mut tasks = JoinSet::new();
    let (mut remarks, mut troubles) = (Vec::new(), Vec::new());
    let mut failed = 0;
    loop {
        while running.len() < arguments.jobs() {
            let Some(scenario) = waiting.next() else { break };
            let folder = folder(scenario)?;
            let size = scenario.size(arguments.full, arguments.transactions);
            let task = tasks.spawn(bounded(scenario, size, seed, folder.path().to_owned())).id();
            running.push(Running { task, scenario, began_at: Instant::now(), folder });
        }
        let Some(ended) = tasks.join_next_with_id().await else { break };
        let (task, (counts, findings)) = match ended {
            Ok(ended) => ended,
            Err(panicked) => (panicked.id(), without_verdict(panicked.to_string())),
        };
        let position = running.iter().position(|running| running.task == task);
        let Running { scenario, began_at, folder, .. } =
            running.swap_remove(position.ok_or("an unknown scenario has ended")?);
        let name = scenario.name();
        let took = began_at.elapsed();
        println!("{}", table.row(&name, &counts, findings.longest_recovery, took));
        remarks.extend(findings.remarks.iter().map(|remark| format!("{name}: {remark}")));
        if !findings.violations.is_empty() {
            failed += 1;
            troubles.extend(findings.violations.iter().map(|what| format!("{name} BROKE: {what}")));
            troubles.push(format!("{name}: logs and data are in {}", folder.keep().display()));
        }
    }
    print_all(&remarks);
    print_all(&troubles);
    let passed = scenarios.len() - failed;
    // The format of test programs, which scripts/test counts.
    let verdict = if failed == 0 { "ok" } else { "FAILED" };
    println!("\ntest result: {verdict}. {passed} passed; {failed} failed; seed {seed}");
    Ok(failed == 0)
}

/// The command that repeats this run.
fn heading(arguments: &Arguments, seed: u64) -> String {
    let mut options: Vec<String> = arguments.filters.clone();
    options.extend(arguments.scenario.iter().map(|one| format!("--scenario {}", one.name())));
    options.extend(arguments.transactions.map(|count| format!("--transactions {count}")));
    options.push(format!("--seed {seed}"));
    let options = options.join(" ");
    let command = match arguments.full {
        true => format!("make chaos CHAOS=\"{options}\""),
        false => format!("cargo test -p server --test chaos -- {options}"),
    };
    if arguments.markdown { format!("`{command}`") } else { command }
}

fn print_all(lines: &[String]) {
    if !lines.is_empty() {
        println!();
        lines.iter().for_each(|line| println!("- {line}"));
    }
}

/// A folder that the account of PostgreSQL can reach when the harness runs as root. A socket's path
/// has at most 107 bytes, which rules out a long TMPDIR.
fn folder(scenario: Scenario) -> Fallible<TempDir> {
    let prefix = format!("onceward-chaos-{}-", scenario.name());
    let folder = tempfile::Builder::new().prefix(&prefix).tempdir_in("/tmp")?;
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755))?;
    Ok(folder)
}

async fn bounded(scenario: Scenario, size: Size, seed: u64, folder: PathBuf) -> (Counts, Findings) {
    match timeout(LONGEST, run(scenario, size, seed, folder)).await {
        Ok(Ok(found)) => found,
        Ok(Err(error)) => without_verdict(error.to_string()),
        Err(_) => without_verdict(format!("stuck: not finished after {} s", LONGEST.as_secs())),
    }
}

/// A scenario that ended without a verdict.
fn without_verdict(reason: String) -> (Counts, Findings) {
    (Counts::default(), Findings { violations: vec![reason], ..Findings::default() })
}

/// Runs one scenario from its setup to its verdict. When this returns, all its processes have
/// ended.
async fn run(
    scenario: Scenario,
    size: Size,
    seed: u64,
    folder: PathBuf,
) -> Fallible<(Counts, Findings)> {
    if let Some(obstacle) = scenario.obstacle() {
        let findings = Findings { remarks: vec![obstacle], ..Findings::default() };
        return Ok((Counts::default(), findings));
    }
    let requirements = scenario.requirements(&size).await?;
    let mut testbed = Testbed::start(requirements, size, seed, folder).await?;
    let mut load = testbed.start_load();
    // An error of the fault is reported together with the load's findings, which may say more.
    if let Err(error) = scenario.disrupt(&mut testbed).await {
        testbed.findings.violations.push(error.to_string());
    }
    let counts = match verdict(scenario, &mut testbed, &mut load).await {
        Ok(counts) => counts,
        Err(error) => {
            testbed.findings.violations.push(error.to_string());
            Counts::default()
        }
    };
    Ok((counts, testbed.findings().await))
}

async fn verdict(
    scenario: Scenario,
    testbed: &mut Testbed,
    load: &mut JoinSet<Result<Report, LoadError>>,
) -> Fallible<Counts> {
    let report = load.join_next().await.ok_or("there is no load")???;
    let counts = auditor::check(testbed, &report).await?;
    scenario.check(testbed).await?;
    Ok(counts)
}
