//! Rows that cannot be read, for whatever reason: they are shown as unreadable, and nothing else suffers.
#![allow(clippy::disallowed_methods)]

use std::{collections::HashSet, pin::pin, time::Duration};

use domain::{Currency, Scope, Transaction};
use futures::TryStreamExt;
use gateway::{Filter, Gateway, Position, Status, housekeeping::clean_up};
use sqlx::PgPool;
use uuid::Uuid;

use crate::support::{database, gateway, stored};

/// Each of these damages a row in its own way, which the table's constraints would not allow or do not prevent.
const DAMAGE: [(&str, &str); 8] = [
    ("amount", "amount = 'NaN'"),
    ("amount", "amount = 1e40"),
    ("amount", "amount = -1"),
    ("currency", "currency = 'usd'"),
    ("state", "state = 'held'"),
    ("metadata", "metadata = '[1]'"),
    ("occurred_at", "occurred_at = 'infinity'"),
    ("submitted_at", "submitted_at = '-infinity'"),
];

async fn run(pool: &PgPool, statement: &str) {
    sqlx::raw_sql(sqlx::AssertSqlSafe(statement.to_owned())).execute(pool).await.unwrap();
}

/// Takes away what keeps a table from being damaged.
async fn without_constraints(pool: &PgPool) {
    run(
        pool,
        "do $$ declare name text; begin
            for name in select conname from pg_constraint
                where conrelid = 'transactions'::regclass and contype = 'c'
            loop execute format('alter table transactions drop constraint %I', name); end loop;
         end $$",
    )
    .await;
}

/// Stores a transaction of each kind of damage, each between two sound ones. Returns the sound and the damaged.
async fn damaged(pool: &PgPool, gateway: &Gateway) -> (HashSet<Uuid>, Vec<(Uuid, String)>) {
    without_constraints(pool).await;
    let (mut sound, mut damaged) = (HashSet::from([stored(gateway).await]), Vec::new());
    for (column, damage) in DAMAGE {
        let id = stored(gateway).await;
        run(
            pool,
            &format!(
                "update transactions set {damage}, changed_in = current_change() where id = '{id}'"
            ),
        )
        .await;
        damaged.push((id, format!("the stored value of {column} cannot be read")));
        sound.insert(stored(gateway).await);
    }
    damaged.sort();
    (sound, damaged)
}

fn ids(transactions: &[Transaction]) -> HashSet<Uuid> {
    transactions.iter().map(|transaction| transaction.transaction_id).collect()
}

fn reasons(unreadable: &[domain::Unreadable]) -> Vec<(Uuid, String)> {
    let mut reasons: Vec<_> =
        unreadable.iter().map(|one| (one.transaction_id, one.reason.clone())).collect();
    reasons.sort();
    reasons
}

#[tokio::test]
async fn a_list_and_an_export_show_unreadable_rows_and_all_others() {
    let pool = database().await;
    let gateway = gateway(&pool);
    let (sound, mut damaged) = damaged(&pool, &gateway).await;
    // The list is made of a part for each state that is known, so this one is in none.
    damaged.retain(|(_, reason)| !reason.contains(" state "));
    let whole = gateway.transactions(&Scope::All, &Filter::default(), None, 200).await.unwrap();
    assert_eq!((ids(&whole.data), reasons(&whole.unreadable)), (sound.clone(), damaged.clone()));
    // Whatever row a page ends with.
    for limit in [1, 2, 3] {
        let (mut shown, mut unreadable, mut cursor) = (HashSet::new(), Vec::new(), None);
        loop {
            let page = gateway
                .transactions(&Scope::All, &Filter::default(), cursor.as_ref(), limit)
                .await
                .unwrap();
            assert!(page.data.len() + page.unreadable.len() <= limit as usize);
            shown.extend(ids(&page.data));
            unreadable.extend(page.unreadable);
            let Some(next) = page.next_cursor else { break };
            cursor = Some(next.parse().unwrap());
        }
        assert_eq!((&shown, &reasons(&unreadable)), (&sound, &damaged), "{limit}");
    }
    let pages: Vec<_> =
        pin!(gateway.export(Scope::All, Filter::default())).try_collect().await.unwrap();
    let (mut shown, mut unreadable) = (HashSet::new(), Vec::new());
    for page in pages {
        shown.extend(ids(&page.data));
        unreadable.extend(page.unreadable);
    }
    assert_eq!((shown, reasons(&unreadable)), (sound, damaged));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_change_feed_reports_unreadable_rows_and_all_others() {
    let pool = database().await;
    let gateway = gateway(&pool);
    let mut listener = gateway.changes().listen(Scope::All, None).await.unwrap();
    listener.next().await.unwrap();
    let (sound, damaged) = damaged(&pool, &gateway).await;
    let (mut shown, mut unreadable) = (HashSet::new(), HashSet::new());
    while shown.len() < sound.len() || unreadable.len() < damaged.len() {
        let change = tokio::time::timeout(Duration::from_secs(60), listener.next()).await;
        let change = change.expect("no change for a minute").unwrap();
        shown.extend(ids(&change.transactions));
        unreadable.extend(reasons(&change.unreadable));
    }
    assert!(sound.is_subset(&shown));
    assert_eq!(unreadable, damaged.iter().cloned().collect());
    let page = gateway.changes_since(&Scope::All, Some(Position::beginning())).await.unwrap();
    assert_eq!((ids(&page.data), reasons(&page.unreadable)), (sound, damaged));
}

#[tokio::test]
async fn health_counts_unreadable_rows_until_they_are_repaired_or_gone() {
    let pool = database().await;
    let gateway = gateway(&pool);
    run(&pool, "insert into workers (id, expires_at) values (gen_random_uuid(), now() + interval '1 hour')")
        .await;
    assert_eq!(gateway.health().await.unwrap().status, Status::Healthy);
    let (_, damaged) = damaged(&pool, &gateway).await;
    // Each that is met counts once.
    for _ in 0..2 {
        let error = gateway.transaction(&Scope::All, damaged[0].0).await.unwrap_err();
        assert!(error.to_string().ends_with(&damaged[0].1), "{error}");
        let health = gateway.health().await.unwrap();
        assert_eq!((health.status, health.unreadable), (Status::Degraded, Some(1)));
        assert!(health.reasons.contains(&"1 stored transaction cannot be read".to_owned()));
    }
    gateway.changes_since(&Scope::All, Some(Position::beginning())).await.unwrap();
    let all = DAMAGE.len() as u64;
    assert_eq!(gateway.health().await.unwrap().unreadable, Some(all));
    assert_eq!(gateway.statistics().await.unwrap().unreadable, all);
    clean_up(&pool).await.unwrap();
    assert_eq!(gateway.health().await.unwrap().unreadable, Some(all));
    run(
        &pool,
        "update transactions set amount = 1 where amount in ('NaN', -1);
         delete from transactions where state = 'held'",
    )
    .await;
    clean_up(&pool).await.unwrap();
    assert_eq!(gateway.health().await.unwrap().unreadable, Some(all - 3));
}

#[tokio::test]
async fn what_was_accepted_under_earlier_rules_is_read() {
    let pool = database().await;
    let gateway = gateway(&pool);
    let id = stored(&gateway).await;
    without_constraints(&pool).await;
    // A currency that no list has any more, a key and texts that are too long or have other characters now, and more
    // digits than an amount may have.
    run(
        &pool,
        "update transactions set currency = 'QQQ', idempotency_key = repeat('ä ', 200),
            reference = repeat('r', 500), description = repeat(E'\\t', 5000), amount = 12345678901234567890.12",
    )
    .await;
    let shown = gateway.transaction(&Scope::All, id).await.unwrap().unwrap();
    assert_eq!(
        (shown.currency.code(), shown.amount.to_string()),
        ("QQQ", "12345678901234567890.12".to_owned())
    );
    // The page in the browser reads it, too.
    let json = serde_json::to_string(&shown).unwrap();
    assert_eq!(serde_json::from_str::<Transaction>(&json).unwrap(), shown);
    let filter =
        Filter { currency: Some(Currency::from_stored("QQQ").unwrap()), ..Filter::default() };
    assert_eq!(gateway.transactions(&Scope::All, &filter, None, 10).await.unwrap().data, [shown]);
}
