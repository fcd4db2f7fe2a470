//! The list of transactions: a page of those that match a filter, newest first, found in about the same time
//! whatever the filter and however many transactions there are.
//!
//! A planner that must choose between an index in the order of the list and one that fits the filter
//! estimates how many rows it reads in vain, and a filter that few recent rows match makes that estimate
//! wrong. So there is no index in the order of the list alone. A page is merged from parts, each of which an
//! index returns in order without reading past it: one for each state, or, if the filter names a number of
//! attempts, one for each state and number of attempts.

use domain::{Page, Scope, State};
use sqlx::{Postgres, QueryBuilder};

use super::{
    cursor::Cursor,
    filter::Filter,
    row::Row,
    unreadable::{note, read_rows},
};
use crate::{EngineError, Gateway};

/// The most transactions in one page.
pub const MAX_PAGE: u32 = 200;

/// The states of a transaction that needs only one attempt, from its first claim on. The index
/// `transactions_by_attempts` leaves out transactions in these states that have one attempt, so it costs
/// nothing for a transaction that succeeds at once.
const STATES_OF_FIRST_ATTEMPTS: [State; 2] = [State::Processing, State::Completed];
/// This number of attempts, and all higher ones, are one part of that index.
const MANY_ATTEMPTS: u32 = 20;

impl Gateway {
    /// The transactions of this scope that match `filter`, newest first, from `cursor` on; at most `limit` and
    /// [`MAX_PAGE`].
    ///
    /// # Errors
    /// See [`EngineError`].
    pub async fn transactions(
        &self,
        scope: &Scope,
        filter: &Filter,
        cursor: Option<&Cursor>,
        limit: u32,
    ) -> Result<Page, EngineError> {
        let (page, next) = self.page(scope, filter, cursor, limit).await?;
        Ok(Page { next_cursor: next.map(|cursor| cursor.to_string()), ..page })
    }

    /// The same, with the next cursor beside the page and not in it.
    pub(super) async fn page(
        &self,
        scope: &Scope,
        filter: &Filter,
        cursor: Option<&Cursor>,
        limit: u32,
    ) -> Result<(Page, Option<Cursor>), EngineError> {
        let limit = limit.clamp(1, MAX_PAGE) as usize;
        let mut query = QueryBuilder::<Postgres>::new(
            "select t.id, principal, state, amount::text as amount, currency, reference, idempotency_key, description,
                occurred_at, source_account, destination_account, metadata::text as metadata, t.submitted_at,
                completed_at, error, attempts, next_attempt_at
            from (",
        );
        // One more than requested shows whether there is a next page.
        push_page(&mut query, scope, filter, &State::ALL, cursor, limit + 1);
        query.push(
            ") page join transactions t using (id) order by page.submitted_at desc, page.id desc",
        );
        let mut rows: Vec<Row> = query.build_query_as().fetch_all(&self.pool).await?;
        let more = rows.len() > limit;
        rows.truncate(limit);
        let last = rows.last().filter(|_| more);
        let next = last.map(|row| Cursor { submitted_at: row.submitted_at.nearest(), id: row.id });
        let (data, unreadable) = read_rows(rows);
        note(&self.pool, &unreadable).await;
        Ok((Page { data, unreadable, next_cursor: None }, next))
    }
}

/// Adds a query for `id` and `submitted_at` of the first `limit` transactions of the scope that are in one of these
/// states and match the filter, newest first, from `cursor` on.
pub fn push_page(
    query: &mut QueryBuilder<Postgres>,
    scope: &Scope,
    filter: &Filter,
    states: &[State],
    cursor: Option<&Cursor>,
    limit: usize,
) {
    let wanted = |state: &State| filter.status.is_none_or(|status| status == *state);
    let states: Vec<State> = states.iter().copied().filter(wanted).collect();
    // The end of each part: the conditions of the filter, and the order of the list. The limit is a literal,
    // so that a generic plan knows how few rows are read.
    let push_rest = |query: &mut QueryBuilder<Postgres>, filter: &Filter| {
        filter.push(query);
        if let Some(owner) = scope.owner() {
            // The second condition is that of the index.
            query.push(" and principal = ").push_bind(owner.to_owned());
            query.push(" and principal <> 'anonymous'");
        }
        if let Some(cursor) = cursor {
            query.push(" and (submitted_at, id) < (").push_bind(cursor.submitted_at);
            query.push(", ").push_bind(cursor.id).push(")");
        }
        query.push(format_args!(" order by submitted_at desc, id desc limit {limit}"));
    };
    let push_states = |query: &mut QueryBuilder<Postgres>, states: Vec<State>| {
        let names: Vec<_> = states.into_iter().map(State::as_str).collect();
        query.push_bind(names);
    };
    if filter.is_selective() {
        query.push("select id, submitted_at from (select * from transactions where true");
        filter.push_selective(query);
        // The offset keeps the planner from using another index first.
        query.push(" offset 0) named where state = any (");
        push_states(query, states);
        query.push(")");
        push_rest(query, filter);
        return;
    }
    let min_attempts = filter.min_attempts.unwrap_or(0);
    let (by_state, by_attempts): (Vec<_>, Vec<_>) = match min_attempts {
        0 => (states, Vec::new()),
        // A principal has an index by state alone.
        _ if scope.owner().is_some() => (states, Vec::new()),
        1 => states.into_iter().partition(|state| STATES_OF_FIRST_ATTEMPTS.contains(state)),
        _ => (Vec::new(), states),
    };
    query.push("select id, submitted_at from (");
    query.push("select part.* from unnest(");
    push_states(query, by_state);
    query.push(
        ") as wanted (state), lateral (
            select id, submitted_at from transactions where state = wanted.state",
    );
    push_rest(query, filter);
    query.push(") part");
    if !by_attempts.is_empty() {
        query.push(" union all select part.* from unnest(");
        push_states(query, by_attempts);
        let from = min_attempts.min(MANY_ATTEMPTS);
        query.push(format_args!(
            ") as wanted (state), generate_series({from}, {MANY_ATTEMPTS}) as made (attempts), lateral (
                select id, submitted_at from transactions
                where state = wanted.state and least(attempts, {MANY_ATTEMPTS}) = made.attempts
                    -- The same condition as in the index.
                    and attempts > case when state in ('processing', 'completed') then 1 else 0 end",
        ));
        // With a repeated condition the planner would expect hardly any rows, and sort those it finds.
        let min_attempts = filter.min_attempts.filter(|min_attempts| *min_attempts > MANY_ATTEMPTS);
        push_rest(query, &Filter { min_attempts, ..filter.clone() });
        query.push(") part");
    }
    query.push(format_args!(") parts order by submitted_at desc, id desc limit {limit}"));
}
