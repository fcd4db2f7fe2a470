//! The changes behind a position, a page at a time, in the order of the database transactions that made them.
//!
//! The changes of one database transaction are never divided between two pages.

use std::collections::HashMap;

use domain::{Scope, Transaction, Unreadable};
use uuid::Uuid;

use super::position::Position;
use crate::{
    EngineError,
    database::{BoundedPool, StoredTime},
    queries::{Row, note, read_rows},
};

/// The most changes in a page, unless a single database transaction made more. Those of database transactions that were
/// open before come on top.
const PAGE_LENGTH: i64 = 200;
/// After so many changes without reaching the end, the rest up to now is left out: a reader that is slower than the
/// changes would only fall further behind.
const MAX_BEHIND: usize = 10_000;

/// Changes of neighbouring database transactions, and of those that were open before.
pub(super) struct Page {
    /// The position at which the next page begins.
    pub end: Position,
    /// Whether the changes of this page are left out, because they are too many.
    pub is_gap: bool,
    /// Each in its latest version, oldest change first.
    pub transactions: Vec<Transaction>,
    /// Those that cannot be read.
    pub unreadable: Vec<Unreadable>,
    /// Who submitted each of them.
    pub principals: HashMap<Uuid, String>,
    /// Whether there was nothing more to read.
    pub is_last: bool,
}

impl Page {
    /// Leaves out what is not in a scope.
    pub fn restrict(&mut self, scope: &Scope) {
        let is_in = |id: &Uuid| is_in(scope, &self.principals, id);
        self.transactions.retain(|transaction| is_in(&transaction.transaction_id));
        self.unreadable.retain(|unreadable| is_in(&unreadable.transaction_id));
    }
}

/// Whether a transaction that one of these principals submitted is in a scope.
pub(super) fn is_in(scope: &Scope, principals: &HashMap<Uuid, String>, id: &Uuid) -> bool {
    match scope {
        Scope::All => true,
        Scope::Own(own) => principals.get(id).is_some_and(|principal| principal == own.as_str()),
    }
}

/// A position, and how many changes were read without reaching the end.
#[derive(Clone)]
pub(super) struct Progress {
    pub at: Position,
    read: usize,
}

impl Progress {
    pub fn new(at: Position) -> Self {
        Self { at, read: 0 }
    }

    /// The page that begins here. The position stays as it is, so that no page is lost if the caller fails or
    /// is dropped before it has passed the page on.
    pub async fn page(&self, pool: &BoundedPool) -> Result<Page, EngineError> {
        let gap = |end| Page {
            end,
            is_gap: true,
            transactions: Vec::new(),
            unreadable: Vec::new(),
            principals: HashMap::new(),
            is_last: true,
        };
        let next = next_page(pool, self.at.at()).await?;
        if next.now.at() < self.at.at() {
            // PostgreSQL has crashed, or is another one now, and does not know numbers that were given before.
            return Ok(gap(next.now));
        }
        let next_change = next.change.filter(|change| *change < next.now.at());
        let is_last = next_change.is_none();
        if !is_last && self.read >= MAX_BEHIND {
            return Ok(gap(next.now));
        }
        let end = next_change.map_or(next.now.at(), |change| change.max(self.at.at() + 1));
        let end = next.now.up_to(end);
        let mut rows = rows(pool, &self.at, &end).await?;
        let principals =
            rows.iter_mut().map(|row| (row.id, std::mem::take(&mut row.principal))).collect();
        let (transactions, unreadable) = read_rows(rows);
        note(pool, &unreadable).await;
        Ok(Page { end, is_gap: false, transactions, unreadable, principals, is_last })
    }

    /// Moves behind a page.
    pub fn pass(&mut self, page: &Page) {
        self.at = page.end.clone();
        self.read = if page.is_last {
            0
        } else {
            self.read + page.transactions.len() + page.unreadable.len()
        };
    }
}

/// The position behind everything that is committed now.
pub(super) async fn position_now(pool: &BoundedPool) -> Result<Position, EngineError> {
    let snapshot = sqlx::query_scalar!(r#"select pg_current_snapshot()::text as "snapshot!""#)
        .fetch_one(pool)
        .await?;
    of_snapshot(&snapshot)
}

fn of_snapshot(text: &str) -> Result<Position, EngineError> {
    let unknown = || sqlx::Error::Decode(format!("the snapshot {text} is not known").into());
    Ok(Position::of_snapshot(text).ok_or_else(unknown)?)
}

struct NextPage {
    now: Position,
    /// The number of the first change after a page, if there is one.
    change: Option<i64>,
}

async fn next_page(pool: &BoundedPool, from: i64) -> Result<NextPage, EngineError> {
    let row = sqlx::query!(
        r#"
        select pg_current_snapshot()::text as "snapshot!", (
            select changed_in from transactions
            where changed_in >= $1 order by changed_in offset $2 limit 1
        ) as change
        "#,
        from,
        PAGE_LENGTH,
    )
    .fetch_one(pool)
    .await?;
    Ok(NextPage { now: of_snapshot(&row.snapshot)?, change: row.change })
}

/// The transactions whose latest change was read at `end`, and not at `from`. One that has changed since is behind
/// them now. What has been committed since is left for the next page, so that a transaction never arrives in an
/// earlier version after a later one.
async fn rows(
    pool: &BoundedPool,
    from: &Position,
    end: &Position,
) -> Result<Vec<Row>, EngineError> {
    let ended: Vec<i64> =
        from.open().iter().copied().filter(|number| !end.open().contains(number)).collect();
    if from.at() >= end.at() && ended.is_empty() {
        return Ok(Vec::new());
    }
    let rows = sqlx::query_as!(
        Row,
        r#"select id as "id!", principal as "principal!", state as "state!", amount::text as "amount!", currency as "currency!",
            reference, idempotency_key, description, occurred_at as "occurred_at: StoredTime",
            source_account, destination_account, metadata::text as metadata,
            submitted_at as "submitted_at!: StoredTime", completed_at as "completed_at: StoredTime", error,
            attempts as "attempts!", next_attempt_at as "next_attempt_at: StoredTime"
        from (
            select * from transactions where changed_in = any ($3)
            union all
            select * from transactions
            where changed_in >= $1 and changed_in < $2 and changed_in <> all ($4)
        ) changed
        order by changed_in"#,
        from.at(),
        end.at(),
        &ended,
        end.open(),
    )
    .fetch_all(pool)
    .await?;
    Ok(rows)
}
