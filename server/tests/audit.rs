//! The audit by API, page, export and command, on the real program.
#![allow(clippy::unwrap_used)]

mod support;

use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use support::{Data, Program, Service, command, database};
use tokio::process::Command;

/// Onceward on a database, after a pause, its end, and a cancelled transaction.
async fn start() -> (Program, Service, String, String) {
    let (service, database) = (Service::start().await, database().await);
    let program = Program::start(service.command("serve", &database)).await;
    let reason = json!({"reason": "they restore a backup"});
    assert_eq!(program.post_json("/api/posting/pause", &reason).await.status(), 200);
    let id = program.submit_one(1).await;
    let cancelled = program.post_json(&format!("/api/transactions/{id}/cancel"), &json!({})).await;
    assert_eq!(cancelled.status(), 200);
    assert_eq!(program.post("/api/posting/resume").send().await.unwrap().status(), 200);
    (program, service, database, id)
}

fn field<'a>(page: &'a Value, name: &str) -> Vec<&'a str> {
    page["data"].as_array().unwrap().iter().map(|entry| entry[name].as_str().unwrap()).collect()
}

#[tokio::test]
async fn the_audit_is_listed_filtered_and_read_page_by_page() {
    let (program, _service, _, id) = start().await;
    let all = program.read("/api/audit").await;
    assert_eq!(field(&all, "action"), ["resume", "cancel", "pause"]);
    assert_eq!(all["nextCursor"], Value::Null);
    let cancel = &all["data"][1];
    assert_eq!(cancel["object"], format!("transaction:{id}"));
    assert_eq!((&cancel["principal"], &cancel["outcome"]), (&json!("anonymous"), &json!("done")));
    assert_eq!(cancel["before"], json!({"status": "pending"}));
    assert_eq!(cancel["after"], json!({"status": "cancelled"}));

    for (query, expected) in [
        ("action=pause".to_owned(), &["pause"][..]),
        (format!("object=transaction:{id}"), &["cancel"]),
        ("principal=anonymous&object=posting".to_owned(), &["resume", "pause"]),
        ("principal=nobody".to_owned(), &[]),
        ("to=2026-01-01T00:00:00Z".to_owned(), &[]),
    ] {
        let page = program.read(&format!("/api/audit?{query}")).await;
        assert_eq!(field(&page, "action"), expected, "{query}");
    }
    let first = program.read("/api/audit?limit=2").await;
    assert_eq!(field(&first, "action"), ["resume", "cancel"]);
    let cursor = first["nextCursor"].as_str().unwrap();
    let second = program.read(&format!("/api/audit?limit=2&cursor={cursor}")).await;
    assert_eq!(field(&second, "action"), ["pause"]);

    for (query, pointer) in [
        ("action=Cancel", "/action"),
        ("cursor=x", "/cursor"),
        ("limit=201", "/limit"),
        ("from=yesterday", "/from"),
        ("actor=ann", "/actor"),
    ] {
        let refused = program.get(&format!("/api/audit?{query}")).send().await.unwrap();
        assert_eq!(refused.status(), 422, "{query}");
        let problem: Value = refused.json().await.unwrap();
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{query}");
    }
}

#[tokio::test]
async fn the_audit_is_exported_and_each_export_is_in_it() {
    let (program, _service, _, id) = start().await;
    let csv = program.read_text("/api/audit/export?format=csv&object=posting").await;
    let lines: Vec<_> = csv.lines().collect();
    assert!(lines[0].starts_with("id,at,principal,kind,"), "{csv}");
    assert_eq!(lines.len(), 3, "{csv}");
    let file = "/api/transactions/export?format=ndjson&status=cancelled";
    assert!(program.read_text(file).await.contains(&id));
    let ndjson = program.read_text("/api/audit/export?format=ndjson").await;
    let entries: Vec<Value> =
        ndjson.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let exports: Vec<_> = entries.iter().filter(|entry| entry["action"] == "export").collect();
    let objects: Vec<_> = exports.iter().map(|entry| entry["object"].as_str().unwrap()).collect();
    assert_eq!(objects, ["audit", "transactions", "audit"]);
    assert_eq!(exports[1]["after"]["filter"]["status"], "cancelled");
    assert_eq!(entries.len(), 6);
}

#[tokio::test]
async fn the_page_shows_the_audit_without_script() {
    let (program, _service, _, id) = start().await;
    let answer = async |path: &str| {
        let page = program.get(path).header("accept", "text/html").send().await.unwrap();
        (page.status().as_u16(), page.text().await.unwrap())
    };
    let html = async |path: &str| {
        let (status, page) = answer(path).await;
        assert_eq!(status, 200, "{path}");
        page
    };
    let page = html(&format!("/audit?object=transaction%3A{id}")).await;
    assert!(page.contains(&format!("/transactions/{id}")), "{page}");
    assert!(!page.contains("they restore a backup"), "{page}");
    assert!(html("/audit").await.contains("they restore a backup"));
    let (status, wrong) = answer("/audit?from=yesterday").await;
    assert_eq!(status, 422);
    assert!(wrong.contains("must be a date and time"), "{wrong}");
    assert!(!html("/audit").await.contains("<script"));
}

async fn verify(database: &str, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command: Command = command(&[&["audit", "verify"], arguments].concat());
    let output = command.env("DATABASE_URL", database).output().await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[tokio::test]
async fn the_command_verifies_the_chain_and_its_exit_code_says_whether_it_is_broken() {
    let (_program, _service, database, _) = start().await;
    let (code, printed, _) = verify(&database, &[]).await;
    assert_eq!(code, Some(0));
    let head = printed.trim_end().strip_prefix("3 entries, head 3:").unwrap();
    assert_eq!(head.len(), 64, "{printed}");
    let head = format!("3:{head}");
    assert_eq!(verify(&database, &["--head", &head]).await.0, Some(0));
    assert_eq!(verify(&database, &["--head", "nonsense"]).await.0, Some(2));

    let mut superuser = PgConnection::connect(&database).await.unwrap();
    let cut = "set session_replication_role = replica;
        delete from audit_chain where number = 3; delete from audit where id = (select max(id) from audit)";
    sqlx::raw_sql(cut).execute(&mut superuser).await.unwrap();
    assert_eq!(verify(&database, &[]).await.0, Some(0));
    let (code, printed, error) = verify(&database, &["--head", &head]).await;
    assert_eq!((code, &*printed), (Some(1), ""));
    assert!(error.contains("the audit is broken: the chain ends with link 2"), "{error}");

    let change = "update audit set principal = 'bob' where action = 'pause'";
    sqlx::raw_sql(change).execute(&mut superuser).await.unwrap();
    let (code, _, error) = verify(&database, &[]).await;
    assert_eq!(code, Some(1));
    assert!(error.contains("link 1 of the chain does not fit entry"), "{error}");

    let unreachable = "postgres://127.0.0.1:9/none";
    assert_eq!(verify(unreachable, &[]).await.0, Some(2));
}

/// By default Onceward runs its own PostgreSQL, as whose superuser it would be free to change everything.
#[tokio::test]
async fn on_its_own_postgresql_it_serves_as_a_role_that_can_only_add_to_the_audit() {
    let data = Data::new();
    let mut command = command(&["serve"]);
    command.env("ONCEWARD_DATA", data.path());
    let program = Program::start(command).await;
    let id = program.submit_one(1).await;
    program.wait_for(&id, "completed").await;
    assert_eq!(program.post("/cleanup").send().await.unwrap().status(), 200);
    assert_eq!(field(&program.read("/api/audit").await, "action"), ["cleanup"]);
    assert!(program.read_text("/metrics").await.contains("onceward_database_oldest_transaction"));

    let socket = data.path().join("postgres/socket");
    let url = |user: &str| {
        format!("postgres:///onceward?host={}&port=5432&user={user}", socket.display())
    };
    let mut owner = PgConnection::connect(&url("onceward")).await.unwrap();
    let roles: Vec<String> = sqlx::query_scalar(
        "select distinct usename::text from pg_stat_activity where application_name = 'onceward'",
    )
    .fetch_all(&mut owner)
    .await
    .unwrap();
    assert_eq!(roles, ["onceward_serving"]);
    let mut serving = PgConnection::connect(&url("onceward_serving")).await.unwrap();
    for statement in [
        "update audit set reason = null",
        "delete from audit",
        "truncate audit",
        "alter table audit disable trigger all",
        "insert into audit_chain values (9, 9, sha256(''))",
        "delete from audit_chain",
    ] {
        let error = sqlx::raw_sql(statement).execute(&mut serving).await.unwrap_err();
        let error = error.as_database_error().unwrap();
        assert_eq!(error.code().as_deref(), Some("42501"), "{statement}");
        assert!(!error.message().contains("append-only"), "by its rights: {statement}");
    }
}
