//! What a monitor wants to know of the database: what is in it, and what keeps it from being tidy. The
//! queues live on short-lived rows, so a snapshot that is held for long makes everything slow.

use domain::{Counts, PostingStatus};

use crate::{
    EngineError, Gateway, job,
    monitoring::{counts::counts, posting_status::posting},
};

/// The apalis queues.
pub const QUEUES: [&str; 3] = [job::POSTING, job::VERIFICATION, job::BULK_RETRIES];

/// The database at about one instant. Ages are in seconds where nothing else is said; those of what is
/// not there are zero.
#[derive(Debug, Clone, PartialEq)]
pub struct Statistics {
    /// Transactions in each state.
    pub transactions: Counts,
    /// Pending transactions whose time has come.
    pub due: u64,
    /// Pending transactions whose time is still to come.
    pub waiting: u64,
    /// For how long the pending transaction that has been due for longest has been due.
    pub oldest_due_age: f64,
    /// Whether posting is paused, and the live workers' circuit breakers.
    pub posting: PostingStatus,
    /// Jobs that wait in each of the [`QUEUES`]. A bulk retry is counted until it is finished.
    pub jobs: [(&'static str, u64); QUEUES.len()],
    /// The tables whose rows come and go.
    pub tables: Vec<TableStatistics>,
    /// Of the oldest database transaction.
    pub oldest_transaction_age: f64,
    /// Of the oldest database transaction that holds a snapshot: what was deleted since cannot be
    /// vacuumed.
    pub oldest_snapshot_age: f64,
    /// The same in database transactions, prepared ones and replication slots included.
    pub oldest_snapshot_age_transactions: u64,
    /// On disk, in bytes.
    pub database_size: u64,
}

/// How tidy a table is, as PostgreSQL estimates it.
#[derive(Debug, Clone, PartialEq)]
pub struct TableStatistics {
    /// Its name, such as `apalis.jobs`.
    pub table: String,
    /// Rows.
    pub live_tuples: u64,
    /// Versions of rows that nobody needs any more.
    pub dead_tuples: u64,
    /// Since the last autovacuum; `None` where there was none.
    pub autovacuum_age: Option<f64>,
}

impl Gateway {
    /// What a monitor wants to know of the database. The sessions of other users are seen only
    /// where the role may (`pg_read_all_stats`).
    ///
    /// # Errors
    /// See [`EngineError`].
    pub async fn statistics(&self) -> Result<Statistics, EngineError> {
        let pending = sqlx::query!(
            // Those that are due may be many; how many are pending is known.
            r#"select
                (select coalesce(sum(added), 0)::bigint from transaction_counts
                 where state = 'pending') as "pending!",
                count(*) as "waiting!",
                (select coalesce(extract(epoch from greatest(now() - min(next_attempt_at), '0')), 0)
                 from transactions where state = 'pending')::float8 as "oldest_due_age!"
            from transactions
            where state = 'pending' and next_attempt_at > now()"#
        )
        .fetch_one(&self.pool)
        .await?;
        let snapshots = sqlx::query!(
            r#"with held as (
                select xact_start, backend_xmin from pg_stat_activity
                where pid <> pg_backend_pid()
                    and (datname = current_database() or datname is null)
                    -- A vacuum holds nothing back.
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
            transactions: counts(&self.pool).await?,
            due: (pending.pending - pending.waiting).max(0).unsigned_abs(),
            waiting: pending.waiting.unsigned_abs(),
            oldest_due_age: pending.oldest_due_age,
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
            -- Each was asked for by a person.
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
                case schemaname when 'public' then relname else schemaname || '.' || relname end
                    as "table!",
                n_live_tup as "live_tuples!", n_dead_tup as "dead_tuples!",
                extract(epoch from now() - last_autovacuum)::float8 as autovacuum_age
            from pg_stat_user_tables
            where (schemaname, relname) in (
                ('public', 'transactions'), ('public', 'attempts'), ('public', 'verifications'),
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
