//! Nobody changes the audit by mistake, and who serves cannot change it at all.

use access::Access;
use sqlx::{AssertSqlSafe, PgPool};

use crate::{record_three, support::database};

async fn code_of_error(pool: &PgPool, statement: &str) -> String {
    let error = sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(pool).await.unwrap_err();
    error.as_database_error().and_then(|error| error.code()).unwrap().into_owned()
}

#[tokio::test]
async fn the_owner_can_neither_update_nor_delete_nor_truncate() {
    let pool = database().await;
    let access = Access::new(pool.clone());
    record_three(&access).await;
    for statement in [
        "update audit set reason = 'another' where id = 1",
        "delete from audit where id = 1",
        "truncate audit",
        "update audit_chain set hash = sha256('')",
        "delete from audit_chain",
        "truncate audit_chain",
        "insert into audit (id, principal, kind, action, object) overriding system value
         values (1, 'p', 'user', 'a', 'o') on conflict (id) do update set reason = 'another'",
    ] {
        assert_eq!(code_of_error(&pool, statement).await, "42501", "{statement}");
    }
    assert_eq!(access.verify_audit(None).await.unwrap().head.number, 3);
}

#[tokio::test]
async fn a_temporary_table_does_not_take_the_place_of_the_chain() {
    let pool = database().await;
    let access = Access::new(pool.clone());
    let statement =
        "create temporary table audit_chain (number bigint, audit_id bigint, hash bytea);
        insert into audit (principal, kind, action, object) values ('p', 'user', 'cancel', 'o');
        set constraints all immediate;
        drop table pg_temp.audit_chain";
    sqlx::raw_sql(statement).execute(&pool).await.unwrap();
    assert_eq!(access.verify_audit(None).await.unwrap().head.number, 1);
}
