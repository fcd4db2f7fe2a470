//! Workers learn at once of what other processes accept, over a connection of their own that listens. What they
//! miss while it is lost, they find when they next look.

use std::time::Duration;

use domain::{Actor, Scope, State};
use gateway::{Gateway, WakeUps, Worker, WorkerSettings};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::{
    breakpoints::bounded,
    fixture::Environment,
    posting_service::{Ledger, LedgerClient},
    support::{self, LIMITS, POLICY},
};

/// So many looks, one a second, take longer than a test may.
const MANY: u64 = 60;

/// A process that accepts, and another one that posts. They share nothing but the database.
struct Fleet {
    env: Environment,
    accepting: Gateway,
    worker: JoinHandle<()>,
    closing: CancellationToken,
    submitted: u64,
}

impl Fleet {
    async fn start() -> Self {
        let env = Environment::new().await;
        // Renewals are counted: the worker looks after each of them.
        let schema = "
            create table renewals (at timestamptz default clock_timestamp());
            create function count_renewal() returns trigger language plpgsql
                as $$ begin insert into renewals default values; return null; end $$;
            create trigger renewals after insert or update on workers
                for each row execute function count_renewal();";
        sqlx::raw_sql(schema).execute(env.pool()).await.unwrap();
        let closing = CancellationToken::new();
        let worker = Worker {
            pool: support::another(env.pool()),
            // The worker listens through the proxy, too.
            heartbeat_pool: env.connections(),
            apalis_pool: support::another(env.pool()),
            posting: LedgerClient::new(&Ledger::new()),
            settings: WorkerSettings {
                policy: POLICY,
                limits: LIMITS,
                grace: Duration::from_secs(1),
            },
            wake_ups: WakeUps::default(),
        };
        let worker = tokio::spawn(worker.run(closing.clone()));
        let accepting = Gateway::new(env.pool().clone(), WakeUps::announced(env.pool()));
        Self { env, accepting, worker, closing, submitted: 0 }
    }

    /// Waits until a session listens that is not this one, and returns its process id.
    async fn listener(&self, other_than: i32) -> i32 {
        let text = "select pid from pg_stat_activity
            where datname = current_database() and query like 'LISTEN%' and state = 'idle' and pid <> $1";
        let listening = async {
            loop {
                let query = sqlx::query_scalar(text).bind(other_than);
                if let Some(pid) = query.fetch_optional(self.env.pool()).await.unwrap() {
                    return pid;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        bounded("the worker listens", listening).await
    }

    async fn submit(&mut self) {
        support::stored(&self.accepting).await;
        self.submitted += 1;
    }

    async fn completed(&self) {
        while self.accepting.counts(&Scope::All).await.unwrap().of(State::Completed)
            < self.submitted
        {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Submits each transaction when the one before it is completed.
    async fn submit_one_by_one(&mut self, what: &str) {
        let posted = async {
            for _ in 0..MANY {
                self.submit().await;
                self.completed().await;
            }
        };
        bounded(what, posted).await;
    }

    /// Submits a transaction, and returns how often the worker looked until it was completed.
    async fn looks_for_one(&mut self) -> i64 {
        let looks = async |fleet: &Self| -> i64 {
            let text = "select count(*) from renewals";
            sqlx::query_scalar(text).fetch_one(fleet.env.pool()).await.unwrap()
        };
        let before = looks(self).await;
        self.submit().await;
        bounded("a transaction that was not announced", self.completed()).await;
        looks(self).await - before
    }

    async fn stop(self) {
        self.closing.cancel();
        bounded("the end of the worker", self.worker).await.unwrap();
    }
}

#[tokio::test]
async fn what_one_process_accepts_another_posts_at_once() {
    let mut fleet = Fleet::start().await;
    fleet.listener(0).await;
    fleet.submit_one_by_one("each submission wakes the worker").await;
    fleet.stop().await;
}

#[tokio::test]
async fn a_resumption_is_heard_of_at_once() {
    let mut fleet = Fleet::start().await;
    fleet.listener(0).await;
    let operator = Actor::anonymous();
    let resumed = async {
        for _ in 0..MANY {
            fleet.accepting.pause(&operator, None).await.unwrap();
            fleet.submit().await;
            fleet.accepting.resume(&operator, None).await.unwrap();
            fleet.completed().await;
        }
    };
    bounded("each resumption wakes the worker", resumed).await;
    fleet.stop().await;
}

#[tokio::test]
async fn a_terminated_listener_costs_one_look_and_is_replaced() {
    let mut fleet = Fleet::start().await;
    let first = fleet.listener(0).await;
    let terminate = "select pg_terminate_backend($1)";
    sqlx::query(terminate).bind(first).execute(fleet.env.pool()).await.unwrap();
    let looks = fleet.looks_for_one().await;
    assert!(looks <= 2, "it took {looks} looks");
    fleet.listener(first).await;
    fleet.submit_one_by_one("the worker listens again").await;
    fleet.stop().await;
}

#[tokio::test]
async fn a_listener_that_is_cut_off_without_a_word_costs_one_look_and_is_replaced() {
    let mut fleet = Fleet::start().await;
    let first = fleet.listener(0).await;
    fleet.env.proxy.mute_listeners();
    let looks = fleet.looks_for_one().await;
    assert!(looks <= 2, "it took {looks} looks");
    fleet.listener(first).await;
    fleet.submit_one_by_one("the worker listens again").await;
    fleet.stop().await;
}
