//! A database that another program uses, in which Onceward has a schema of its own.

use nix::sys::signal::Signal;
use sqlx::{Connection, PgConnection};

use crate::support::{Program, Service, command, database, run_to_end};

/// A program that has tables of the same names, and migrates with sqlx, too.
const ANOTHER_PROGRAM: &str = "
    create table transactions (id bigint primary key, note text);
    insert into transactions values (1, 'theirs');
    create table workers (name text);
    create table transaction_totals (n int);
    create table _sqlx_migrations (
        version bigint primary key, description text not null, installed_on timestamptz not null default now(),
        success boolean not null, checksum bytea not null, execution_time bigint not null
    );
    insert into _sqlx_migrations values (1, 'theirs', now(), true, '', 0)";

/// Everything in the schema `public` that is a table or a function, and is not of an extension.
async fn in_public(connection: &mut PgConnection) -> Vec<String> {
    let names = "
        select relname::text from pg_class where relnamespace = 'public'::regnamespace
        union all
        select p.proname::text from pg_proc p
        where pronamespace = 'public'::regnamespace
            and not exists (select from pg_depend d where d.objid = p.oid and d.deptype = 'e')
        order by 1";
    sqlx::query_scalar(names).fetch_all(connection).await.unwrap()
}

#[tokio::test]
async fn in_a_schema_of_its_own_it_leaves_the_tables_of_another_program_alone() {
    let url = database().await;
    let mut other = PgConnection::connect(&url).await.unwrap();
    sqlx::raw_sql(ANOTHER_PROGRAM).execute(&mut other).await.unwrap();
    let before = in_public(&mut other).await;
    let service = Service::start().await;

    // Without the setting it does not start, and says what to do.
    let (ok, error) = run_to_end(service.command("web", &url)).await;
    assert!(!ok && error.contains("a schema of its own (ONCEWARD_SCHEMA)"), "{error}");

    let mut migrate = command(&["migrate"]);
    migrate.env("DATABASE_URL", &url).env("ONCEWARD_SCHEMA", "onceward");
    let (ok, error) = run_to_end(migrate).await;
    assert!(ok, "{error}");
    let start = async |role: &str| {
        let mut command = service.command(role, &url);
        command.env("ONCEWARD_SCHEMA", "onceward");
        Program::start(command).await
    };
    let (web, worker) = (start("web").await, start("worker").await);
    let id = web.submit_one(1).await;
    web.wait_for(&id, "completed").await;
    web.healthy().await;
    let metrics = web.read_text("/metrics").await;
    assert!(metrics.contains(r#"onceward_table_live_tuples{table="transactions"}"#), "{metrics}");
    let filter = serde_json::json!({"filter": {}, "reason": "a test"});
    assert_eq!(web.post_json("/api/bulk-retries", &filter).await.status(), 202);
    assert_eq!(web.post("/api/posting/pause").send().await.unwrap().status(), 200);

    // In the session of an operator the counts go on.
    let deleted =
        "delete from onceward.transactions; select sum(added) from onceward.transaction_counts";
    sqlx::raw_sql(deleted).execute(&mut other).await.unwrap();
    for program in [worker, web] {
        assert!(program.end(Signal::SIGTERM).await.success());
    }
    assert_eq!(in_public(&mut other).await, before);
    let theirs: Vec<(i64, String)> =
        sqlx::query_as("select * from transactions").fetch_all(&mut other).await.unwrap();
    assert_eq!(theirs, [(1, "theirs".to_owned())]);
}

#[tokio::test]
async fn a_second_onceward_in_the_same_database_is_refused() {
    let url = database().await;
    for (schema, taken) in [("one", None), ("two", Some("one")), ("one", None)] {
        let mut migrate = command(&["migrate"]);
        migrate.env("DATABASE_URL", &url).env("ONCEWARD_SCHEMA", schema);
        let (ok, error) = run_to_end(migrate).await;
        assert_eq!(ok, taken.is_none(), "{error}");
        if let Some(taken) = taken {
            assert!(error.contains(&format!("has its tables in the schema {taken}")), "{error}");
        }
    }
    let mut migrate = command(&["migrate"]);
    migrate.env("DATABASE_URL", &url);
    let (ok, error) = run_to_end(migrate).await;
    assert!(!ok && error.contains("another Onceward"), "{error}");
}
