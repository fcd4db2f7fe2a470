//! The chain while many write at once, and over what was there before it.

use access::{Access, AuditHead, Entry, VerifyError};
use domain::{Action, Actor, Intervention, State, Submission};
use gateway::{Gateway, WakeUps};
use serde_json::json;
use tokio::task::JoinSet;

use crate::{ann, record_three, support::database};

#[tokio::test]
async fn an_empty_audit_holds() {
    let access = Access::new(database().await);
    let verified = access.verify_audit(None).await.unwrap();
    assert_eq!(verified.head, AuditHead { number: 0, hash: [0; 32] });
    assert_eq!(verified.to_string(), format!("0 entries, head 0:{}", "0".repeat(64)));
}

#[tokio::test]
async fn the_chain_holds_and_has_no_gaps_while_many_write_at_once() {
    let pool = database().await;
    let access = Access::new(pool.clone());
    let mut writers = JoinSet::new();
    for writer in 0..8 {
        let access = access.clone();
        writers.spawn(async move {
            for number in 0..20 {
                let object = format!("client:{writer}-{number}");
                access.record(Entry::done(&ann(), Action::Create, object)).await.unwrap();
            }
        });
    }
    writers.join_all().await;
    // An id is used up by a statement that is rolled back, a number of the chain is not.
    let wrong = "insert into audit (principal, kind, action, object) values ('p', 'user', 'a', 'o'), ('p', 'x', 'a', 'o')";
    assert!(sqlx::query(wrong).execute(&pool).await.is_err());
    record_three(&access).await;
    assert_eq!(access.verify_audit(None).await.unwrap().head.number, 163);
}

#[tokio::test]
async fn what_the_engine_does_is_in_the_chain() {
    let pool = database().await;
    let (access, gateway) =
        (Access::new(pool.clone()), Gateway::new(pool.clone(), WakeUps::default()));
    let submission = || Submission::from_json(&json!({"amount": "1", "currency": "EUR"})).unwrap();
    let mut ids = Vec::new();
    for _ in 0..3 {
        let submitted = gateway.submit(&ann().principal, submission()).await.unwrap();
        ids.push(submitted.transaction.transaction_id);
    }
    let retried = gateway.intervene(&ann(), ids[0], Intervention::Retry, Some("now")).await;
    assert_eq!(retried.unwrap().status, State::Pending);
    gateway.intervene(&ann(), ids[1], Intervention::Cancel, None).await.unwrap();
    gateway.pause(&ann(), Some("moving house")).await.unwrap();
    // Posting is paused already: nothing is done, and nothing is written.
    gateway.pause(&ann(), None).await.unwrap();
    gateway.resume(&ann(), None).await.unwrap();
    let bulk = gateway.retry_all(&ann(), gateway::Filter::default(), None).await.unwrap();
    gateway.cleanup(&Actor::anonymous()).await.unwrap();

    let page = access.audit(&access::AuditFilter::default(), None, 50).await.unwrap();
    let found: Vec<_> = page.data.iter().rev().map(|it| (&*it.action, it.object.clone())).collect();
    let expected = [
        ("retry", format!("transaction:{}", ids[0])),
        ("cancel", format!("transaction:{}", ids[1])),
        ("pause", "posting".to_owned()),
        ("resume", "posting".to_owned()),
        ("bulk_retry", format!("bulk_retry:{}", bulk.bulk_retry_id)),
        ("cleanup", "transactions".to_owned()),
    ];
    assert_eq!(found, expected);
    let by_ann = page.data.iter().filter(|it| it.principal == "ann" && it.kind == "user");
    let complete = by_ann.filter(|it| {
        it.address.as_deref() == Some("192.0.2.7")
            && it.credential.as_deref() == Some("session:7")
            && it.request_id.as_deref() == Some("request-1")
    });
    assert_eq!(complete.count(), 5);
    assert_eq!(access.verify_audit(None).await.unwrap().head.number, 6);
}

#[tokio::test]
async fn a_head_that_was_noted_is_still_in_a_longer_chain() {
    let access = Access::new(database().await);
    record_three(&access).await;
    let noted = access.verify_audit(None).await.unwrap().head;
    record_three(&access).await;
    let verified = access.verify_audit(Some(noted)).await.unwrap();
    assert_eq!((noted.number, verified.head.number), (3, 6));
    let other = AuditHead { number: 3, ..verified.head };
    let error = access.verify_audit(Some(other)).await.unwrap_err();
    assert!(matches!(error, VerifyError::Broken(access::AuditBreak::OtherHead(3))), "{error}");
}

#[tokio::test]
async fn a_writer_that_has_not_committed_yet_holds_up_no_other_and_comes_after_it() {
    let pool = database().await;
    let access = Access::new(pool.clone());
    let mut slow = pool.acquire().await.unwrap();
    let write = "begin; insert into audit (principal, kind, action, object) values ('bob', 'user', 'pause', 'posting')";
    sqlx::raw_sql(write).execute(&mut *slow).await.unwrap();
    access.record(Entry::done(&ann(), Action::Resume, "posting")).await.unwrap();
    sqlx::raw_sql("commit").execute(&mut *slow).await.unwrap();
    let order: Vec<String> = sqlx::query_scalar(
        "select principal from audit_chain c join audit a on a.id = c.audit_id order by number",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    assert_eq!(order, ["ann", "bob"]);
    assert_eq!(access.verify_audit(None).await.unwrap().head.number, 2);
}
