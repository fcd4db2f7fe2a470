//! Dispatch: apalis workers fetch jobs and hand them to [`Executor::run_job`]. They are supervised and
//! restarted here.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use apalis::prelude::*;
use futures::{FutureExt, future::BoxFuture};
use sqlx::PgPool;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

use super::{
    admission::Admission,
    execution::Executor,
    job_queue::{Fetching, JobQueue},
    watchdog::Watchdog,
};
use crate::{
    database::BoundedPool,
    job::{Job, Purpose, Queue},
    operations::{BulkRetryJob, run_bulk_retry},
    recovery::lease::release_jobs,
    wake_ups::WakeUps,
};

/// How long a job waits while admission control admits no POST. Then it is released, for a process that
/// may admit it.
const ADMISSION_TIMEOUT: Duration = Duration::from_secs(1);
/// The delay between the end of an apalis worker and its restart.
const RESTART_DELAY: Duration = Duration::from_secs(1);

/// What the dispatchers of all queues of a worker have in common.
#[derive(Clone)]
pub struct Dispatch {
    pub worker_id: Uuid,
    /// For fetches.
    pub pool: BoundedPool,
    pub wake_ups: WakeUps,
    pub shutdown: CancellationToken,
}

/// Everything that the executions of one queue need, besides their jobs.
#[derive(Clone)]
pub struct Dispatcher {
    pub executor: Arc<Executor>,
    pub purpose: Purpose,
    pub admission: Option<Arc<Admission>>,
    /// One for each execution in flight.
    pub execution_permits: Arc<Semaphore>,
    /// One for each execution in flight that may still send requests to the posting service.
    pub request_permits: Arc<Semaphore>,
    pub executions: TaskTracker,
    pub shutdown: CancellationToken,
}

impl Dispatcher {
    /// Waits for the permits of one more execution.
    async fn acquire(&self) -> Option<(OwnedSemaphorePermit, OwnedSemaphorePermit)> {
        if let Some(admission) = &self.admission {
            let _ = timeout(ADMISSION_TIMEOUT, admission.wait_until_open()).await;
        }
        let execution_permit = self.execution_permits.clone().acquire_owned().await.ok()?;
        let request_permit = self.request_permits.clone().acquire_owned().await.ok()?;
        Some((execution_permit, request_permit))
    }
}

impl Dispatch {
    /// Dispatches the jobs of one queue of transactions until the shutdown.
    pub async fn transactions(self, dispatcher: Dispatcher) {
        let queue = Queue::from(dispatcher.purpose);
        // Only a part of the capacity: an idle worker cannot have the jobs that this one has fetched.
        let batch_size = dispatcher.request_permits.available_permits().div_ceil(2);
        let start = |name, stop, watchdog: Watchdog| {
            let fetching = self.fetching(queue, batch_size, &dispatcher.admission, &watchdog);
            let worker = WorkerBuilder::new(name)
                .backend(JobQueue::<Job>::new(fetching))
                .data((dispatcher.clone(), watchdog))
                .concurrency(1)
                .build(start_execution);
            worker.run_until(stop).boxed()
        };
        self.supervise(queue, start).await;
    }

    /// Carries out bulk retries, one at a time, until the shutdown.
    pub async fn bulk_retries(self, pool: PgPool) {
        let queue = Queue::BulkRetries;
        let start = |name, stop, watchdog: Watchdog| {
            let fetching = self.fetching(queue, 1, &None, &watchdog);
            let worker = WorkerBuilder::new(name)
                .backend(JobQueue::<BulkRetryJob>::new(fetching))
                .data((pool.clone(), self.wake_ups.clone(), watchdog))
                .concurrency(1)
                .build(retry_in_bulk);
            worker.run_until(stop).boxed()
        };
        self.supervise(queue, start).await;
    }

    fn fetching(
        &self,
        queue: Queue,
        batch_size: usize,
        admission: &Option<Arc<Admission>>,
        watchdog: &Watchdog,
    ) -> Fetching {
        Fetching {
            pool: self.pool.clone(),
            queue,
            batch_size,
            wake_ups: self.wake_ups.clone(),
            admission: admission.clone(),
            watchdog: watchdog.clone(),
        }
    }

    /// Runs one apalis worker after another: a new one starts when the last one ends or stops working. Reusing
    /// the name of an earlier worker would leave that worker's jobs stuck, so each has its own.
    async fn supervise(
        &self,
        queue: Queue,
        start: impl Fn(String, Stop, Watchdog) -> BoxFuture<'static, Result<(), WorkerError>>,
    ) {
        let Self { worker_id, pool, shutdown, .. } = self;
        let names = format!("{worker_id}-{}-", queue.name());
        for restart in 0_u64.. {
            let stop = shutdown.clone().cancelled_owned();
            let stop: Stop = Box::pin(async move {
                stop.await;
                Ok(())
            });
            let watchdog = Watchdog::new();
            let worker = start(format!("{names}{restart}"), stop, watchdog.clone());
            let result = tokio::select! {
                // A panic is logged where it happens.
                result = AssertUnwindSafe(worker).catch_unwind() => Some(result.ok()),
                () = watchdog.timed_out() => None,
            };
            if shutdown.is_cancelled() {
                return;
            }
            tracing::warn!(%worker_id, ?queue, ?result, "an apalis worker ended and is restarted");
            shutdown.run_until_cancelled(sleep(RESTART_DELAY)).await;
            if let Err(error) = release_jobs(pool, &names).await {
                tracing::debug!(%worker_id, %error, "its jobs will be released when it has been silent");
            }
        }
    }
}

/// Completes when the program is to stop.
type Stop = BoxFuture<'static, Result<(), WorkerError>>;

/// Returns once the execution may begin, not when it ends: the next job waits until this returns.
async fn start_execution(job: Job, data: Data<(Dispatcher, Watchdog)>) {
    let (dispatcher, watchdog) = (*data).clone();
    let _in_progress = watchdog.begin();
    // None if the worker is to stop: the execution then releases the job.
    let permits = dispatcher.shutdown.run_until_cancelled(dispatcher.acquire()).await.flatten();
    let (execution_permit, request_permit) = permits.unzip();
    // A task of its own: executions run concurrently, and none is cancelled together with apalis's worker.
    let (executor, purpose) = (dispatcher.executor, dispatcher.purpose);
    dispatcher.executions.spawn(async move {
        executor.run_job(job.0, purpose, request_permit).await;
        drop(execution_permit);
    });
}

async fn retry_in_bulk(
    job: BulkRetryJob,
    data: Data<(PgPool, WakeUps, Watchdog)>,
) -> Result<(), BoxDynError> {
    let (pool, wake_ups, watchdog) = (*data).clone();
    let _in_progress = watchdog.begin();
    // A task of its own, for the same reason, and because it begins database transactions.
    let finished = tokio::spawn(async move { run_bulk_retry(&pool, job.0, &wake_ups).await });
    Ok(finished.await?)
}
