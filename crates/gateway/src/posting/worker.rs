//! The workers: apalis fetches jobs and dispatches them to [`Executor::turn`], under supervision.

use std::{sync::Arc, time::Duration};

use apalis::prelude::*;
use apalis_postgres::{Config, PostgresStorage};
use domain::protocol::Policy;
use futures::{FutureExt, Stream, StreamExt, future::BoxFuture, stream};
use sqlx::PgPool;
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

use crate::{
    Executor, PostingService, WEB_STATEMENT_TIMEOUT,
    database::bounded_pool::BoundedPool,
    job::{self, Job, Purpose},
    operations::bulk_retry::{self, BulkRetryJob},
    posting::admission::{Admission, AdmissionLimits},
    posting::execution::WORKER_STATEMENT_TIMEOUT,
    posting::watchdog::Watchdog,
    posting::{heartbeat, pause_watch},
    recovery::housekeeping,
    recovery::lease,
};

/// Behind the wake-ups stands an interval: for due retries, and for what other processes accept.
const INTERVAL: Duration = Duration::from_millis(100);
/// Between two looks after wake-ups: what is accepted meanwhile is fetched together. Each wake-up is followed by
/// one look at once, or as soon as this allows, and one more: the first may have come while a fetch that had
/// looked too early was under way.
const LOOK_SPACING: Duration = Duration::from_millis(10);
/// Turns that are under way are at most so many times those that may post at once: the others are settling
/// their jobs, or recording what became of them.
const TURNS_A_PLACE: usize = 4;
/// How long a job waits for a gate that is closed. Then it is given back: another process may have an open one.
const AT_THE_GATE: Duration = Duration::from_secs(1);
/// Between the end of an apalis worker and its restart.
const RESTART: Duration = Duration::from_secs(1);

/// How a worker posts.
#[derive(Debug, Clone, Copy)]
pub struct WorkerSettings {
    /// The protocol's settings.
    pub policy: Policy,
    /// How much may be asked of the posting service.
    pub limits: AdmissionLimits,
    /// How long a shutdown waits for the turns that are under way.
    pub grace: Duration,
}

/// Gets transactions posted, until it is told to stop.
pub struct Worker {
    /// For claims and what follows, and for sweeping.
    pub pool: PgPool,
    /// For the lease and what else must not wait for a connection behind the turns.
    pub heartbeat_pool: PgPool,
    /// For apalis, and for nothing else: it begins database transactions in futures that are dropped,
    /// and sqlx leaves such a connection within its transaction. Whatever used it next would be told
    /// of success, and not be committed.
    pub apalis_pool: PgPool,
    /// Where to post.
    pub posting: Arc<dyn PostingService>,
    /// How.
    pub settings: WorkerSettings,
    /// Told of commits in this process that made work.
    pub wake: Arc<Notify>,
}

/// What a turn needs, beside its job.
#[derive(Clone)]
struct Turns {
    poster: Arc<Executor>,
    purpose: Purpose,
    gate: Option<Arc<Admission>>,
    /// For all that are under way.
    rooms: Arc<Semaphore>,
    /// For those of them that something may still be asked of the posting service for.
    places: Arc<Semaphore>,
    tasks: TaskTracker,
    shutdown: CancellationToken,
}

impl Turns {
    /// Waits until one more may begin, which it may for as long as it holds what this gives.
    async fn room(&self) -> Option<(OwnedSemaphorePermit, OwnedSemaphorePermit)> {
        if let Some(gate) = &self.gate {
            let _ = timeout(AT_THE_GATE, gate.opened()).await;
        }
        let room = self.rooms.clone().acquire_owned().await.ok()?;
        let place = self.places.clone().acquire_owned().await.ok()?;
        Some((room, place))
    }
}

impl Worker {
    /// Runs until `shutdown`, and then for as long as the grace allows. Errors of the database stop
    /// nothing for good.
    pub async fn run(self, shutdown: CancellationToken) {
        let run = Uuid::now_v7();
        let heartbeat_pool = BoundedPool::new(self.heartbeat_pool.clone(), WEB_STATEMENT_TIMEOUT);
        let (circuit, attempts) = Default::default();
        while let Err(error) = lease::renew(&heartbeat_pool, run, circuit, attempts).await {
            tracing::warn!(%error, "a worker cannot start yet");
            if shutdown.run_until_cancelled(sleep(RESTART)).await.is_none() {
                return;
            }
        }
        let WorkerSettings { policy, limits, grace } = self.settings;
        tracing::info!(%run, ?limits, "a worker has started");
        let gate = Arc::new(Admission::new(limits, shutdown.clone()));
        let (pool, posting) = (self.pool.clone(), self.posting.clone());
        let patient_pool = BoundedPool::new(pool.clone(), WORKER_STATEMENT_TIMEOUT);
        let poster = Arc::new(Executor::new(pool, posting, gate.clone(), policy, run));
        let turns = TaskTracker::new();
        let ended = CancellationToken::new();
        let upkeep = tokio::spawn({
            let (pool, gate, poster) = (heartbeat_pool.clone(), gate.clone(), poster.clone());
            let (patient_pool, ended) = (patient_pool.clone(), ended.clone());
            async move {
                tokio::select! {
                    () = heartbeat::keep(&pool, run, &poster, &gate, &policy, &ended) => {}
                    () = pause_watch::follow(&pool, &gate) => {}
                    () = housekeeping::run_forever(&patient_pool) => {}
                }
            }
        });
        // A task each: whatever wakes an apalis worker makes it fetch, and in one task each fetch would
        // wake the others, without end.
        let mut queues = JoinSet::new();
        let of = |purpose, places, gate| Turns {
            poster: poster.clone(),
            purpose,
            gate,
            rooms: Arc::new(Semaphore::new(places * TURNS_A_PLACE)),
            places: Arc::new(Semaphore::new(places)),
            tasks: turns.clone(),
            shutdown: shutdown.clone(),
        };
        queues.spawn(self.take_turns(run, of(Purpose::Post, limits.posts, Some(gate))));
        queues.spawn(self.take_turns(run, of(Purpose::Verify, limits.verifications, None)));
        queues.spawn(self.retry_in_bulk(run, &shutdown));
        tokio::select! {
            () = async {
                while queues.join_next().await.is_some() {}
                turns.close();
                turns.wait().await;
            } => {}
            () = async { shutdown.cancelled().await; sleep(grace).await } => {
                tracing::warn!(%run, "turns are still under way; giving them back");
            }
        }
        queues.shutdown().await;
        ended.cancel();
        let _ = upkeep.await;
        match lease::end(&patient_pool, run, &policy).await {
            Ok(given_back) => tracing::info!(%run, given_back, "the worker has stopped"),
            Err(error) => tracing::warn!(%run, %error, "the worker's lease runs out by itself"),
        }
    }

    /// Takes the turns of one queue.
    fn take_turns(&self, run: Uuid, turns: Turns) -> impl Future<Output = ()> + Send + use<> {
        let queue = turns.purpose.queue();
        let (pool, shutdown) = (self.apalis_pool.clone(), turns.shutdown.clone());
        // A part of what it can do: what a worker has fetched, an idle one cannot have.
        let batch_size = turns.places.available_permits().div_ceil(2);
        // What is accepted is to be posted: one who only verifies would use the wake-up up.
        let wake = match turns.purpose {
            Purpose::Post => self.wake.clone(),
            Purpose::Verify => Arc::default(),
        };
        let work = move |name, stop, pulse: Watchdog| {
            let config = config(queue).batch_size(batch_size);
            let looks = looks(wake.clone(), turns.gate.clone());
            let backend = PostgresStorage::<Job>::new(&pool)
                .with_config(config)
                .poll_with_stream(Box::pin(looks));
            let worker = WorkerBuilder::new(name)
                .backend(backend)
                .on_event(listen(&pulse))
                .data((turns.clone(), pulse))
                .concurrency(1)
                .build(take_turn);
            worker.run_until(stop).boxed()
        };
        supervise(run, queue, shutdown, work)
    }

    /// Carries out bulk retries, one after the other.
    fn retry_in_bulk(
        &self,
        run: Uuid,
        shutdown: &CancellationToken,
    ) -> impl Future<Output = ()> + Send + use<> {
        let (apalis_pool, pool) = (self.apalis_pool.clone(), self.pool.clone());
        let work = move |name, stop, pulse: Watchdog| {
            let backend = PostgresStorage::<BulkRetryJob>::new(&apalis_pool)
                .with_config(config(job::BULK_RETRIES).batch_size(1))
                .poll_with_stream(Box::pin(looks(Arc::default(), None)));
            let worker = WorkerBuilder::new(name)
                .backend(backend)
                .on_event(listen(&pulse))
                .data((pool.clone(), pulse))
                .concurrency(1)
                .build(retry_in_bulk);
            worker.run_until(stop).boxed()
        };
        supervise(run, job::BULK_RETRIES, shutdown.clone(), work)
    }
}

fn config(queue: &str) -> Config {
    Config::default()
        .queue(queue)
        .heartbeat_interval(lease::RENEWAL)
        .missed_heartbeats(lease::LEASE.as_secs() as usize)
        // Our own rows say what is under way and what came of it.
        .lock_tasks(false)
        .persist_results(false)
}

/// Runs one apalis worker after another: where one ends, and where one stops looking for jobs. A name that
/// was used before would leave the jobs of its last use stuck, so each has its own.
async fn supervise(
    run: Uuid,
    queue: &'static str,
    shutdown: CancellationToken,
    work: impl Fn(String, Stop, Watchdog) -> BoxFuture<'static, Result<(), WorkerError>>,
) {
    for restart in 0_u64.. {
        let stop = shutdown.clone().cancelled_owned();
        let stop: Stop = Box::pin(async move {
            stop.await;
            Ok(())
        });
        let pulse = Watchdog::new();
        let result = tokio::select! {
            result = work(format!("{run}-{queue}-{restart}"), stop, pulse.clone()) => Some(result),
            () = pulse.stopped() => None,
        };
        if shutdown.is_cancelled() {
            return;
        }
        tracing::warn!(%run, queue, ?result, "an apalis worker ended and is started again");
        shutdown.run_until_cancelled(sleep(RESTART)).await;
    }
}

/// Ends when the program is to stop.
type Stop = BoxFuture<'static, Result<(), WorkerError>>;

/// Done when there is room for the turn, not when that is over: whatever ends makes an apalis worker fetch.
async fn take_turn(job: Job, data: Data<(Turns, Watchdog)>) {
    let (turns, pulse) = (*data).clone();
    let _under_way = pulse.begin();
    // None when the worker is to stop: the turn gives the job back.
    let room = turns.shutdown.run_until_cancelled(turns.room()).await.flatten();
    let (room, place) = room.unzip();
    // A task of its own: turns run beside each other, and none is cut short where apalis's worker is.
    let (poster, purpose) = (turns.poster, turns.purpose);
    turns.tasks.spawn(async move {
        poster.turn(job.0, purpose, place).await;
        drop(room);
    });
}

async fn retry_in_bulk(
    job: BulkRetryJob,
    data: Data<(PgPool, Watchdog)>,
) -> Result<(), BoxDynError> {
    let (pool, pulse) = (*data).clone();
    let _under_way = pulse.begin();
    // A task of its own, for the same reason, and because it begins database transactions.
    let carried_on = tokio::spawn(async move { bulk_retry::run(&pool, job.0).await });
    Ok(carried_on.await?)
}

/// When to look for jobs: after wake-ups and at each interval. With a gate, only while it is open.
///
/// `PollWith` of apalis-core 1.0 polls this once each time that its worker is polled, and a moment that it
/// finds to have come makes it fetch, but not poll again for the next one. At the end of a fetch it does not
/// even fetch. So each moment also wakes the worker once more.
fn looks(wake: Arc<Notify>, gate: Option<Arc<Admission>>) -> impl Stream<Item = ()> + Send {
    let mut moments = Box::pin(moments(wake, gate));
    stream::poll_fn(move |context| {
        let moment = moments.poll_next_unpin(context);
        if moment.is_ready() {
            context.waker().wake_by_ref();
        }
        moment
    })
}

fn moments(wake: Arc<Notify>, gate: Option<Arc<Admission>>) -> impl Stream<Item = ()> + Send {
    stream::unfold((wake, gate, false), |(wake, gate, woken)| async move {
        let woken = if woken {
            sleep(LOOK_SPACING).await;
            wake.notified().now_or_never().is_some()
        } else {
            timeout(INTERVAL, wake.notified()).await.is_ok()
        };
        if let Some(gate) = &gate {
            gate.opened().await;
        }
        Some(((), (wake, gate, woken)))
    })
}

/// Takes note of an apalis worker's heartbeats. It has none while a fetch is not answered.
fn listen(pulse: &Watchdog) -> impl Fn(&WorkerContext, &Event) + Send + Sync + 'static {
    let pulse = pulse.clone();
    move |_, event| {
        if let Event::HeartBeat = event {
            pulse.beat();
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
    struct Woken(AtomicUsize);

    impl ArcWake for Woken {
        fn wake_by_ref(woken: &Arc<Self>) {
            woken.0.fetch_add(1, Relaxed);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_finds_that_a_moment_has_come_is_woken_to_wait_for_the_next() {
        let woken = Arc::new(Woken::default());
        let waker = waker(woken.clone());
        let mut context = Context::from_waker(&waker);
        let mut looks = Box::pin(looks(Arc::default(), None));
        for _ in 0..3 {
            assert_eq!(looks.poll_next_unpin(&mut context), Poll::Pending);
            advance(INTERVAL).await;
            let by_time = woken.0.load(Relaxed);
            assert_eq!(looks.poll_next_unpin(&mut context), Poll::Ready(Some(())));
            assert_eq!(woken.0.load(Relaxed), by_time + 1);
        }
    }
}
