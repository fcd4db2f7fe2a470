//! The connections to PostgreSQL.

use std::time::Duration;

use sqlx::{
    AssertSqlSafe, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions, types::PgInterval},
};

use super::{
    connect::{ConnectError, read_url},
    schema::Schema,
};

/// How long a request of the web side waits for a free connection. It is short, because a quick error is
/// better for a client than a long queue in front of the database.
pub const WEB_ACQUIRE_TIMEOUT: Duration = Duration::from_secs(1);
/// How long an execution waits for a free connection. It is longer, because an execution that gives up may
/// lose the answer of the posting service.
pub const WORKER_ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
/// The timeout of a query of the web side: its client is answered within two seconds.
pub const WEB_STATEMENT_TIMEOUT: Duration = Duration::from_millis(1200);
/// The timeout of a commit of submissions. Their clients are informed earlier that the commit is not
/// confirmed. Until the timeout has passed, the statement counts among those in flight.
pub(crate) const COMMIT_TIMEOUT: Duration = Duration::from_secs(3);
/// The timeout of a worker's statement. Many executions wait for one statement, so it must not wait for ever
/// for an answer that is lost.
pub(crate) const WORKER_STATEMENT_TIMEOUT: Duration = Duration::from_secs(10);

/// What every session sets.
const SESSION: &[(&str, &str)] = &[
    // A session that hangs inside a database transaction would hold its locks for ever.
    ("idle_in_transaction_session_timeout", "30s"),
    // Compiling a statement takes longer than executing any of ours.
    ("jit", "off"),
];

/// How to connect to `url`.
///
/// # Errors
/// If the URL is invalid.
pub fn options(url: &str) -> Result<PgConnectOptions, ConnectError> {
    let options = read_url(url)?.application_name("onceward");
    // PgBouncer refuses a connection that sets this at its start. It matters only to numbers sent as text.
    Ok(options.extra_float_digits(None))
}

/// A pool of at most `max_connections` connections to `url`, whose sessions find Onceward's tables in `schema`, or where
/// PostgreSQL finds them.
///
/// # Errors
/// If the URL is invalid. Connections are opened when they are needed.
pub fn pool(
    url: &str,
    schema: Option<&Schema>,
    max_connections: u32,
    acquire_timeout: Duration,
) -> Result<PgPool, ConnectError> {
    let pool = PgPoolOptions::new()
        .max_connections(max_connections)
        // Opening a connection is slow on a busy machine: most should exist beforehand.
        .min_connections(max_connections.min(8))
        .acquire_timeout(acquire_timeout);
    Ok(with_session(pool, schema, &[]).connect_lazy_with(options(url)?))
}

/// A pool for migrations, which take as long as they take.
pub(super) fn for_migrations(options: &PgConnectOptions, schema: Option<&Schema>) -> PgPool {
    let pool = PgPoolOptions::new().max_connections(2).acquire_timeout(WORKER_ACQUIRE_TIMEOUT);
    with_session(pool, schema, &[]).connect_lazy_with(options.clone())
}

/// A pool for the web side. PostgreSQL itself ends a statement that takes longer than any client waits: a
/// caller that timed out has closed its connection, but a busy session does not notice that. The same
/// applies to the next two pools.
pub fn for_clients(pool: &PgPool, schema: Option<&Schema>) -> PgPool {
    with(pool, schema, &[("statement_timeout", "5s")])
}

/// A pool for the worker's lease and its looks around, which time out after about a second. Each look finds its
/// few rows in an index, whatever the planner believes of the tables.
pub fn for_heartbeat(pool: &PgPool, schema: Option<&Schema>) -> PgPool {
    with(pool, schema, &[("enable_seqscan", "off"), ("statement_timeout", "3s")])
}

/// A pool for claims and the changes that follow them, each of which looks its rows up by a key. A join that
/// is planned while the tables are small would scan them, and the plan is kept when they have grown.
pub fn for_execution(pool: &PgPool, schema: Option<&Schema>) -> PgPool {
    with(
        pool,
        schema,
        &[
            ("enable_seqscan", "off"),
            ("enable_hashjoin", "off"),
            ("enable_mergejoin", "off"),
            ("statement_timeout", "12s"),
        ],
    )
}

/// A pool for fetches. What they change of a job need not survive a crash of PostgreSQL: a lost fetch is repeated,
/// and the transaction's own row decides. So no statement waits for the disk. A fetch is planned once, for any
/// number of jobs.
pub fn for_dispatch(pool: &PgPool, schema: Option<&Schema>) -> PgPool {
    with(
        pool,
        schema,
        &[
            ("synchronous_commit", "off"),
            ("enable_seqscan", "off"),
            ("plan_cache_mode", "force_generic_plan"),
        ],
    )
}

fn with(pool: &PgPool, schema: Option<&Schema>, settings: &[(&str, &str)]) -> PgPool {
    with_session(pool.options().clone(), schema, settings)
        .connect_lazy_with(pool.connect_options().as_ref().clone())
}

/// Has each new session make these settings, besides those of [`SESSION`]. It does so by a statement: PgBouncer
/// refuses a connection that makes them at its start.
fn with_session(
    pool: PgPoolOptions,
    schema: Option<&Schema>,
    settings: &[(&str, &str)],
) -> PgPoolOptions {
    let set = |(name, value): &(&str, &str)| format!("set {name} = '{value}';");
    let search_path = schema.map(Schema::session_statement);
    let statement: String = SESSION.iter().chain(settings).map(set).chain(search_path).collect();
    pool.after_connect(move |connection, _| {
        let statement = sqlx::raw_sql(AssertSqlSafe(statement.clone()));
        Box::pin(async move { statement.execute(connection).await.map(drop) })
    })
}

/// A duration as a PostgreSQL interval.
///
/// # Errors
/// If it is not a whole number of microseconds.
pub(crate) fn interval(duration: Duration) -> Result<PgInterval, sqlx::Error> {
    PgInterval::try_from(duration).map_err(sqlx::Error::Encode)
}
