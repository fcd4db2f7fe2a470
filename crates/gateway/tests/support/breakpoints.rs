//! Stops a session of PostgreSQL in the middle of a statement, or makes it fail there.
//!
//! Triggers on every table that the engine writes look up whether their session is to stop where they
//! stand. It then waits for an advisory lock that the test holds: before the statement has taken any
//! lock, with its row locked, with everything done and not yet committed.
#![allow(dead_code)]

use std::{sync::Arc, time::Duration};

use sqlx::{
    AssertSqlSafe, PgConnection, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::sync::Mutex;

/// Where a statement stands: when and on what level the trigger fires, and the table.
pub type Point = &'static str;

const SCHEMA: &str = "
    create schema stage;
    create table stage.points (session text, point text, action text, nth bigint, primary key (session, point));
    create sequence stage.hits;
    create function stage.act() returns trigger language plpgsql as $$
    declare
        armed record;
    begin
        select * into armed from stage.points
        where session = current_setting('application_name')
            and point = lower(concat_ws(' ', tg_when, tg_level, tg_table_name));
        -- A sequence counts on where the session is rolled back.
        if armed.action = 'stop' then
            perform pg_advisory_xact_lock_shared(hashtext(armed.session));
        elsif armed.action is not null and nextval('stage.hits') = armed.nth then
            if armed.action = 'terminate' then
                perform pg_terminate_backend(pg_backend_pid());
            else
                raise exception 'as the test wants it';
            end if;
        end if;
        if tg_op = 'DELETE' then return old; end if;
        return new;
    end $$;
";
const TABLES: [&str; 6] =
    ["transactions", "attempts", "interventions", "posting_pause", "bulk_retries", "apalis.jobs"];

const PATIENCE: Duration = Duration::from_secs(30);

/// Waits for something that has to come, and says what did not.
pub async fn bounded<T>(what: &str, waiting: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, waiting).await {
        Ok(value) => value,
        Err(_) => panic!("it did not come in half a minute: {what}"),
    }
}

/// Connections that are waited for on a machine that is busy too.
pub fn patient(options: PgConnectOptions, most: u32) -> PgPool {
    PgPoolOptions::new().max_connections(most).acquire_timeout(PATIENCE).connect_lazy_with(options)
}

/// A database in which sessions can be stopped.
pub struct Stage {
    /// The test's own sessions, which are never stopped.
    pub pool: PgPool,
    /// Holds the locks that they wait for.
    keeper: Arc<Mutex<PgConnection>>,
}

/// What makes a session fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The statement raises an error.
    Raise,
    /// PostgreSQL ends the session.
    Terminate,
}

impl Stage {
    /// On the database of this pool.
    pub async fn new(database: PgPool) -> Self {
        let options = (*database.connect_options()).clone();
        let pool = patient(options, 8);
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
                     for each {level} execute function stage.act()"
                );
                sqlx::query(AssertSqlSafe(text)).execute(&pool).await.unwrap();
            }
        }
        let keeper = Arc::new(Mutex::new(pool.acquire().await.unwrap().detach()));
        Self { pool, keeper }
    }

    /// Connections of a session of this name, to the database of the stage.
    pub fn connections(&self, session: &str, most: u32) -> PgPool {
        let options: PgConnectOptions = (*self.pool.connect_options()).clone();
        patient(options.application_name(session), most)
    }

    /// The session will stop where it comes to this point.
    pub async fn stop(&self, session: &'static str, point: Point) -> Stop {
        sqlx::query("select pg_advisory_lock(hashtext($1))")
            .bind(session)
            .execute(&mut *self.keeper.lock().await)
            .await
            .unwrap();
        self.arm(session, point, "stop", 0).await;
        Stop { pool: self.pool.clone(), session, keeper: self.keeper.clone() }
    }

    /// The session will fail when it comes to this point for the `nth` time, and only then.
    pub async fn fail(&self, session: &str, point: Point, nth: i64, failure: Failure) {
        sqlx::query("select setval('stage.hits', 1, false)").execute(&self.pool).await.unwrap();
        let action = if failure == Failure::Raise { "raise" } else { "terminate" };
        self.arm(session, point, action, nth).await;
    }

    /// Whether the session has come to the point at which it was to fail.
    pub async fn has_failed(&self, session: &str) -> bool {
        sqlx::query_scalar(
            "select coalesce(max(nth) <= (select last_value from stage.hits where is_called), false)
             from stage.points where session = $1",
        )
        .bind(session)
        .fetch_one(&self.pool)
        .await
        .unwrap()
    }

    /// The session is left alone from now on.
    pub async fn disarm(&self, session: &str) {
        disarm(&self.pool, session).await;
    }

    async fn arm(&self, session: &str, point: Point, action: &str, nth: i64) {
        sqlx::query(
            "insert into stage.points (session, point, action, nth) values ($1, $2, $3, $4)",
        )
        .bind(session)
        .bind(point)
        .bind(action)
        .bind(nth)
        .execute(&self.pool)
        .await
        .unwrap();
    }

    /// Waits until the sessions of this name have nothing under way.
    pub async fn quiet(&self, session: &str) {
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

    /// Waits until one session of this name waits for another one of it.
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

/// A session that is to stop.
pub struct Stop {
    pool: PgPool,
    session: &'static str,
    keeper: Arc<Mutex<PgConnection>>,
}

impl Stop {
    /// Waits until the session stands at its point.
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

    /// Lets the session go on.
    pub async fn release(self) {
        disarm(&self.pool, self.session).await;
        self.unlock().await;
    }

    /// Cancels what the session is about: it is rolled back.
    pub async fn roll_back(self) {
        self.end_by("pg_cancel_backend(pid)").await;
    }

    /// Ends the session: what it is about is rolled back, and its connection is lost.
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
            .execute(&mut *self.keeper.lock().await)
            .await
            .unwrap();
    }
}

async fn disarm(pool: &PgPool, session: &str) {
    sqlx::query("delete from stage.points where session = $1")
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
    bounded(&format!("{session} stands still"), met).await;
}
