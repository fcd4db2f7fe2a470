//! The list: every filter returns what passes it, and reads little more than it returns.

use std::cmp::Reverse;

use chrono::{DateTime, Utc};
use domain::{Currency, Principal, Scope, State, Transaction};
use gateway::{Filter, Gateway};
use serde_json::{from_value, json};
use sqlx::PgPool;
use uuid::Uuid;

use crate::support::{another, database, gateway, submission};

/// More rows than a filter may read to fill its page: 7 states, 20 numbers of attempts.
const ROWS: i64 = 40_000;

/// Rows that make a filter read in vain: the newest are all pending, in one currency and never
/// tried, and the others are of many kinds. The order of the ids differs from that of the times.
async fn fill(pool: &PgPool) {
    sqlx::query(
        "insert into transactions (
            id, principal, reference, amount, currency, fingerprint, state, attempts,
            next_attempt_at, completed_at, submitted_at
        )
        select md5(n::text)::uuid, 'p' || n % 2, case when n % 5 = 0 then 'r' || n / 10 end, n,
            currency, sha256(n::text::bytea), state,
            case when n > $1 / 2 or state in ('cancelled', 'rejected') then 0
                when n % 8 > 0 then 1 else 2 + n / 8 % 30 end,
            case state when 'pending' then now() end,
            case when state not in ('pending', 'in_doubt') then now() end,
            -- Several at the same time.
            '2026-01-01'::timestamptz + n / 3 * interval '1 second'
        from (
            select n,
                case when n > $1 / 2 then 'USD'
                    else ('{USD,EUR,EUR,EUR,GBP,JPY,CHF}'::text[])[1 + n % 7] end as currency,
                case when n > $1 / 2 then 'pending'
                    else ('{completed,completed,completed,completed,pending,failed,in_doubt,rejected,'
                        'cancelled}'::text[])[1 + n % 9] end as state
            from generate_series(1, $1) n
        ) made",
    )
    .bind(ROWS)
    .execute(pool)
    .await
    .unwrap();
    sqlx::query("vacuum analyze transactions").execute(pool).await.unwrap();
}

fn at(n: i64) -> DateTime<Utc> {
    "2026-01-01T00:00:00Z".parse::<DateTime<Utc>>().unwrap() + chrono::TimeDelta::seconds(n / 3)
}

/// Each filter alone, and combined with each of the others.
fn filters() -> Vec<Filter> {
    let currency = |code: &str| Some(from_value(code.into()).unwrap());
    let mut filters = vec![Filter::default()];
    let statuses = State::ALL.map(Some);
    let currencies: [Option<Currency>; 4] = ["USD", "EUR", "CHF", "SEK"].map(currency);
    let attempts = [0, 1, 2, 5, 19, 20, 21, 40].map(Some);
    for status in [None].into_iter().chain(statuses) {
        for currency in [None].into_iter().chain(currencies) {
            for min_attempts in [None].into_iter().chain(attempts) {
                filters.push(Filter { status, currency, min_attempts, ..Filter::default() });
            }
        }
    }
    for (from, to) in [(Some(100), None), (None, Some(30_000)), (Some(900), Some(1500))] {
        let (from, to) = (from.map(at), to.map(at));
        filters.push(Filter { from, to, ..Filter::default() });
        filters.push(Filter { from, to, currency: currencies[2], ..Filter::default() });
        filters.push(Filter { from, to, status: Some(State::Failed), ..Filter::default() });
        filters.push(Filter { from, to, min_attempts: Some(2), ..Filter::default() });
    }
    for reference in ["r7", "none"] {
        let reference = Some(reference.to_owned());
        filters.push(Filter { reference: reference.clone(), ..Filter::default() });
        filters.push(Filter { reference, status: Some(State::Pending), ..Filter::default() });
    }
    filters
}

fn passes(filter: &Filter, transaction: &Transaction) -> bool {
    filter.status.is_none_or(|status| transaction.status == status)
        && filter.currency.is_none_or(|currency| transaction.currency == currency)
        && filter.reference.as_ref().is_none_or(|text| transaction.reference.as_ref() == Some(text))
        && filter.from.is_none_or(|from| transaction.submitted_at >= from)
        && filter.to.is_none_or(|to| transaction.submitted_at < to)
        && filter.min_attempts.is_none_or(|least| transaction.attempts >= least)
}

async fn all(gateway: &Gateway) -> Vec<Transaction> {
    let (mut all, mut cursor) = (Vec::new(), None);
    loop {
        let page = gateway
            .transactions(&Scope::All, &Filter::default(), cursor.as_ref(), 200)
            .await
            .unwrap();
        all.extend(page.data);
        let Some(next) = page.next_cursor else { return all };
        cursor = Some(next.parse().unwrap());
    }
}

#[tokio::test]
async fn every_filter_returns_what_passes_it_newest_first_page_by_page() {
    let pool = database().await;
    fill(&pool).await;
    let gateway = gateway(&pool);
    let all = all(&gateway).await;
    assert_eq!(all.len() as i64, ROWS);
    assert!(all.is_sorted_by_key(|transaction| {
        Reverse((transaction.submitted_at, transaction.transaction_id))
    }));
    for filter in filters() {
        let mut expected = all.iter().filter(|transaction| passes(&filter, transaction));
        let mut cursor = None;
        // Two pages and the beginning of a third cross each boundary.
        for _ in 0..3 {
            let page =
                gateway.transactions(&Scope::All, &filter, cursor.as_ref(), 7).await.unwrap();
            let expected_page: Vec<_> = expected.by_ref().take(7).cloned().collect();
            assert_eq!(page.data, expected_page, "{filter:?}");
            let Some(next) = page.next_cursor else {
                assert_eq!(expected.next(), None, "{filter:?}");
                break;
            };
            cursor = Some(next.parse().unwrap());
        }
    }
}

#[tokio::test]
async fn no_filter_reads_the_whole_table() {
    let pool = database().await;
    fill(&pool).await;
    // One connection, so that its counters are those of the previous query.
    let options = pool.options().clone().min_connections(0).max_connections(1);
    let pool = options.connect_lazy_with(another(&pool).connect_options().as_ref().clone());
    let gateway = gateway(&pool);
    let places = [ROWS, 3 * ROWS / 4, ROWS / 4].map(|n| {
        let cursor = format!("{}_{}", at(n).timestamp_micros(), Uuid::max().simple());
        cursor.parse().unwrap()
    });
    let mut before = rows_read(&pool).await;
    // After enough executions PostgreSQL uses a generic plan, for any filter and position.
    for filter in filters() {
        for cursor in [None].into_iter().chain(places.iter().map(Some)) {
            gateway.transactions(&Scope::All, &filter, cursor, 50).await.unwrap();
            let after = rows_read(&pool).await;
            let read = after - before;
            assert!(read < ROWS / 10, "{read} rows for {filter:?} from {cursor:?} on");
            before = after;
        }
    }
}

/// Rows and index entries of the table that this session has read so far.
async fn rows_read(pool: &PgPool) -> i64 {
    sqlx::query("select pg_stat_force_next_flush()").execute(pool).await.unwrap();
    sqlx::query_scalar(
        "select (select seq_tup_read from pg_stat_user_tables where relname = 'transactions')
            + (select sum(idx_tup_read)::bigint from pg_stat_user_indexes where relname = 'transactions')",
    )
    .fetch_one(pool)
    .await
    .unwrap()
}

#[tokio::test]
async fn the_pages_of_a_list_contain_every_transaction_once() {
    let pool = database().await;
    let gateway = gateway(&pool);
    for i in 1..=25 {
        let currency = if i % 5 == 0 { "EUR" } else { "USD" };
        let submission = submission(json!({"amount": i, "currency": currency}));
        gateway.submit(&Principal::anonymous(), submission).await.unwrap();
    }
    let filter = Filter { currency: Some(Currency::parse("USD").unwrap()), ..Filter::default() };
    let (mut seen, mut cursor) = (Vec::new(), None);
    loop {
        let page = gateway.transactions(&Scope::All, &filter, cursor.as_ref(), 7).await.unwrap();
        seen.extend(page.data.iter().map(|transaction| transaction.amount.to_string()));
        let Some(next) = page.next_cursor else { break };
        cursor = Some(next.parse().unwrap());
    }
    let newest_first: Vec<_> =
        (1..=25).rev().filter(|i| i % 5 != 0).map(|i: u32| i.to_string()).collect();
    assert_eq!(seen, newest_first);
    let none = Filter { status: Some(State::Failed), ..Filter::default() };
    assert!(gateway.transactions(&Scope::All, &none, None, 7).await.unwrap().data.is_empty());
}
