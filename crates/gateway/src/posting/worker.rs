//! A worker: it dispatches jobs until it is stopped, beside its heartbeat and housekeeping, and listens for
//! jobs that other processes announce. It releases what it still holds at the end.

use std::{panic::resume_unwind, sync::Arc, time::Duration};

use domain::protocol::Policy;
use sqlx::PgPool;
use tokio::{sync::Semaphore, task::JoinSet, time::sleep};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

use super::{
    admission::{Admission, AdmissionLimits},
    dispatch::{Dispatch, Dispatcher},
    execution::Executor,
    heartbeat::Heartbeat,
    service::PostingService,
};
use crate::{
    database::{BoundedPool, WEB_STATEMENT_TIMEOUT, WORKER_STATEMENT_TIMEOUT},
    job::Purpose,
    recovery::{housekeeping, lease},
    restart::restarted,
    wake_ups::{self, WakeUps},
};

/// How many executions may be in flight for each request that may be in flight. The executions beyond the
/// requests are settling their jobs or recording their results.
const EXECUTIONS_PER_REQUEST: usize = 4;
/// The delay before another attempt to obtain the first lease.
const START_RETRY_DELAY: Duration = Duration::from_secs(1);

/// How a worker posts.
#[derive(Debug, Clone, Copy)]
pub struct WorkerSettings {
    /// The protocol's settings.
    pub policy: Policy,
    /// Limits on the requests to the posting service.
    pub limits: AdmissionLimits,
    /// How long a shutdown waits for the executions in flight.
    pub grace: Duration,
}

/// Posts transactions until it is stopped.
pub struct Worker {
    /// For claims, the changes that follow them, and housekeeping.
    pub pool: PgPool,
    /// For the lease and everything else that must not queue for a connection behind the executions.
    pub heartbeat_pool: PgPool,
    /// For fetches, so that they neither queue for a connection behind the executions nor wait for the disk.
    pub apalis_pool: PgPool,
    /// The posting service.
    pub posting: Arc<dyn PostingService>,
    /// How to post.
    pub settings: WorkerSettings,
    /// Shared with the [`Gateway`](crate::Gateway) of this process, if it has one.
    pub wake_ups: WakeUps,
}

impl Worker {
    /// Runs until `shutdown`, and then for as long as the grace period allows. It survives errors of the
    /// database.
    pub async fn run(self, shutdown: CancellationToken) {
        let worker_id = Uuid::now_v7();
        let heartbeat_pool = BoundedPool::new(self.heartbeat_pool, WEB_STATEMENT_TIMEOUT);
        let (breaker, requests) = Default::default();
        while let Err(error) = lease::renew(&heartbeat_pool, worker_id, breaker, requests).await {
            tracing::warn!(%error, "a worker cannot start yet");
            if shutdown.run_until_cancelled(sleep(START_RETRY_DELAY)).await.is_none() {
                return;
            }
        }
        let WorkerSettings { policy, limits, grace } = self.settings;
        tracing::info!(%worker_id, ?limits, "a worker has started");
        let admission = Arc::new(Admission::new(limits, shutdown.clone()));
        let pool = BoundedPool::new(self.pool.clone(), WORKER_STATEMENT_TIMEOUT);
        let executor =
            Executor::new(self.pool.clone(), self.posting, admission.clone(), policy, worker_id)
                .waking(self.wake_ups.clone());
        let executor = Arc::new(executor);
        let executions = TaskTracker::new();
        let stop = CancellationToken::new();
        let upkeep = tokio::spawn({
            let (admission, executor) = (admission.clone(), executor.clone());
            let (pool, stop, wake_ups) = (pool.clone(), stop.clone(), self.wake_ups.clone());
            async move {
                let heartbeat = Heartbeat {
                    pool: &heartbeat_pool,
                    worker_id,
                    executor: &executor,
                    admission: &admission,
                    policy: &policy,
                    wake_ups: &wake_ups,
                };
                tokio::select! {
                    () = restarted("heartbeat", || heartbeat.run(&stop)) => {}
                    () = restarted("listener for announcements", || {
                        wake_ups::listen(heartbeat_pool.unbounded(), &wake_ups)
                    }) => {}
                    () = restarted("housekeeping", || housekeeping::run_forever(&pool)) => {}
                }
            }
        });
        let mut queues = JoinSet::new();
        let dispatcher = |purpose, max_requests, admission| Dispatcher {
            executor: executor.clone(),
            purpose,
            admission,
            execution_permits: Arc::new(Semaphore::new(max_requests * EXECUTIONS_PER_REQUEST)),
            request_permits: Arc::new(Semaphore::new(max_requests)),
            executions: executions.clone(),
            shutdown: shutdown.clone(),
        };
        let dispatch = Dispatch {
            worker_id,
            pool: BoundedPool::new(self.apalis_pool, WORKER_STATEMENT_TIMEOUT),
            wake_ups: self.wake_ups,
            shutdown: shutdown.clone(),
        };
        let posts = dispatcher(Purpose::Post, limits.posts, Some(admission));
        let verifications = dispatcher(Purpose::Verify, limits.verifications, None);
        queues.spawn(dispatch.clone().transactions(posts));
        queues.spawn(dispatch.clone().transactions(verifications));
        queues.spawn(dispatch.bulk_retries(self.pool));
        tokio::select! {
            () = async {
                while let Some(ended) = queues.join_next().await {
                    // Without its dispatcher nothing in this queue would be posted.
                    if let Err(error) = ended
                        && error.is_panic()
                    {
                        resume_unwind(error.into_panic());
                    }
                }
                executions.close();
                executions.wait().await;
            } => {}
            () = async { shutdown.cancelled().await; sleep(grace).await } => {
                tracing::warn!(%worker_id, "executions are still in flight and are released");
            }
        }
        queues.shutdown().await;
        stop.cancel();
        let _ = upkeep.await;
        match lease::end(&pool, worker_id, &policy).await {
            Ok(released) => tracing::info!(%worker_id, released, "the worker has stopped"),
            Err(error) => {
                tracing::warn!(%worker_id, %error, "the lease was not ended; it will expire");
            }
        }
    }
}
