//! A worker dies with a job that it has fetched and not begun.

use std::time::Duration;

use domain::State;
use gateway::{WakeUps, Worker, WorkerSettings};
use tokio_util::sync::CancellationToken;

use crate::{
    breakpoints::bounded,
    fixture::{Environment, Fixture},
    support::{self, LIMITS},
};

#[tokio::test]
async fn a_job_that_a_dead_worker_has_fetched_is_posted_by_a_live_one() {
    let env = Environment::new().await;
    let fixture = Fixture::new(&env, 3).await;
    // Only the lease, which it does not have, says that it is dead.
    let fetched = "
        insert into apalis.workers (id, worker_type, storage_name, last_seen) values
            ('00000000-0000-0000-0000-000000000001-transactions-0', 'transactions', 'Onceward',
                now() + interval '1 hour');
        update apalis.jobs set status = 'Queued', lock_at = now(),
            lock_by = '00000000-0000-0000-0000-000000000001-transactions-0'";
    sqlx::raw_sql(fetched).execute(env.pool()).await.unwrap();
    let closing = CancellationToken::new();
    let worker = Worker {
        pool: support::another(env.pool()),
        heartbeat_pool: support::another(env.pool()),
        apalis_pool: support::another(env.pool()),
        posting: fixture.worker.client.clone(),
        settings: WorkerSettings {
            policy: fixture.policy,
            limits: LIMITS,
            grace: Duration::from_secs(1),
        },
        wake_ups: WakeUps::default(),
    };
    let running = tokio::spawn(worker.run(closing.clone()));
    let completed = async {
        while support::state(&env.gateway, fixture.id).await != State::Completed {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    bounded("the live worker posts it", completed).await;
    closing.cancel();
    bounded("the end of the worker", running).await.unwrap();
}
