//! The schema, and preparing a database at the start.

use apalis_postgres::PostgresStorage;
use sqlx::{
    AssertSqlSafe, PgPool,
    migrate::{MigrateError, Migrator},
    postgres::PgConnectOptions,
};
use thiserror::Error;

use super::{
    connect::ConnectError,
    pools::for_migrations,
    requirements::{self, Unsuitable},
    schema::Schema,
    serving_role::UnfitRole,
};

/// Our migrations. They build on those of apalis.
static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations");

/// The SQLSTATE of a missing right.
const INSUFFICIENT_PRIVILEGE: &str = "42501";

/// Why the database could not be prepared.
#[derive(Debug, Error)]
pub enum PrepareError {
    /// There is no connection to PostgreSQL.
    #[error("DATABASE_URL: {0}")]
    Connect(#[from] ConnectError),
    /// PostgreSQL did not answer, or not as it should.
    #[error("{0}")]
    Database(#[from] sqlx::Error),
    /// It lacks something that Onceward needs.
    #[error(transparent)]
    Unsuitable(#[from] Unsuitable),
    /// The schema is out of date, and this role may not change it.
    #[error(
        "the database's schema is not up to date, and this role may not change it ({0}): run \
         `onceward migrate` as the owner of the database, with this role as --serving-role (docs/OPERATIONS.md)"
    )]
    NotOwner(#[source] Box<PrepareError>),
    /// A role cannot be the one that serves.
    #[error(transparent)]
    UnfitRole(#[from] UnfitRole),
    /// A migration of apalis failed.
    #[error("apalis's migrations failed: {0}")]
    Apalis(#[from] apalis_postgres::Error),
    /// One of our migrations failed.
    #[error("the migrations failed: {0}{advice}", advice = advice(.0))]
    Onceward(#[from] MigrateError),
}

/// What to do about migrations that this version does not know.
fn advice(error: &MigrateError) -> &'static str {
    match error {
        MigrateError::VersionMissing(_) | MigrateError::VersionMismatch(_) => {
            "; if they are those of another program, give Onceward a schema of its own (ONCEWARD_SCHEMA)"
        }
        _ => "",
    }
}

impl PrepareError {
    /// Whether PostgreSQL could not be reached, is still starting, or lost the connection on the way.
    pub fn retryable(&self) -> bool {
        if let Self::Connect(error) = self {
            return error.retryable();
        }
        match self.cause() {
            Some(sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::WorkerCrashed) => {
                true
            }
            // Classes 08 (connection exception) and 57P (shutdown, starting up), and too many connections.
            Some(sqlx::Error::Database(error)) => error.code().is_some_and(|code| {
                code.starts_with("08") || code.starts_with("57P") || code == "53300"
            }),
            _ => false,
        }
    }

    fn is_for_lack_of_rights(&self) -> bool {
        let error = self.cause().and_then(sqlx::Error::as_database_error);
        error.and_then(|error| error.code()).is_some_and(|code| code == INSUFFICIENT_PRIVILEGE)
    }

    /// The error of the statement or the connection that failed.
    fn cause(&self) -> Option<&sqlx::Error> {
        match self {
            Self::Database(error) | Self::Apalis(apalis_postgres::Error::Database(error)) => {
                innermost(error)
            }
            Self::Onceward(error) => innermost_of_migration(error),
            Self::Connect(_)
            | Self::NotOwner(_)
            | Self::Unsuitable(_)
            | Self::UnfitRole(_)
            | Self::Apalis(_) => None,
        }
    }
}

fn innermost(error: &sqlx::Error) -> Option<&sqlx::Error> {
    match error {
        sqlx::Error::Migrate(error) => innermost_of_migration(error),
        error => Some(error),
    }
}

fn innermost_of_migration(error: &MigrateError) -> Option<&sqlx::Error> {
    match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => innermost(error),
        _ => None,
    }
}

/// Checks that the database is fit for Onceward, and brings its schema up to date if it is not. A role that owns nothing
/// can do this as long as the schema is up to date. Onceward's tables are in `schema`, which is created, or where
/// PostgreSQL creates tables.
///
/// # Errors
/// See [`PrepareError`].
pub async fn prepare(
    options: &PgConnectOptions,
    schema: Option<&Schema>,
) -> Result<(), PrepareError> {
    requirements::check(options).await?;
    // Connections of its own for each try: a session that was lost may still hold the migrations' lock.
    let pool = for_migrations(options, schema);
    // Where other programs find apalis's tables and extensions, too.
    let of_apalis = for_migrations(options, None);
    let prepared = bring_up_to_date(&pool, &of_apalis, schema).await;
    pool.close().await;
    of_apalis.close().await;
    prepared.map_err(|error| match error.is_for_lack_of_rights() {
        true => PrepareError::NotOwner(Box::new(error)),
        false => error,
    })
}

async fn bring_up_to_date(
    pool: &PgPool,
    of_apalis: &PgPool,
    schema: Option<&Schema>,
) -> Result<(), PrepareError> {
    if is_up_to_date(pool, schema).await? {
        return Ok(());
    }
    refuse_another(pool, schema).await?;
    create(of_apalis, schema).await?;
    PostgresStorage::<()>::setup(of_apalis).await?;
    MIGRATIONS.run(pool).await?;
    Ok(())
}

/// Refuses a database in which another schema has Onceward's tables.
async fn refuse_another(pool: &PgPool, schema: Option<&Schema>) -> Result<(), PrepareError> {
    let another: Option<String> = sqlx::query_scalar(
        "select nspname::text from pg_namespace n
         where nspname <> coalesce($1, current_schema())
            and exists (select from pg_class where relnamespace = n.oid and relname = 'transaction_counts')
            and exists (select from pg_proc where pronamespace = n.oid and proname = 'count_transactions')
         limit 1",
    )
    .bind(schema.map(Schema::as_str))
    .fetch_optional(pool)
    .await?;
    another.map_or(Ok(()), |another| Err(Unsuitable::Taken(another).into()))
}

/// Creates the schema, for which a right is needed only if it does not exist.
async fn create(pool: &PgPool, schema: Option<&Schema>) -> Result<(), sqlx::Error> {
    let Some(schema) = schema else { return Ok(()) };
    let exists: bool =
        sqlx::query_scalar("select exists (select from pg_namespace where nspname = $1)")
            .bind(schema.as_str())
            .fetch_one(pool)
            .await?;
    if !exists {
        let statement = AssertSqlSafe(format!("create schema if not exists {schema}"));
        sqlx::raw_sql(statement).execute(pool).await?;
    }
    Ok(())
}

/// Brings the schema up to date: apalis's migrations, then ours, which build on them. Any number of
/// processes may do so at once.
///
/// # Errors
/// [`PrepareError`] if PostgreSQL does not answer or a migration does not apply.
pub async fn migrate(pool: &PgPool) -> Result<(), PrepareError> {
    PostgresStorage::<()>::setup(pool).await?;
    MIGRATIONS.run(pool).await?;
    Ok(())
}

/// Whether exactly the migrations that this version knows have been applied.
async fn is_up_to_date(pool: &PgPool, schema: Option<&Schema>) -> Result<bool, PrepareError> {
    let of_apalis = PostgresStorage::<()>::migrations();
    let of_onceward = match schema {
        // Another program's, in another schema, must not be found instead.
        Some(schema) => format!("{schema}._sqlx_migrations"),
        None => "_sqlx_migrations".to_owned(),
    };
    Ok(has_applied(pool, "apalis._sqlx_migrations", &of_apalis).await?
        && has_applied(pool, &of_onceward, &MIGRATIONS).await?)
}

async fn has_applied(
    pool: &PgPool,
    table: &str,
    migrations: &Migrator,
) -> Result<bool, PrepareError> {
    let statement = format!("select version, checksum from {table} where success order by version");
    let applied: Result<Vec<(i64, Vec<u8>)>, _> =
        sqlx::query_as(AssertSqlSafe(statement)).fetch_all(pool).await;
    let applied = match applied {
        Ok(applied) => applied,
        // No such table or schema, or no right to read it.
        Err(sqlx::Error::Database(error))
            if error.code().is_some_and(|code| code.starts_with("42") || code == "3F000") =>
        {
            return Ok(false);
        }
        Err(error) => return Err(error.into()),
    };
    let applied = applied.iter().map(|(version, checksum)| (*version, checksum.as_slice()));
    Ok(applied.eq(migrations.iter().map(|known| (known.version, &*known.checksum))))
}
