//! A pool on which every statement has a timeout. None waits for ever when PostgreSQL is stopped, its machine
//! is unreachable, a table is locked, or all connections are in use.

use std::{io, time::Duration};

use futures::{
    TryStreamExt,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use sqlx::{
    Describe, Either, Error, Execute, Executor, PgConnection, PgPool, Postgres, SqlStr,
    pool::PoolConnection,
    postgres::{PgQueryResult, PgRow, PgStatement, PgTypeInfo},
};
use tokio::time::timeout;

/// A pool with a timeout for each statement, its wait for a connection included. Cheap to clone.
///
/// All rows are read before the first is returned, so that no connection is held for as long as a client
/// takes to read.
#[derive(Debug, Clone)]
pub struct BoundedPool {
    pool: PgPool,
    timeout: Duration,
}

impl BoundedPool {
    /// A pool with this timeout for each statement. A statement that exceeds it ends with
    /// [`io::ErrorKind::TimedOut`]; PostgreSQL may still execute it.
    pub fn new(pool: PgPool, timeout: Duration) -> Self {
        Self { pool, timeout }
    }

    /// The pool without a timeout, for statements of any duration.
    pub fn unbounded(&self) -> &PgPool {
        &self.pool
    }

    /// Does something with a connection, within the timeout.
    pub async fn with_connection<T>(
        &self,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let answered = timeout(self.timeout, async {
            let mut lent = Lent { connection: self.pool.acquire().await?, is_free: false };
            let result = work(&mut lent.connection).await;
            lent.is_free = !matches!(&result, Err(error) if is_read_only(error));
            result
        });
        answered.await.unwrap_or_else(|_| Err(Error::Io(io::ErrorKind::TimedOut.into())))
    }
}

/// Whether a session takes no changes (SQLSTATE 25006). After a failover the old primary is read-only for good, and a
/// new connection leads to the new one.
fn is_read_only(error: &Error) -> bool {
    error.as_database_error().and_then(|error| error.code()).as_deref() == Some("25006")
}

/// A connection in use. If its statement timed out, or the caller was dropped, the connection is closed: back
/// in the pool it would wait for the answer, for ever if that is lost. One that takes no changes is closed as well.
struct Lent {
    connection: PoolConnection<Postgres>,
    is_free: bool,
}

impl Drop for Lent {
    fn drop(&mut self) {
        if !self.is_free {
            self.connection.close_on_drop();
        }
    }
}

impl<'p> Executor<'p> for &'p BoundedPool {
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxStream<'e, Result<Either<PgQueryResult, PgRow>, Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let read = async move {
            let all: Vec<_> = self
                .with_connection(async |connection| {
                    connection.fetch_many(query).try_collect().await
                })
                .await?;
            Ok::<_, Error>(stream::iter(all.into_iter().map(Ok)))
        };
        Box::pin(stream::once(read).try_flatten())
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<PgRow>, Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        Box::pin(self.with_connection(async |connection| connection.fetch_optional(query).await))
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [PgTypeInfo],
    ) -> BoxFuture<'e, Result<PgStatement, Error>>
    where
        'p: 'e,
    {
        Box::pin(self.with_connection(async move |connection| {
            connection.prepare_with(sql, parameters).await
        }))
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<Postgres>, Error>>
    where
        'p: 'e,
    {
        Box::pin(self.with_connection(async move |connection| connection.describe(sql).await))
    }
}
