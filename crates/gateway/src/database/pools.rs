//! The connections to PostgreSQL.

use std::{str::FromStr, time::Duration};

use sqlx::{
    PgPool,
    postgres::{PgConnectOptions, PgPoolOptions, types::PgInterval},
};

/// How long a client of the web side waits for a free connection: it is better served by an error than
/// by a queue in front of the database.
pub const WEB_ACQUIRE_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a turn waits for one: what it has learnt is worth more than its time.
pub const WORKER_ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// Connects at most `max_connections` times to `url`, and waits `patience` for a free connection.
///
/// # Errors
/// Where the URL cannot be read. Connections are made when they are needed.
pub fn pool(url: &str, max_connections: u32, patience: Duration) -> Result<PgPool, sqlx::Error> {
    let options = PgConnectOptions::from_str(url)?
        .application_name("onceward")
        // A session that hangs within a database transaction would hold its locks for ever.
        .options([("idle_in_transaction_session_timeout", "30s"), ("timezone", "UTC")])
        // Compiling a statement takes longer than any of ours.
        .options([("jit", "off")]);
    Ok(PgPoolOptions::new()
        .max_connections(max_connections)
        // A connection takes long to make on a machine that is busy: most should be there before.
        .min_connections(max_connections.min(8))
        .acquire_timeout(patience)
        .connect_lazy_with(options))
}

/// Connections of their own, for the web side: PostgreSQL itself ends what takes longer than any client waits,
/// for who has given up a statement has closed its connection, which a busy session does not notice. The
/// same goes for the two that follow.
pub fn for_clients(pool: &PgPool) -> PgPool {
    with(pool, &[("statement_timeout", "5s")])
}

/// Connections of their own, for the worker's lease and what else is given up after a second.
pub fn for_heartbeat(pool: &PgPool) -> PgPool {
    with(pool, &[("statement_timeout", "3s")])
}

/// Connections of their own, for claims and what follows, each of which looks its rows up by a key. Planned
/// while the tables are small, a join would scan them, and its plan is kept when they have grown.
pub fn for_execution(pool: &PgPool) -> PgPool {
    with(
        pool,
        &[
            ("enable_seqscan", "off"),
            ("enable_hashjoin", "off"),
            ("enable_mergejoin", "off"),
            ("statement_timeout", "12s"),
        ],
    )
}

/// Connections of their own, for apalis. What it notes of a job need not outlive a crash of PostgreSQL: a
/// fetch that is orphaned_claims is made again, and the transaction's own row decides. So nothing waits for the
/// disk. A fetch is planned once, as if it could be for any number of jobs.
pub fn for_dispatch(pool: &PgPool) -> PgPool {
    with(
        pool,
        &[
            ("synchronous_commit", "off"),
            ("enable_seqscan", "off"),
            ("plan_cache_mode", "force_generic_plan"),
        ],
    )
}

fn with(pool: &PgPool, options: &[(&str, &str)]) -> PgPool {
    let options = pool.connect_options().as_ref().clone().options(options.iter().copied());
    pool.options().clone().connect_lazy_with(options)
}

/// A duration as PostgreSQL adds it to a time.
///
/// # Errors
/// Where it is no whole number of microseconds.
pub(crate) fn interval(duration: Duration) -> Result<PgInterval, sqlx::Error> {
    PgInterval::try_from(duration).map_err(sqlx::Error::Encode)
}
