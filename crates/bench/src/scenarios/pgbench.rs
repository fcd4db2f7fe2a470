//! The baseline, what PostgreSQL itself can do: pgbench, with one business row and one job row per
//! transaction.

use std::{process::Stdio, time::Duration};

use crate::environment::profile::Profile;
use crate::environment::testbed::Testbed;
use crate::error::Fallible;

/// The least that a queue in the same database needs: primary keys, and an index on due jobs.
const TABLES: &str = "
    create table business (
        id uuid primary key,
        amount numeric not null,
        currency text not null,
        description text,
        occurred_at timestamptz,
        source_account text,
        destination_account text,
        metadata json,
        submitted_at timestamptz not null default now()
    );
    create table jobs (
        id text primary key,
        kind text not null,
        payload bytea not null,
        status text not null default 'pending',
        run_at timestamptz not null
    );
    create index jobs_due on jobs (kind, run_at) where status = 'pending';
";
const CLIENTS: &str = "32";
const THREADS: &str = "2";

/// Runs pgbench, and returns its transactions per second.
///
/// # Errors
/// pgbench fails.
pub async fn transactions_per_second(testbed: &Testbed) -> Fallible<f64> {
    testbed.cluster.create_database("pgbench", None).await?;
    let mut connection = testbed.cluster.connect("pgbench").await?;
    sqlx::raw_sql(TABLES).execute(&mut connection).await?;
    let script = testbed.cluster.folder().join("pgbench.sql");
    std::fs::write(&script, include_str!("pgbench.sql"))?;
    run(testbed, testbed.scale.warm_up).await?;
    let profile = Profile::begin(testbed, None).await?;
    let output = run(testbed, testbed.scale.throughput).await?;
    let number = |name: &str| -> Fallible<f64> {
        let line = output.lines().find_map(|line| line.strip_prefix(name));
        let word = line.and_then(|line| line.split_whitespace().next());
        Ok(word.ok_or_else(|| format!("pgbench did not print {name:?}:\n{output}"))?.parse()?)
    };
    profile.end(testbed, "pgbench", number("number of transactions actually processed:")?).await?;
    let rate = number("tps =")?;
    testbed.cluster.drop_database("pgbench").await?;
    Ok(rate)
}

async fn run(testbed: &Testbed, duration: Duration) -> Fallible<String> {
    let mut pgbench = testbed.cluster.client("pgbench")?;
    pgbench.args(["--no-vacuum", "--protocol=prepared", "--client", CLIENTS, "--jobs", THREADS]);
    pgbench.arg(format!("--time={}", duration.as_secs()));
    pgbench.arg("--file").arg(testbed.cluster.folder().join("pgbench.sql")).arg("pgbench");
    let output = pgbench.stdout(Stdio::piped()).stderr(Stdio::piped()).output().await?;
    let output_text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() || !output_text.contains("number of failed transactions: 0 ") {
        let errors = String::from_utf8_lossy(&output.stderr);
        return Err(format!("pgbench failed: {output_text}{errors}").into());
    }
    Ok(output_text)
}
