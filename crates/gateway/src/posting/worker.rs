//! A worker: it dispatches jobs until it is stopped, beside its heartbeat, the pause watch and housekeeping,
//! and releases what it still holds at the end.

use std::{panic::resume_unwind, sync::Arc, time::Duration};

use domain::protocol::Policy;
use sqlx::PgPool;
use tokio::{
    sync::{Notify, Semaphore},
    task::JoinSet,
    time::sleep,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

use super::{
    admission::{Admission, AdmissionLimits},
    dispatch::{Dispatcher, dispatch_bulk_retries, dispatch_transactions},
    execution::Executor,
    heartbeat, pause_watch,
    service::PostingService,
};
use crate::{
    database::{BoundedPool, WEB_STATEMENT_TIMEOUT, WORKER_STATEMENT_TIMEOUT},
    job::Purpose,
    recovery::{housekeeping, lease},
    restart::restarted,
};

/// Executions in flight for each request that may be in flight at once: the other executions are settling
/// their jobs or recording their results.
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
    /// For apalis only: it begins database transactions in futures that are dropped, and sqlx leaves such a
    /// connection inside its transaction. The next statement on that connection would appear to succeed
    /// and would not be committed.
    pub apalis_pool: PgPool,
    /// The posting service.
    pub posting: Arc<dyn PostingService>,
    /// How to post.
    pub settings: WorkerSettings,
    /// Notified of commits in this process that created jobs.
    pub wake: Arc<Notify>,
}

impl Worker {
    /// Runs until `shutdown`, and then for as long as the grace period allows. It survives errors of the
    /// database.
    pub async fn run(self, shutdown: CancellationToken) {
        let worker_id = Uuid::now_v7();
        let heartbeat_pool = BoundedPool::new(self.heartbeat_pool, WEB_STATEMENT_TIMEOUT);
        let (circuit, attempts) = Default::default();
        while let Err(error) = lease::renew(&heartbeat_pool, worker_id, circuit, attempts).await {
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
            Executor::new(self.pool.clone(), self.posting, admission.clone(), policy, worker_id);
        let executor = Arc::new(executor);
        let executions = TaskTracker::new();
        let stop = CancellationToken::new();
        let upkeep = tokio::spawn({
            let (admission, executor) = (admission.clone(), executor.clone());
            let (pool, stop) = (pool.clone(), stop.clone());
            async move {
                let heartbeat = || {
                    heartbeat::run(
                        &heartbeat_pool,
                        worker_id,
                        &executor,
                        &admission,
                        &policy,
                        &stop,
                    )
                };
                let pause_watch = || pause_watch::follow(&heartbeat_pool, &admission);
                tokio::select! {
                    () = restarted("heartbeat", heartbeat) => {}
                    () = restarted("pause watch", pause_watch) => {}
                    () = restarted("housekeeping", || housekeeping::run_forever(&pool)) => {}
                }
            }
        });
        // One task for each queue: any wake-up makes an apalis worker fetch, and in one common task each
        // fetch would wake the other workers, without end.
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
        let posts = dispatcher(Purpose::Post, limits.posts, Some(admission));
        let verifications = dispatcher(Purpose::Verify, limits.verifications, None);
        // New transactions are to be posted: the dispatcher of verifications would only consume the
        // notification.
        let (apalis_pool, never) = (self.apalis_pool, Arc::default());
        queues.spawn(dispatch_transactions(apalis_pool.clone(), worker_id, posts, self.wake));
        queues.spawn(dispatch_transactions(apalis_pool.clone(), worker_id, verifications, never));
        queues.spawn(dispatch_bulk_retries(apalis_pool, worker_id, self.pool, shutdown.clone()));
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
