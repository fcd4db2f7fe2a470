//! Dispatch: apalis workers fetch jobs and hand them to [`Executor::run_job`]. They are supervised and
//! restarted here.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use apalis::prelude::*;
use apalis_postgres::{Config, PostgresStorage};
use futures::{FutureExt, Stream, StreamExt, future::BoxFuture, stream};
use sqlx::PgPool;
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

use super::{admission::Admission, execution::Executor, watchdog::Watchdog};
use crate::{
    job::{self, Job, Purpose},
    operations::{BulkRetryJob, run_bulk_retry},
    recovery::lease,
};

/// The queues are also polled at this interval: for due retries, and for transactions that other processes
/// accept.
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// The least time between polls after notifications, so that jobs created meanwhile are fetched together. Each
/// notification is followed by a poll at once, or as soon as this allows, and by a second poll: at the time of
/// the first one, a fetch may be in flight that started too early to see the new job.
const POLL_SPACING: Duration = Duration::from_millis(10);
/// How long a job waits while admission control admits no POST. Then it is released, for a process that
/// may admit it.
const ADMISSION_TIMEOUT: Duration = Duration::from_secs(1);
/// The delay between the end of an apalis worker and its restart.
const RESTART_DELAY: Duration = Duration::from_secs(1);

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

/// Dispatches the jobs of one queue of transactions until the dispatcher's shutdown.
pub fn dispatch_transactions(
    apalis_pool: PgPool,
    worker_id: Uuid,
    dispatcher: Dispatcher,
    wake: Arc<Notify>,
) -> impl Future<Output = ()> + Send {
    let (queue, shutdown) = (dispatcher.purpose.queue(), dispatcher.shutdown.clone());
    // Only a part of the capacity: an idle worker cannot have the jobs that this one has fetched.
    let batch_size = dispatcher.request_permits.available_permits().div_ceil(2);
    let start = move |name, stop, watchdog: Watchdog| {
        let polls = polls(wake.clone(), dispatcher.admission.clone());
        let backend = PostgresStorage::<Job>::new(&apalis_pool)
            .with_config(config(queue).batch_size(batch_size))
            .poll_with_stream(Box::pin(polls));
        let worker = WorkerBuilder::new(name)
            .backend(backend)
            .on_event(report_heartbeats(&watchdog))
            .data((dispatcher.clone(), watchdog))
            .concurrency(1)
            .build(start_execution);
        worker.run_until(stop).boxed()
    };
    supervise(worker_id, queue, shutdown, start)
}

/// Carries out bulk retries, one at a time, until `shutdown`.
pub fn dispatch_bulk_retries(
    apalis_pool: PgPool,
    worker_id: Uuid,
    pool: PgPool,
    shutdown: CancellationToken,
) -> impl Future<Output = ()> + Send {
    let start = move |name, stop, watchdog: Watchdog| {
        let backend = PostgresStorage::<BulkRetryJob>::new(&apalis_pool)
            .with_config(config(job::BULK_RETRIES).batch_size(1))
            .poll_with_stream(Box::pin(polls(Arc::default(), None)));
        let worker = WorkerBuilder::new(name)
            .backend(backend)
            .on_event(report_heartbeats(&watchdog))
            .data((pool.clone(), watchdog))
            .concurrency(1)
            .build(retry_in_bulk);
        worker.run_until(stop).boxed()
    };
    supervise(worker_id, job::BULK_RETRIES, shutdown, start)
}

fn config(queue: &str) -> Config {
    Config::default()
        .queue(queue)
        .heartbeat_interval(lease::RENEWAL)
        .missed_heartbeats(lease::LEASE.as_secs() as usize)
        // Our own rows record which executions are in flight, and their results.
        .lock_tasks(false)
        .persist_results(false)
}

/// Completes when the program is to stop.
type Stop = BoxFuture<'static, Result<(), WorkerError>>;

/// Runs one apalis worker after another: a new one starts when the last one ends or stops polling. Reusing
/// the name of an earlier worker would leave that worker's jobs stuck, so each has its own.
async fn supervise(
    worker_id: Uuid,
    queue: &'static str,
    shutdown: CancellationToken,
    start: impl Fn(String, Stop, Watchdog) -> BoxFuture<'static, Result<(), WorkerError>>,
) {
    for restart in 0_u64.. {
        let stop = shutdown.clone().cancelled_owned();
        let stop: Stop = Box::pin(async move {
            stop.await;
            Ok(())
        });
        let watchdog = Watchdog::new();
        let name = format!("{worker_id}-{queue}-{restart}");
        let worker = start(name, stop, watchdog.clone());
        let result = tokio::select! {
            // A panic is logged where it happens.
            result = AssertUnwindSafe(worker).catch_unwind() => Some(result.ok()),
            () = watchdog.timed_out() => None,
        };
        if shutdown.is_cancelled() {
            return;
        }
        tracing::warn!(%worker_id, queue, ?result, "an apalis worker ended and is restarted");
        shutdown.run_until_cancelled(sleep(RESTART_DELAY)).await;
    }
}

/// Returns once the execution may begin, not when it ends: each end makes an apalis worker fetch.
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
    data: Data<(PgPool, Watchdog)>,
) -> Result<(), BoxDynError> {
    let (pool, watchdog) = (*data).clone();
    let _in_progress = watchdog.begin();
    // A task of its own, for the same reason, and because it begins database transactions.
    let finished = tokio::spawn(async move { run_bulk_retry(&pool, job.0).await });
    Ok(finished.await?)
}

/// When to poll for jobs: after notifications and at each interval, and only while admission control, if
/// there is one, is open.
///
/// `PollWith` of apalis-core 1.0 polls this stream once each time that its worker is polled. An item makes it
/// fetch, but it does not poll the stream again for the next item, and at the end of a fetch it does not even
/// fetch. So each item also wakes the worker once more.
fn polls(wake: Arc<Notify>, admission: Option<Arc<Admission>>) -> impl Stream<Item = ()> + Send {
    let mut schedule = Box::pin(poll_schedule(wake, admission));
    stream::poll_fn(move |context| {
        let poll = schedule.poll_next_unpin(context);
        if poll.is_ready() {
            context.waker().wake_by_ref();
        }
        poll
    })
}

fn poll_schedule(
    wake: Arc<Notify>,
    admission: Option<Arc<Admission>>,
) -> impl Stream<Item = ()> + Send {
    stream::unfold((wake, admission, false), |(wake, admission, notified)| async move {
        let notified = if notified {
            sleep(POLL_SPACING).await;
            wake.notified().now_or_never().is_some()
        } else {
            timeout(POLL_INTERVAL, wake.notified()).await.is_ok()
        };
        if let Some(admission) = &admission {
            admission.wait_until_open().await;
        }
        Some(((), (wake, admission, notified)))
    })
}

/// Reports an apalis worker's heartbeats to its watchdog. It has none while a fetch is unanswered.
fn report_heartbeats(
    watchdog: &Watchdog,
) -> impl Fn(&WorkerContext, &Event) + Send + Sync + 'static {
    let watchdog = watchdog.clone();
    move |_, event| {
        if let Event::HeartBeat = event {
            watchdog.beat();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::task::{ArcWake, Context, Poll, waker};
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
    use tokio::time::advance;

    use super::*;

    #[derive(Default)]
    struct WakeCount(AtomicUsize);

    impl ArcWake for WakeCount {
        fn wake_by_ref(count: &Arc<Self>) {
            count.0.fetch_add(1, Relaxed);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn each_item_wakes_its_consumer_to_wait_for_the_next_one() {
        let wakes = Arc::new(WakeCount::default());
        let waker = waker(wakes.clone());
        let mut context = Context::from_waker(&waker);
        let mut polls = Box::pin(polls(Arc::default(), None));
        for _ in 0..3 {
            assert_eq!(polls.poll_next_unpin(&mut context), Poll::Pending);
            advance(POLL_INTERVAL).await;
            let by_time = wakes.0.load(Relaxed);
            assert_eq!(polls.poll_next_unpin(&mut context), Poll::Ready(Some(())));
            assert_eq!(wakes.0.load(Relaxed), by_time + 1);
        }
    }
}
