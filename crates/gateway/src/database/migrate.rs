//! The schema.

use apalis_postgres::PostgresStorage;
use sqlx::PgPool;
use thiserror::Error;

/// Why the database could not be brought up to date.
#[derive(Debug, Error)]
pub enum MigrateError {
    /// A migration of apalis failed.
    #[error("apalis's migrations failed: {0}")]
    Apalis(#[from] apalis_postgres::Error),
    /// One of our migrations failed.
    #[error("the migrations failed: {0}")]
    Onceward(#[from] sqlx::migrate::MigrateError),
}

impl MigrateError {
    /// Whether PostgreSQL could not be reached, or is still starting.
    pub fn retryable(&self) -> bool {
        use sqlx::migrate::MigrateError::{Execute, ExecuteMigration};
        let error = match self {
            Self::Apalis(apalis_postgres::Error::Database(error))
            | Self::Onceward(Execute(error) | ExecuteMigration(error, _)) => error,
            _ => return false,
        };
        match error {
            sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut => true,
            sqlx::Error::Migrate(error) => {
                matches!(&**error, Execute(sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut))
            }
            // Classes 08 (connection exception) and 57P (shutdown, starting up).
            sqlx::Error::Database(error) => {
                error.code().is_some_and(|code| code.starts_with("08") || code.starts_with("57P"))
            }
            _ => false,
        }
    }
}

/// Brings the schema up to date: apalis's migrations, then ours, which build on them. Any number of
/// processes may do so at once.
///
/// # Errors
/// [`MigrateError`] if PostgreSQL does not answer or a migration does not apply.
pub async fn migrate(pool: &PgPool) -> Result<(), MigrateError> {
    PostgresStorage::<()>::setup(pool).await?;
    sqlx::migrate!("../../migrations").run(pool).await?;
    Ok(())
}
