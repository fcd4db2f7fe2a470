//! The changes behind a position, a page at a time, in the order of the database transactions that made them.
//!
//! A position is the number of a database transaction: everything below it has been read. The changes of one
//! database transaction are never divided between two pages, so a number is enough.

use domain::Transaction;

use crate::{EngineError, database::BoundedPool, queries::Row};

/// The most changes in a page, unless a single database transaction made more.
const PAGE_LENGTH: i64 = 200;
/// After so many changes without reaching the end, the rest up to now is left out: a reader that is slower than the
/// changes would only fall further behind.
const MAX_BEHIND: usize = 10_000;

/// Changes of neighbouring database transactions.
pub(super) struct Page {
    /// The position at which the next page begins.
    pub end: i64,
    /// Whether the changes of this page are left out, because they are too many.
    pub is_gap: bool,
    /// Each in its latest version, oldest change first.
    pub transactions: Vec<Transaction>,
    /// Whether there was nothing more to read.
    pub is_last: bool,
}

/// A position, and how many changes were read without reaching the end.
#[derive(Clone, Copy)]
pub(super) struct Position {
    pub at: i64,
    read: usize,
}

impl Position {
    pub fn new(at: i64) -> Self {
        Self { at, read: 0 }
    }

    /// The page that begins here. The position stays as it is, so that no page is lost if the caller fails or
    /// is dropped before it has passed the page on.
    pub async fn page(&self, pool: &BoundedPool) -> Result<Page, EngineError> {
        let gap = |end| Page { end, is_gap: true, transactions: Vec::new(), is_last: true };
        let next = next_page(pool, self.at).await?;
        if next.horizon < self.at {
            // PostgreSQL has crashed, or is another one now, and does not know numbers that were given before.
            return Ok(gap(next.horizon));
        }
        let next_change = next.change.filter(|change| *change < next.horizon);
        let is_last = next_change.is_none();
        if !is_last && self.read >= MAX_BEHIND {
            return Ok(gap(next.horizon));
        }
        let end = next_change.map_or(next.horizon, |change| change.max(self.at + 1));
        let transactions = transactions(pool, self.at, end).await?;
        Ok(Page { end, is_gap: false, transactions, is_last })
    }

    /// Moves behind a page.
    pub fn pass(&mut self, page: &Page) {
        self.at = page.end;
        self.read = if page.is_last { 0 } else { self.read + page.transactions.len() };
    }
}

/// The number below which every database transaction has ended: no change below it can become visible later.
pub(super) async fn horizon(pool: &BoundedPool) -> Result<i64, EngineError> {
    Ok(sqlx::query_scalar!(
        r#"select pg_snapshot_xmin(pg_current_snapshot())::text::bigint as "horizon!""#
    )
    .fetch_one(pool)
    .await?)
}

struct NextPage {
    horizon: i64,
    /// The position of the first change after a page, if there is one. It may be beyond the horizon.
    change: Option<i64>,
}

async fn next_page(pool: &BoundedPool, from: i64) -> Result<NextPage, EngineError> {
    // Without the horizon in the inner condition, PostgreSQL estimates well enough to read no more of the index than
    // a page, however many changes follow.
    Ok(sqlx::query_as!(
        NextPage,
        r#"
        select pg_snapshot_xmin(pg_current_snapshot())::text::bigint as "horizon!", (
            select changed_in from transactions
            where changed_in >= $1 order by changed_in offset $2 limit 1
        ) as change
        "#,
        from,
        PAGE_LENGTH,
    )
    .fetch_one(pool)
    .await?)
}

/// The transactions whose latest change is between two positions. One that has changed since is behind them now.
async fn transactions(
    pool: &BoundedPool,
    from: i64,
    end: i64,
) -> Result<Vec<Transaction>, EngineError> {
    if from >= end {
        return Ok(Vec::new());
    }
    let rows = sqlx::query_as!(
        Row,
        r#"select id, state, amount, currency, reference, idempotency_key, description, occurred_at,
            source_account, destination_account, metadata, submitted_at, completed_at, error,
            attempts, next_attempt_at
        from transactions where changed_in >= $1 and changed_in < $2
        order by changed_in"#,
        from,
        end,
    )
    .fetch_all(pool)
    .await?;
    rows.into_iter().map(Transaction::try_from).collect()
}
