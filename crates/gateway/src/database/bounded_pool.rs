//! A pool on which no statement waits for ever, whatever PostgreSQL does: it is stopped, its machine is
//! cut off, a table is locked, every connection is taken.

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

/// A pool and how long a statement on it may take, its wait for a connection included. Cheap to clone.
///
/// All rows are read before the first is handed over: nobody holds a connection for as long as a client
/// takes to read.
#[derive(Debug, Clone)]
pub struct BoundedPool {
    pool: PgPool,
    limit: Duration,
}

impl BoundedPool {
    /// `limit` for each statement. Where it passes, the statement ends with [`io::ErrorKind::TimedOut`];
    /// PostgreSQL may still carry it out.
    pub fn new(pool: PgPool, limit: Duration) -> Self {
        Self { pool, limit }
    }

    /// For what takes as long as it takes.
    pub fn unbounded(&self) -> &PgPool {
        &self.pool
    }

    async fn within_limit<T>(
        &self,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let answered = timeout(self.limit, async {
            let mut lent = Lent { connection: self.pool.acquire().await?, is_free: false };
            let result = work(&mut lent.connection).await;
            lent.is_free = true;
            result
        });
        answered.await.unwrap_or_else(|_| Err(Error::Io(io::ErrorKind::TimedOut.into())))
    }
}

/// A connection that is used. Where its statement was given up, or whoever asked went away, it is closed:
/// back in the pool it would wait for the answer, without an end where that is lost.
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
                .within_limit(async |connection| connection.fetch_many(query).try_collect().await)
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
        Box::pin(self.within_limit(async |connection| connection.fetch_optional(query).await))
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [PgTypeInfo],
    ) -> BoxFuture<'e, Result<PgStatement, Error>>
    where
        'p: 'e,
    {
        Box::pin(
            self.within_limit(async move |connection| {
                connection.prepare_with(sql, parameters).await
            }),
        )
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<Postgres>, Error>>
    where
        'p: 'e,
    {
        Box::pin(self.within_limit(async move |connection| connection.describe(sql).await))
    }
}
