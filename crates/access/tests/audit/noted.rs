//! Entries that are written in the background.

use access::{Access, AuditFilter, Entry};
use domain::{Action, Actor};
use sqlx::PgPool;
use tokio::{sync::oneshot, task::yield_now};

use crate::{ann, support::database};

/// Far more than are noted of refusals in a moment.
const FLOOD: usize = 10_007;

fn refused(number: usize) -> Entry {
    Entry::refused(&Actor::anonymous(), Action::Authenticate, format!("client:{number}"), "unknown")
}

async fn count(pool: &PgPool) -> i64 {
    sqlx::query_scalar("select count(*) from audit").fetch_one(pool).await.unwrap()
}

#[tokio::test]
async fn what_is_noted_is_written_soon_and_what_is_left_at_the_end() {
    let pool = database().await;
    let access = Access::new(pool.clone());
    let (end, ended) = oneshot::channel::<()>();
    let writer = tokio::spawn({
        let access = access.clone();
        async move { access.write_noted(async { drop(ended.await) }).await }
    });
    access.note(refused(1));
    while count(&pool).await < 1 {
        yield_now().await;
    }
    access.note(refused(2));
    drop(end);
    writer.await.unwrap();
    assert_eq!(count(&pool).await, 2);
    assert_eq!(access.verify_audit(None).await.unwrap().head.number, 2);
}

#[tokio::test]
async fn of_a_flood_of_refusals_an_entry_says_how_many_were_lost() {
    let pool = database().await;
    let access = Access::new(pool.clone());
    for number in 0..FLOOD {
        access.note(refused(number));
    }
    access.write_noted(async {}).await;
    let written = count(&pool).await;
    assert!(written < 9_000, "{written}");
    let lost = AuditFilter { action: Some("lose_entries".to_owned()), ..AuditFilter::default() };
    let lost = access.audit(&lost, None, 50).await.unwrap().data;
    let [entry] = &lost[..] else { panic!("{lost:?}") };
    let lost = entry.after.as_ref().unwrap()["entries"].as_i64().unwrap();
    assert_eq!(written - 1 + lost, FLOOD as i64);
}

#[tokio::test]
async fn what_cannot_be_written_is_tried_again() {
    let pool = database().await;
    let access = Access::new(pool.clone());
    sqlx::query("alter table audit rename to absent").execute(&pool).await.unwrap();
    let writer = tokio::spawn({
        let access = access.clone();
        async move { access.write_noted(std::future::pending()).await }
    });
    access.note(Entry::done(&ann(), Action::Export, "transactions"));
    let tried = "select count(*) > 0 from pg_stat_database
        where datname = current_database() and xact_rollback > 0";
    while !sqlx::query_scalar::<_, bool>(tried).fetch_one(&pool).await.unwrap() {
        yield_now().await;
    }
    sqlx::query("alter table absent rename to audit").execute(&pool).await.unwrap();
    while count(&pool).await < 1 {
        yield_now().await;
    }
    writer.abort();
}
