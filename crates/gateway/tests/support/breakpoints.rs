//! Stops a session of PostgreSQL in the middle of a statement, or makes it fail there.
//!
//! Triggers on every table that the engine writes check whether their session is to stop at this
//! point. A session that is to stop waits for an advisory lock that the test holds: before the
//! statement has taken any lock, with its row locked, or with everything done and not yet
//! committed.
#![allow(dead_code)]

use std::{sync::Arc, time::Duration};

use sqlx::{
    AssertSqlSafe, PgConnection, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::sync::Mutex;

/// A point in a statement: when and at what level the trigger fires, and the table.
pub type Point = &'static str;

const SCHEMA: &str = "
    create schema breakpoints;
    create table breakpoints.points (session text, point text, action text, nth bigint, primary key (session, point));
    create sequence breakpoints.hits;
    create function breakpoints.act() returns trigger language plpgsql as $$
    declare
        armed record;
    begin
        select * into armed from breakpoints.points
        where session = current_setting('application_name')
            and point = lower(concat_ws(' ', tg_when, tg_level, tg_table_name));
        -- A sequence keeps its count when the session is rolled back.
        if armed.action = 'stop' then
            perform pg_advisory_xact_lock_shared(hashtext(armed.session));
        elsif armed.action is not null and nextval('breakpoints.hits') = armed.nth then
            if armed.action = 'terminate' then
                perform pg_terminate_backend(pg_backend_pid());
            else
                raise exception 'failure injected by the test';
            end if;
        end if;
        if tg_op = 'DELETE' then return old; end if;
        return new;
    end $$;
";
const TABLES: [&str; 6] =
    ["transactions", "attempts", "audit", "posting_pause", "bulk_retries", "apalis.jobs"];

const TIMEOUT: Duration = Duration::from_secs(30);

/// Waits for something that has to come, and fails with `what` if it does not.
pub async fn bounded<T>(what: &str, waiting: impl Future<Output = T>) -> T {
    match tokio::time::timeout(TIMEOUT, waiting).await {
        Ok(value) => value,
        Err(_) => panic!("timed out after half a minute: {what}"),
    }
}

/// Connections with an acquire timeout that a busy machine meets.
pub fn pool(options: PgConnectOptions, max: u32) -> PgPool {
    PgPoolOptions::new().max_connections(max).acquire_timeout(TIMEOUT).connect_lazy_with(options)
}

/// A database in which sessions can be stopped.
pub struct Breakpoints {
    /// The test's own sessions, which are never stopped.
    pub pool: PgPool,
    /// Holds the locks that stopped sessions wait for.
    lock_holder: Arc<Mutex<PgConnection>>,
}

/// How a session fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The statement raises an error.
    Raise,
    /// PostgreSQL ends the session.
    Terminate,
}

impl Breakpoints {
    /// Installs the triggers in the database of this pool.
    pub async fn new(database: PgPool) -> Self {
        let options = (*database.connect_options()).clone();
        let pool = pool(options, 8);
        sqlx::raw_sql(SCHEMA).execute(&pool).await.unwrap();
        for table in TABLES {
            for (when, level) in [
                ("before", "statement"),
                ("before", "row"),
                ("after", "row"),
                ("after", "statement"),
            ] {
                let text = format!(
                    "create trigger zz_{when}_{level} {when} insert or update or delete on {table}
                     for each {level} execute function breakpoints.act()"
                );
                sqlx::query(AssertSqlSafe(text)).execute(&pool).await.unwrap();
            }
        }
        let lock_holder = Arc::new(Mutex::new(pool.acquire().await.unwrap().detach()));
        Self { pool, lock_holder }
    }

    /// Connections to the same database, under this session name.
    pub fn connections(&self, session: &str, max: u32) -> PgPool {
        let options: PgConnectOptions = (*self.pool.connect_options()).clone();
        pool(options.application_name(session), max)
    }

    /// Stops the session when it reaches this point.
    pub async fn set(&self, session: &'static str, point: Point) -> Breakpoint {
        sqlx::query("select pg_advisory_lock(hashtext($1))")
            .bind(session)
            .execute(&mut *self.lock_holder.lock().await)
            .await
            .unwrap();
        self.arm(session, point, "stop", 0).await;
        Breakpoint { pool: self.pool.clone(), session, lock_holder: self.lock_holder.clone() }
    }

    /// Makes the session fail when it reaches this point for the `nth` time, and only then.
    pub async fn fail(&self, session: &str, point: Point, nth: i64, failure: Failure) {
        sqlx::query("select setval('breakpoints.hits', 1, false)")
            .execute(&self.pool)
            .await
            .unwrap();
        let action = if failure == Failure::Raise { "raise" } else { "terminate" };
        self.arm(session, point, action, nth).await;
    }

    /// Whether the session has reached the point at which it was to fail.
    pub async fn has_failed(&self, session: &str) -> bool {
        sqlx::query_scalar(
            "select coalesce(max(nth) <= (select last_value from breakpoints.hits where is_called), false)
             from breakpoints.points where session = $1",
        )
        .bind(session)
        .fetch_one(&self.pool)
        .await
        .unwrap()
    }

    /// Removes all breakpoints of the session.
    pub async fn disarm(&self, session: &str) {
        disarm(&self.pool, session).await;
    }

    async fn arm(&self, session: &str, point: Point, action: &str, nth: i64) {
        sqlx::query(
            "insert into breakpoints.points (session, point, action, nth) values ($1, $2, $3, $4)",
        )
        .bind(session)
        .bind(point)
        .bind(action)
        .bind(nth)
        .execute(&self.pool)
        .await
        .unwrap();
    }

    /// Waits until the sessions of this name are idle.
    pub async fn idle(&self, session: &str) {
        wait_for(
            &self.pool,
            "select not exists (
                select from pg_stat_activity
                where datname = current_database() and application_name = $1
                    and state is distinct from 'idle'
             )",
            session,
        )
        .await;
    }

    /// Waits until one session of this name waits for another session of this name.
    pub async fn blocked_by_another(&self, session: &str) {
        wait_for(
            &self.pool,
            "select exists (
                select from pg_stat_activity waiting
                join pg_stat_activity held on held.pid = any (pg_blocking_pids(waiting.pid))
                where waiting.datname = current_database()
                    and waiting.application_name = $1 and held.application_name = $1
             )",
            session,
        )
        .await;
    }

    /// Waits until the session waits for a lock.
    pub async fn blocked(&self, session: &str) {
        wait_for(
            &self.pool,
            "select exists (
                select from pg_stat_activity
                where datname = current_database() and application_name = $1
                    and cardinality(pg_blocking_pids(pid)) > 0
             )",
            session,
        )
        .await;
    }
}

/// A point at which a session stops.
pub struct Breakpoint {
    pool: PgPool,
    session: &'static str,
    lock_holder: Arc<Mutex<PgConnection>>,
}

impl Breakpoint {
    /// Waits until the session has stopped.
    pub async fn reached(&self) {
        wait_for(
            &self.pool,
            "select exists (
                select from pg_stat_activity
                where datname = current_database() and application_name = $1
                    and wait_event_type = 'Lock' and wait_event = 'advisory'
             )",
            self.session,
        )
        .await;
    }

    /// Lets the session continue.
    pub async fn release(self) {
        disarm(&self.pool, self.session).await;
        self.unlock().await;
    }

    /// Cancels the session's statement, which rolls it back.
    pub async fn roll_back(self) {
        self.end_by("pg_cancel_backend(pid)").await;
    }

    /// Ends the session: its statement is rolled back and its connection is lost.
    pub async fn terminate(self) {
        self.end_by("pg_terminate_backend(pid, 10000)").await;
    }

    async fn end_by(self, function: &str) {
        disarm(&self.pool, self.session).await;
        let text = format!(
            "select {function} from pg_stat_activity
             where datname = current_database() and application_name = $1 and wait_event = 'advisory'"
        );
        let query = sqlx::query(AssertSqlSafe(text)).bind(self.session);
        query.execute(&self.pool).await.unwrap();
        self.unlock().await;
    }

    async fn unlock(self) {
        sqlx::query("select pg_advisory_unlock(hashtext($1))")
            .bind(self.session)
            .execute(&mut *self.lock_holder.lock().await)
            .await
            .unwrap();
    }
}

async fn disarm(pool: &PgPool, session: &str) {
    sqlx::query("delete from breakpoints.points where session = $1")
        .bind(session)
        .execute(pool)
        .await
        .unwrap();
}

async fn wait_for(pool: &PgPool, condition: &'static str, session: &str) {
    let met = async {
        loop {
            let met: bool =
                sqlx::query_scalar(condition).bind(session).fetch_one(pool).await.unwrap();
            if met {
                return;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    bounded(&format!("{session} reaches its state"), met).await;
}
