//! A database that is not fit, breaks during its migration, or belongs to another role.

use nix::sys::signal::Signal;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::support::{Program, Service, command, database, run_to_end};

async fn execute(connection: &mut PgConnection, statement: impl Into<String>) {
    sqlx::raw_sql(AssertSqlSafe(statement.into())).execute(connection).await.unwrap();
}

/// The name of the database in a URL.
fn name_of(url: &str) -> &str {
    url.split_once('?').unwrap().0.rsplit('/').next().unwrap()
}

#[tokio::test]
async fn a_connection_that_is_lost_during_the_migrations_is_made_again() {
    let url = database().await;
    let mut blocker = PgConnection::connect(&url).await.unwrap();
    let mut observer = PgConnection::connect(&url).await.unwrap();
    // The migrations wait for this.
    execute(&mut blocker, "begin; create schema apalis").await;
    let mut web = command(&["web"]);
    web.env("DATABASE_URL", &url);
    let program = Program::start_listening(web).await;
    let ended = "select count(pg_terminate_backend(pid)) from pg_stat_activity
        where datname = current_database() and application_name = 'onceward' and wait_event_type = 'Lock'";
    loop {
        let ended: i64 = sqlx::query_scalar(ended).fetch_one(&mut observer).await.unwrap();
        if ended > 0 {
            break;
        }
    }
    execute(&mut blocker, "rollback").await;
    program.ready().await;
    assert!(program.end(Signal::SIGTERM).await.success());
}

#[tokio::test]
async fn a_database_that_is_not_utf8_is_refused_before_anything_is_written() {
    let url = database().await;
    let name = format!("{}_ascii", name_of(&url));
    let mut connection = PgConnection::connect(&url).await.unwrap();
    let create = format!("create database {name} encoding 'SQL_ASCII' template template0");
    execute(&mut connection, create).await;
    let url = url.replace(name_of(&url), &name);
    let mut web = command(&["web"]);
    web.env("DATABASE_URL", &url);
    let (ok, error) = run_to_end(web).await;
    assert!(!ok && error.contains("the database's encoding is SQL_ASCII"), "{error}");
    let mut connection = PgConnection::connect(&url).await.unwrap();
    let tables: i64 = sqlx::query_scalar(
        "select count(*) from pg_tables where schemaname in ('public', 'apalis')",
    )
    .fetch_one(&mut connection)
    .await
    .unwrap();
    assert_eq!(tables, 0);
}

#[tokio::test]
async fn the_serving_role_runs_web_and_worker_on_what_the_owner_migrated() {
    let url = database().await;
    let role = format!("{}_app", name_of(&url));
    let mut owner = PgConnection::connect(&url).await.unwrap();
    execute(&mut owner, format!("create role {role} login")).await;
    let app_url = url.replace("user=postgres", &format!("user={role}"));
    let service = Service::start().await;

    let (ok, error) = run_to_end(service.command("web", &app_url)).await;
    assert!(!ok && error.contains("run `onceward migrate` as the owner"), "{error}");
    for _ in 0..2 {
        let mut migrate = command(&["migrate"]);
        let (ok, error) = {
            migrate.env("DATABASE_URL", &url).env("ONCEWARD_SERVING_ROLE", &role);
            run_to_end(migrate).await
        };
        assert!(ok, "{error}");
    }
    let mut migrate = command(&["migrate", "--serving-role", "postgres"]);
    migrate.env("DATABASE_URL", &url);
    let (ok, error) = run_to_end(migrate).await;
    assert!(!ok && error.contains("postgres has the rights of the owner"), "{error}");

    let web = Program::start(service.command("web", &app_url)).await;
    let worker = Program::start(service.command("worker", &app_url)).await;
    let id = web.submit_one(1).await;
    web.wait_for(&id, "completed").await;
    service.faults(serde_json::json!({"refusalRate": 1})).await;
    let refused = web.submit_one(2).await;
    web.wait_for(&refused, "failed").await;
    service.faults(serde_json::json!({"refusalRate": 0})).await;
    let filter = serde_json::json!({"filter": {"status": "failed"}, "reason": "a test"});
    assert_eq!(web.post_json("/api/bulk-retries", &filter).await.status(), 202);
    let pause = serde_json::json!({"reason": "a test"});
    assert_eq!(web.post_json("/api/posting/pause", &pause).await.status(), 200);
    assert_eq!(web.post("/api/posting/resume").send().await.unwrap().status(), 200);
    web.healthy().await;
    assert!(web.read_text("/metrics").await.contains("onceward_database_size_bytes"));
    let mut app = PgConnection::connect(&app_url).await.unwrap();
    let change = sqlx::query("update audit set reason = null").execute(&mut app).await.unwrap_err();
    assert!(change.to_string().contains("permission denied for table audit"), "{change}");
    let actions: Vec<String> = sqlx::query_scalar("select distinct action from audit order by 1")
        .fetch_all(&mut app)
        .await
        .unwrap();
    assert_eq!(actions, ["bulk_retry", "pause", "resume", "retry"]);
    app.close().await.unwrap();
    for program in [worker, web] {
        assert!(program.end(Signal::SIGTERM).await.success());
    }
    execute(&mut owner, format!("drop owned by {role}; drop role {role}")).await;
}
