//! What PostgreSQL can do at all: pgbench, with one business row and one job row a transaction.

use std::{process::Stdio, time::Duration};

use crate::environment::profile::Profile;
use crate::environment::testbed::Stage;
use crate::error::Fallible;

/// With as little as a queue in the same database needs: keys, and an index on what is due.
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

/// Transactions a second.
///
/// # Errors
/// Where pgbench fails.
pub async fn transactions_a_second(stage: &Stage) -> Fallible<f64> {
    stage.cluster.make_database("pgbench", None).await?;
    let mut connection = stage.cluster.connect("pgbench").await?;
    sqlx::raw_sql(TABLES).execute(&mut connection).await?;
    let script = stage.cluster.folder().join("pgbench.sql");
    std::fs::write(&script, include_str!("pgbench.sql"))?;
    run(stage, stage.scale.warm_up).await?;
    let profile = Profile::begin(stage, None).await?;
    let output = run(stage, stage.scale.throughput).await?;
    let number = |name: &str| -> Fallible<f64> {
        let line = output.lines().find_map(|line| line.strip_prefix(name));
        let word = line.and_then(|line| line.split_whitespace().next());
        Ok(word.ok_or_else(|| format!("pgbench said no {name:?}:\n{output}"))?.parse()?)
    };
    profile.end(stage, "pgbench", number("number of transactions actually processed:")?).await?;
    let rate = number("tps =")?;
    stage.cluster.drop_database("pgbench").await?;
    Ok(rate)
}

async fn run(stage: &Stage, duration: Duration) -> Fallible<String> {
    let mut pgbench = stage.cluster.client("pgbench")?;
    pgbench.args(["--no-vacuum", "--protocol=prepared", "--client", CLIENTS, "--jobs", THREADS]);
    pgbench.arg(format!("--time={}", duration.as_secs()));
    pgbench.arg("--file").arg(stage.cluster.folder().join("pgbench.sql")).arg("pgbench");
    let output = pgbench.stdout(Stdio::piped()).stderr(Stdio::piped()).output().await?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() || !said.contains("number of failed transactions: 0 ") {
        let errors = String::from_utf8_lossy(&output.stderr);
        return Err(format!("pgbench failed: {said}{errors}").into());
    }
    Ok(said)
}
