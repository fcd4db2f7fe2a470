//! A database for each test.
#![allow(dead_code, clippy::unwrap_used)]

use std::sync::atomic::{AtomicU32, Ordering};

use gateway::database::{self, WORKER_ACQUIRE_TIMEOUT};
use sqlx::PgPool;

fn server_url() -> String {
    std::env::var("ONCEWARD_TEST_DATABASE_URL")
        .expect("ONCEWARD_TEST_DATABASE_URL must name a PostgreSQL: run `make test`")
}

fn url_of(database: &str) -> String {
    let url = server_url();
    let (start, query) = url.split_once('?').map_or((url.as_str(), ""), |(a, b)| (a, b));
    let (server, _) = start.rsplit_once('/').unwrap();
    format!("{server}/{database}?{query}")
}

/// An empty migrated database for one test, copied from a template that is migrated once per test
/// program.
pub async fn database() -> PgPool {
    static MIGRATED: tokio::sync::Mutex<bool> = tokio::sync::Mutex::const_new(false);
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let server = database::pool(&server_url(), None, 2, WORKER_ACQUIRE_TIMEOUT).unwrap();
    let template = format!("access_template_{}", std::process::id());
    // Copying needs exclusive access to the template.
    let mut migrated = MIGRATED.lock().await;
    if !*migrated {
        run_sql(&server, &format!("create database {template}")).await;
        let pool = database::pool(&url_of(&template), None, 2, WORKER_ACQUIRE_TIMEOUT).unwrap();
        database::migrate(&pool).await.unwrap();
        pool.close().await;
        *migrated = true;
    }
    let name = format!("access_{}_{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
    run_sql(&server, &format!("create database {name} template {template}")).await;
    server.close().await;
    database::pool(&url_of(&name), None, 10, WORKER_ACQUIRE_TIMEOUT).unwrap()
}

async fn run_sql(pool: &PgPool, statement: &str) {
    sqlx::query(sqlx::AssertSqlSafe(statement.to_owned())).execute(pool).await.unwrap();
}
