//! What Onceward needs of a PostgreSQL, checked before anything is written to it.

use std::time::Duration;

use sqlx::{Connection, Executor, PgConnection, Row, postgres::PgConnectOptions};
use thiserror::Error;
use tokio::time::timeout;

use super::{connect::connect, migrate::PrepareError};

/// The oldest version, as `server_version_num`.
const OLDEST_VERSION: i32 = 150_000;
/// How long the check may take; a database that does not answer is asked again.
const TIMEOUT: Duration = Duration::from_secs(15);
/// How often two connections compare their sessions.
const COMPARISONS: usize = 5;

/// Why a database cannot be used.
#[derive(Debug, Error)]
pub enum Unsuitable {
    /// It is too old.
    #[error("the database is PostgreSQL {0}, and Onceward needs version 15 or newer")]
    TooOld(String),
    /// It cannot store every text.
    #[error(
        "the database's encoding is {0}, and Onceward needs UTF8: create it with `encoding 'UTF8'`"
    )]
    NotUtf8(String),
    /// There is another Onceward in this database.
    #[error(
        "another Onceward has its tables in the schema {0} of this database, and two would share apalis's tables: use \
         that schema (ONCEWARD_SCHEMA), or another database"
    )]
    Taken(String),
    /// A pooler shares sessions between connections.
    #[error(
        "DATABASE_URL leads to a connection pooler in transaction mode, which loses prepared statements and \
         settings of the session: use session mode (PgBouncer: pool_mode = session), or connect to PostgreSQL \
         directly"
    )]
    SharedSessions,
}

/// Checks the database.
///
/// # Errors
/// [`PrepareError::Unsuitable`], or [`PrepareError::Connect`] or [`PrepareError::Database`] if it cannot be reached.
pub async fn check(options: &PgConnectOptions) -> Result<(), PrepareError> {
    let checked = timeout(TIMEOUT, async {
        let mut one = connect(options).await?;
        // sqlx prepares no raw SQL: a pooler may pass each message to another session.
        let server = sqlx::raw_sql(
            "select current_setting('server_version_num')::int, current_setting('server_version'), \
                current_setting('server_encoding')",
        );
        let server = one.fetch_one(server).await?;
        let number: i32 = server.try_get(0)?;
        let (version, encoding): (String, String) = (server.try_get(1)?, server.try_get(2)?);
        if number < OLDEST_VERSION {
            return Err(Unsuitable::TooOld(version).into());
        }
        if encoding != "UTF8" {
            return Err(Unsuitable::NotUtf8(encoding).into());
        }
        let mut other = connect(options).await?;
        let result = compare_sessions(&mut one, &mut other).await;
        let _ = one.close().await;
        let _ = other.close().await;
        result
    });
    let timed_out = |_| sqlx::Error::Io(std::io::ErrorKind::TimedOut.into());
    checked.await.map_err(timed_out)?
}

/// Two open connections have two sessions, always the same ones; not so behind a pooler in transaction mode.
async fn compare_sessions(
    one: &mut PgConnection,
    other: &mut PgConnection,
) -> Result<(), PrepareError> {
    let first = (session(one).await?, session(other).await?);
    for _ in 0..COMPARISONS {
        let now = (session(one).await?, session(other).await?);
        if now != first || now.0 == now.1 {
            return Err(Unsuitable::SharedSessions.into());
        }
    }
    Ok(())
}

/// Which session of PostgreSQL answers.
async fn session(connection: &mut PgConnection) -> Result<i32, sqlx::Error> {
    connection.fetch_one(sqlx::raw_sql("select pg_backend_pid()")).await?.try_get(0)
}
