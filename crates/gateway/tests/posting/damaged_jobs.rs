//! Jobs in our queues that cannot be read: they hold up no others.

use std::time::Duration;

use domain::State;
use gateway::{WakeUps, Worker, WorkerSettings, housekeeping::clean_up};
use tokio_util::sync::CancellationToken;

use crate::{
    fixture::fixture,
    support::{LIMITS, POLICY, another, jobs, state, stored},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_cannot_be_read_holds_up_no_other() {
    let fixture = fixture().await;
    let (pool, gateway, service) = (&fixture.pool, &fixture.gateway, &fixture.service);
    let damaged = fixture.id;
    // It is due before all others, and so are two that somebody else has put into the queue.
    sqlx::raw_sql(
        "update apalis.jobs set job = 'no JSON', run_at = now() - interval '1 day';
         update transactions set next_attempt_at = now() - interval '1 minute';
         insert into apalis.jobs (job, id, job_type, run_at) values
            ('\"x\"', 'no ULID', 'transactions', now() - interval '1 day'),
            ('[1]', '01ARZ3NDEKTSV4RRFFQ69G5FAV', 'transactions', now() - interval '1 day')",
    )
    .execute(pool)
    .await
    .unwrap();
    let others = [stored(gateway).await, stored(gateway).await];
    for _ in 0..3 {
        service.answers_status(201);
    }
    let stop = CancellationToken::new();
    let worker = Worker {
        pool: another(pool),
        heartbeat_pool: another(pool),
        apalis_pool: another(pool),
        posting: service.clone(),
        settings: WorkerSettings { policy: POLICY, limits: LIMITS, grace: Duration::from_secs(1) },
        wake_ups: WakeUps::default(),
    };
    let running = tokio::spawn(worker.run(stop.clone()));
    let completed = async |id| {
        let waiting = async {
            while state(gateway, id).await != State::Completed {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), waiting).await.expect("not after a minute");
    };
    for id in others {
        completed(id).await;
    }
    let put_aside = "select count(*) from apalis.jobs
        where status = 'Killed' and id in ('no ULID', '01ARZ3NDEKTSV4RRFFQ69G5FAV')";
    let put_aside: i64 = sqlx::query_scalar(put_aside).fetch_one(pool).await.unwrap();
    assert_eq!(put_aside, 2);
    // The transaction gets a new one.
    clean_up(pool).await.unwrap();
    completed(damaged).await;
    stop.cancel();
    running.await.unwrap();
    assert_eq!(jobs(pool, damaged).await, 0);
    assert_eq!(service.requests(), ["post"; 3]);
}
