//! How many transactions are in each state, at the cost of a few rows however many transactions there are.
//! Triggers (`migrations/…_counts.sql`) write a delta for each statement; here the deltas are summed up, and
//! compacted from time to time. The sum is exact in every snapshot, except while a process of an earlier
//! version runs beside a migration that changes the deltas: it may be below zero then, and is reported as zero.

use domain::{Counts, Scope, State};
use sqlx::PgExecutor;

use crate::{EngineError, Gateway, database::BoundedPool};

/// With more deltas than this, the caller that sums them up compacts them.
const COMPACT_ABOVE: i64 = 5_000;
/// Deltas that one statement compacts, within a tenth of a second.
const BATCH: i64 = 20_000;

impl Gateway {
    /// How many transactions of this scope are in each state, at one instant.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub async fn counts(&self, scope: &Scope) -> Result<Counts, EngineError> {
        counts(&self.pool, scope).await
    }
}

/// How many transactions of this scope are in each state, at one instant.
pub async fn counts(pool: &BoundedPool, scope: &Scope) -> Result<Counts, EngineError> {
    let rows = sqlx::query!(
        r#"select state, count(*) as "deltas!",
            coalesce(sum(added) filter (where $1::text is null or principal = $1), 0)::bigint as "count!"
        from transaction_counts group by state"#,
        scope.owner(),
    )
    .fetch_all(pool)
    .await?;
    let mut counts = Counts::default();
    for row in &rows {
        if let Ok(state) = row.state.parse::<State>() {
            *counts.of_mut(state) = row.count.max(0).unsigned_abs();
        }
    }
    if rows.iter().map(|row| row.deltas).sum::<i64>() > COMPACT_ABOVE {
        // The counts are correct without it.
        if let Err(error) = compact(pool).await {
            tracing::debug!(%error, "the counts could not be compacted");
        }
    }
    Ok(counts)
}

/// Compacts the deltas of the counts. Any number of processes may do so: each delta is deleted once, in the
/// commit that adds it to a sum. Returns whether there may be more.
///
/// # Errors
/// If PostgreSQL does not answer.
pub async fn compact(pool: impl PgExecutor<'_>) -> Result<bool, sqlx::Error> {
    let compacted = sqlx::query_scalar!(
        r#"
        with compacted as (
            -- Deltas that another process is compacting are skipped, without waiting.
            delete from transaction_counts where ctid = any (array(
                select ctid from transaction_counts limit $1 for update skip locked
            ))
            returning state, tried, queue, principal, added
        ),
        sums as (
            insert into transaction_counts (state, tried, queue, principal, added)
            select state, tried, queue, principal, sum(added) from compacted
            group by 1, 2, 3, 4 having sum(added) <> 0
        )
        select count(*) as "deltas!" from compacted
        "#,
        BATCH,
    )
    .fetch_one(pool)
    .await?;
    Ok(compacted == BATCH)
}
