//! What workers hold, and how long it takes until somebody takes it up again after a fault.

use std::time::Duration;

use sqlx::PgPool;
use tokio::time::Instant;
use uuid::Uuid;

use crate::{Fallible, wait};

/// How long claims may stay with one who is gone before the scenario counts as stuck.
const TAKEN_UP_WITHIN: Duration = Duration::from_secs(120);

/// Claims as they were at one moment: transactions, each with its fence.
#[derive(Debug, Clone, Default)]
pub struct Claims {
    pub ids: Vec<Uuid>,
    pub fences: Vec<i64>,
}

impl Claims {
    /// Those of one run of a worker.
    pub async fn of(database: &PgPool, run: Uuid) -> sqlx::Result<Self> {
        let rows: Vec<(Uuid, i64)> =
            sqlx::query_as("select id, fence from transactions where claimed_by = $1")
                .bind(run)
                .fetch_all(database)
                .await?;
        Ok(rows.into_iter().collect())
    }

    /// Those of all runs.
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

    /// Those that still are as they were: neither ended nor taken over.
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

    /// Waits until the last of them has ended or is taken over, and gives how long after `since`
    /// that was.
    pub async fn taken_up(
        self,
        database: PgPool,
        fault: &'static str,
        since: Instant,
    ) -> Fallible<Duration> {
        let what = format!("{} claims are taken up after: {fault}", self.len());
        wait::until(&what, TAKEN_UP_WITHIN, || async {
            // An error is a database that is down; it is asked again.
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
