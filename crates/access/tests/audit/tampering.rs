//! A superuser who switches the triggers off can change everything; the chain shows it.

use access::{Access, AuditBreak, AuditHead, VerifyError};
use sqlx::{AssertSqlSafe, PgPool};

use crate::{record_three, support::database};

/// An audit with three entries, changed by a statement, and its head before that.
async fn tampered(statement: &str) -> (Access, AuditHead) {
    let pool: PgPool = database().await;
    let access = Access::new(pool.clone());
    record_three(&access).await;
    let noted = access.verify_audit(None).await.unwrap().head;
    let statement = format!(
        "set session_replication_role = replica; {statement}; reset session_replication_role"
    );
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(&pool).await.unwrap();
    (access, noted)
}

async fn found(access: &Access, noted: Option<AuditHead>) -> Option<AuditBreak> {
    match access.verify_audit(noted).await {
        Ok(_) => None,
        Err(VerifyError::Broken(found)) => Some(found),
        Err(VerifyError::Database(error)) => panic!("{error}"),
    }
}

#[tokio::test]
async fn a_changed_value_is_found_in_every_column() {
    let changes = [
        "at = at + interval '1 microsecond'",
        "principal = 'bob'",
        "kind = 'client'",
        "credential = null",
        "address = '192.0.2.8'",
        "request_id = 'request-2'",
        "action = 'create'",
        "object = 'client:shops'",
        "outcome = 'refused'",
        "before = '{\"role\": \"admin\"}'",
        // The same to a reader, but another text.
        "before = '{ \"role\":\"viewer\"}'",
        "after = null",
        "reason = ''",
        "part_of = ''",
        // The same characters, in other columns.
        "credential = 'session:7192.0.2.7', address = null",
    ];
    for change in changes {
        let (access, _) = tampered(&format!("update audit set {change} where id = 1")).await;
        let expected = AuditBreak::Differs { number: 1, id: 1 };
        assert_eq!(found(&access, None).await, Some(expected), "{change}");
    }
}

#[tokio::test]
async fn a_row_that_was_removed_swapped_or_put_in_is_found() {
    let swap = |table: &str, key: &str| {
        format!(
            "update {table} set {key} = {key} + 100 where {key} in (1, 2);
             update {table} set {key} = 103 - {key} where {key} in (101, 102)"
        )
    };
    for (statement, expected) in [
        (
            "delete from audit where id = 2".to_owned(),
            AuditBreak::EntryMissing { number: 2, id: 2 },
        ),
        ("delete from audit_chain where number = 2".to_owned(), AuditBreak::LinkMissing(2)),
        (
            "delete from audit where id = 2; delete from audit_chain where number = 2".to_owned(),
            AuditBreak::LinkMissing(2),
        ),
        (
            "delete from audit where id = 2; delete from audit_chain where number = 2;
             update audit_chain set number = 2 where number = 3"
                .to_owned(),
            AuditBreak::Differs { number: 2, id: 3 },
        ),
        (swap("audit", "id"), AuditBreak::Differs { number: 1, id: 1 }),
        (swap("audit_chain", "number"), AuditBreak::Differs { number: 1, id: 2 }),
        (
            "insert into audit (id, principal, kind, action, object)
             values (4, 'bob', 'user', 'cancel', 'o')"
                .to_owned(),
            AuditBreak::NotInChain(4),
        ),
        (
            "update audit_chain set hash = sha256('') where number = 3".to_owned(),
            AuditBreak::Differs { number: 3, id: 3 },
        ),
    ] {
        // So that an id can be changed.
        let statement = format!("alter table audit alter column id drop identity; {statement}");
        let (access, _) = tampered(&statement).await;
        assert_eq!(found(&access, None).await, Some(expected), "{statement}");
    }
}

#[tokio::test]
async fn an_end_that_was_removed_is_found_by_the_head_that_was_noted() {
    let cut = "delete from audit where id = 3; delete from audit_chain where number = 3";
    let (access, noted) = tampered(cut).await;
    assert_eq!(found(&access, None).await, None);
    assert_eq!(found(&access, Some(noted)).await, Some(AuditBreak::EndMissing(2)));
    // Nor can others take its place.
    record_three(&access).await;
    assert_eq!(found(&access, None).await, None);
    assert_eq!(found(&access, Some(noted)).await, Some(AuditBreak::OtherHead(3)));
}
