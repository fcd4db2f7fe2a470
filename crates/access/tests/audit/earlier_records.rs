//! What was recorded before there was an audit.

use access::{Access, AuditFilter};
use gateway::database::for_clients;

use crate::support::database;

const INTERVENTIONS: &str = include_str!("../../../../migrations/20261121000005_interventions.sql");
const AUDIT: &str = include_str!("../../../../migrations/20261127012002_audit.sql");

/// Some of the tables as they were, with a pause, and a bulk retry of one transaction.
const EARLIER: &str = "
    create schema earlier;
    set search_path to earlier, public;
    create table transactions (id uuid primary key, doubt_since timestamptz);
    create table workers (id uuid);
";
const RECORDS: &str = r#"
    insert into transactions values ('7c9e6679-7425-40de-944b-e07fc1f90ae7');
    insert into bulk_retries (id, principal, reason, filter, requested_at)
    values ('0199e2a4-5f7c-7cc3-9d3c-2f1a55b0a6f1', 'anonymous', 'it is back', '{"status": "failed"}', '2026-01-02');
    insert into interventions (at, principal, action, transaction_id, from_state, to_state, reason, bulk_retry_id)
    values
        ('2026-01-01', 'anonymous', 'pause', null, null, null, 'they move', null),
        ('2026-01-03', 'anonymous', 'retry', '7c9e6679-7425-40de-944b-e07fc1f90ae7', 'failed', 'pending', 'it is back',
            '0199e2a4-5f7c-7cc3-9d3c-2f1a55b0a6f1');
"#;

#[tokio::test]
async fn earlier_interventions_become_part_of_the_audit_and_its_chain() {
    let pool = database().await;
    let mut connection = pool.acquire().await.unwrap();
    for statements in [EARLIER, INTERVENTIONS, RECORDS, AUDIT, "delete from transactions"] {
        sqlx::raw_sql(statements).execute(&mut *connection).await.unwrap();
    }
    let schema = "earlier".parse().unwrap();
    let access = Access::new(for_clients(&pool, Some(&schema)));
    let audit = access.audit(&AuditFilter::default(), None, 50).await.unwrap().data;
    let bulk = "bulk_retry:0199e2a4-5f7c-7cc3-9d3c-2f1a55b0a6f1";
    let found: Vec<_> = audit.iter().map(|entry| (&*entry.action, &*entry.object)).collect();
    let transaction = "transaction:7c9e6679-7425-40de-944b-e07fc1f90ae7";
    assert_eq!(found, [("retry", transaction), ("bulk_retry", bulk), ("pause", "posting")]);
    let [retry, request, pause] = &audit[..] else { panic!("{audit:?}") };
    assert_eq!(retry.before.as_ref().unwrap()["status"], "failed");
    assert_eq!(retry.after.as_ref().unwrap()["status"], "pending");
    assert_eq!(retry.part_of.as_deref(), Some(bulk));
    assert_eq!(request.after.as_ref().unwrap()["filter"]["status"], "failed");
    assert_eq!(pause.at.to_rfc3339(), "2026-01-01T00:00:00+00:00");
    assert_eq!((&*pause.kind, pause.reason.as_deref()), ("anonymous", Some("they move")));
    assert_eq!(access.verify_audit(None).await.unwrap().head.number, 3);
}
