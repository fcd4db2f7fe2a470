//! The claims that workers hold, and how long their recovery takes after a fault.

use std::time::Duration;

use sqlx::PgPool;
use tokio::time::Instant;
use uuid::Uuid;

use crate::{Fallible, wait};

/// How long claims of a dead worker may stay before the scenario counts as stuck.
const RECLAIMED_WITHIN: Duration = Duration::from_secs(120);

/// Claims at one moment: transactions, each with its fence.
#[derive(Debug, Clone, Default)]
pub struct Claims {
    pub ids: Vec<Uuid>,
    pub fences: Vec<i64>,
}

impl Claims {
    /// The claims of one run of a worker.
    pub async fn of(database: &PgPool, run: Uuid) -> sqlx::Result<Self> {
        let rows: Vec<(Uuid, i64)> =
            sqlx::query_as("select id, fence from transactions where claimed_by = $1")
                .bind(run)
                .fetch_all(database)
                .await?;
        Ok(rows.into_iter().collect())
    }

    /// The claims of all runs.
    pub async fn of_all(database: &PgPool) -> sqlx::Result<Self> {
        let rows: Vec<(Uuid, i64)> =
            sqlx::query_as("select id, fence from transactions where claimed_by is not null")
                .fetch_all(database)
                .await?;
        Ok(rows.into_iter().collect())
    }

    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// How many of them are unchanged: neither ended nor reclaimed.
    async fn unchanged(&self, database: &PgPool) -> sqlx::Result<i64> {
        sqlx::query_scalar(
            "select count(*) from transactions t
             join unnest($1, $2) as claim (id, fence) on t.id = claim.id and t.fence = claim.fence
             where t.claimed_by is not null",
        )
        .bind(&self.ids)
        .bind(&self.fences)
        .fetch_one(database)
        .await
    }

    /// How many of the transactions are not final yet.
    pub async fn unfinished(&self, database: &PgPool) -> sqlx::Result<i64> {
        sqlx::query_scalar(
            "select count(*) from transactions where id = any ($1) and completed_at is null",
        )
        .bind(&self.ids)
        .fetch_one(database)
        .await
    }

    /// How many of the transactions were posted under a later claim.
    pub async fn posted_later(&self, database: &PgPool) -> sqlx::Result<i64> {
        sqlx::query_scalar(
            "select count(distinct claim.id) from unnest($1, $2) as claim (id, fence)
             join attempts a on a.transaction_id = claim.id and a.fence > claim.fence",
        )
        .bind(&self.ids)
        .bind(&self.fences)
        .fetch_one(database)
        .await
    }

    /// Waits until the last of them has ended or is reclaimed, and returns how long after `since`
    /// that was.
    pub async fn recovered(
        self,
        database: PgPool,
        fault: &'static str,
        since: Instant,
    ) -> Fallible<Duration> {
        let what = format!("{} claims are recovered after: {fault}", self.len());
        wait::until(&what, RECLAIMED_WITHIN, || async {
            // An error means that the database is down; the next poll repeats the query.
            self.unchanged(&database).await.ok().filter(|left| *left == 0)
        })
        .await?;
        Ok(since.elapsed())
    }
}

impl FromIterator<(Uuid, i64)> for Claims {
    fn from_iter<I: IntoIterator<Item = (Uuid, i64)>>(claims: I) -> Self {
        let (ids, fences) = claims.into_iter().unzip();
        Self { ids, fences }
    }
}
