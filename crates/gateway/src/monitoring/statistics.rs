//! Statistics of the database for monitoring: its contents, and what keeps it from being vacuumed. The
//! queues consist of short-lived rows, so a snapshot that is held for long makes everything slow.

use domain::{Counts, PostingStatus, Scope};

use super::{
    counts::counts,
    posting_status::posting,
    unfinished::{Unfinished, unfinished},
};
use crate::{EngineError, Gateway, job};

/// Due pending transactions, and those that wait, are counted up to this number of each. Of the other kind there
/// is then what is left of all pending ones, whose number is known.
const MAX_COUNTED: i64 = 10_000;
/// The apalis queues.
const QUEUES: [&str; 3] = [job::POSTING, job::VERIFICATION, job::BULK_RETRIES];

/// The database at about one instant. Ages are in seconds unless the name says otherwise; the age of something
/// that does not exist is zero.
#[derive(Debug, Clone, PartialEq)]
pub struct Statistics {
    /// Transactions in each state.
    pub transactions: Counts,
    /// Pending transactions that are due. If there are more than 10,000, and more than 10,000 that wait, it is
    /// 10,000, and [`Self::waiting`] is the rest.
    pub due: u64,
    /// Pending transactions that are due later.
    pub waiting: u64,
    /// How long ago the oldest due pending transaction became due.
    pub oldest_due_age: f64,
    /// The transactions that are not final, by age.
    pub unfinished: Unfinished,
    /// Stored transactions that were found to be unreadable.
    pub unreadable: u64,
    /// Whether posting is paused, and the circuit breakers of the live workers.
    pub posting: PostingStatus,
    /// Jobs in each apalis queue. A bulk retry is counted until it is finished.
    pub jobs: [(&'static str, u64); QUEUES.len()],
    /// The tables with short-lived rows or frequent updates.
    pub tables: Vec<TableStatistics>,
    /// The age of the oldest database transaction.
    pub oldest_transaction_age: f64,
    /// The age of the oldest database transaction that holds a snapshot: rows deleted since then cannot be
    /// vacuumed.
    pub oldest_snapshot_age: f64,
    /// The same in database transactions, prepared ones and replication slots included.
    pub oldest_snapshot_age_transactions: u64,
    /// The size on disk, in bytes.
    pub database_size: u64,
}

/// The live and dead rows of a table, as PostgreSQL estimates them.
#[derive(Debug, Clone, PartialEq)]
pub struct TableStatistics {
    /// Its name, such as `apalis.jobs`.
    pub table: String,
    /// Live rows.
    pub live_tuples: u64,
    /// Row versions that are no longer needed.
    pub dead_tuples: u64,
    /// The time since the last autovacuum; `None` if there was none.
    pub autovacuum_age: Option<f64>,
}

impl Gateway {
    /// The statistics of the database. The sessions of other users are visible only if the role
    /// permits it (`pg_read_all_stats`).
    ///
    /// # Errors
    /// See [`EngineError`].
    pub async fn statistics(&self) -> Result<Statistics, EngineError> {
        let pending = sqlx::query!(
            // There may be many of either, and counting them is slow. The number of pending ones is known.
            r#"with waiting as (
                select count(*) as count from (
                    select from transactions where state = 'pending' and next_attempt_at > now()
                    order by next_attempt_at limit $1
                ) waiting
            )
            select
                (select coalesce(sum(added), 0)::bigint from transaction_counts
                 where state = 'pending') as "pending!",
                count as "waiting!",
                case when count >= $1 then (
                    select count(*) from (
                        select from transactions where state = 'pending' and next_attempt_at <= now()
                        order by next_attempt_at limit $1
                    ) due
                ) end as due,
                (select extract(epoch from now() - greatest(least(min(next_attempt_at), now()), 'epoch'))
                 from transactions where state = 'pending')::float8 as "oldest_due_age!",
                (select count(*) from unreadable_transactions) as "unreadable!"
            from waiting"#,
            MAX_COUNTED,
        )
        .fetch_one(&self.pool)
        .await?;
        let due = pending.due.unwrap_or((pending.pending - pending.waiting).max(0));
        let snapshots = sqlx::query!(
            r#"with held as (
                select xact_start, backend_xmin from pg_stat_activity
                where pid <> pg_backend_pid()
                    and (datname = current_database() or datname is null)
                    -- A vacuum does not delay the removal of dead rows.
                    and backend_type <> 'autovacuum worker'
            ),
            horizons as (
                select backend_xmin as xmin from held
                union all select xmin from pg_replication_slots
                union all select catalog_xmin from pg_replication_slots
                union all select transaction from pg_prepared_xacts
            )
            select
                greatest(extract(epoch from now() - min(xact_start)), 0)::float8
                    as "oldest_transaction_age!",
                greatest(extract(epoch from now()
                    - min(xact_start) filter (where backend_xmin is not null)), 0)::float8
                    as "oldest_snapshot_age!",
                (select coalesce(max(age(xmin)), 0) from horizons)
                    as "oldest_snapshot_age_transactions!",
                pg_database_size(current_database()) as "database_size!"
            from held"#
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(Statistics {
            transactions: counts(&self.pool, &Scope::All).await?,
            due: due.unsigned_abs(),
            waiting: (pending.pending - due).max(0).unsigned_abs(),
            oldest_due_age: pending.oldest_due_age,
            unfinished: unfinished(&self.pool).await?,
            unreadable: pending.unreadable.unsigned_abs(),
            posting: posting(&self.pool).await?,
            jobs: self.jobs().await?,
            tables: self.tables().await?,
            oldest_transaction_age: snapshots.oldest_transaction_age,
            oldest_snapshot_age: snapshots.oldest_snapshot_age,
            oldest_snapshot_age_transactions: snapshots
                .oldest_snapshot_age_transactions
                .unsigned_abs()
                .into(),
            database_size: snapshots.database_size.unsigned_abs(),
        })
    }

    async fn jobs(&self) -> Result<[(&'static str, u64); QUEUES.len()], EngineError> {
        let rows = sqlx::query!(
            r#"select queue as "queue!", sum(added)::bigint as "count!" from transaction_counts
            where queue is not null group by queue
            union all
            -- There are few of these: each was requested by a client or an operator.
            select $1, count(*) from bulk_retries where finished_at is null"#,
            job::BULK_RETRIES,
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(QUEUES.map(|queue| {
            let row = rows.iter().find(|row| row.queue == queue);
            (queue, row.map_or(0, |row| row.count.max(0).unsigned_abs()))
        }))
    }

    async fn tables(&self) -> Result<Vec<TableStatistics>, EngineError> {
        let rows = sqlx::query!(
            r#"select
                case schemaname when current_schema() then relname else schemaname || '.' || relname end
                    as "table!",
                n_live_tup as "live_tuples!", n_dead_tup as "dead_tuples!",
                extract(epoch from now() - last_autovacuum)::float8 as autovacuum_age
            from pg_stat_user_tables
            where (schemaname, relname) in (
                (current_schema(), 'transactions'), (current_schema(), 'attempts'),
                (current_schema(), 'verifications'),
                ('apalis', 'jobs')
            )
            order by 1"#
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| TableStatistics {
                table: row.table,
                live_tuples: row.live_tuples.unsigned_abs(),
                dead_tuples: row.dead_tuples.unsigned_abs(),
                autovacuum_age: row.autovacuum_age,
            })
            .collect())
    }
}
