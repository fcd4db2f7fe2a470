//! An apalis queue whose jobs are fetched when its dispatcher is woken. apalis's own storage fetches at each
//! wake-up of the worker's task, whatever caused it, and each time in three statements.

use std::{
    marker::PhantomData,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use apalis_codec::json::JsonCodec;
use apalis_core::{
    backend::{
        Backend, BackendConfig, WireFormatBackend,
        finalize::Durable,
        persistence::{Persisted, Persistence, TaskEvent, TaskPersistLayer},
    },
    task::{builder::TaskBuilder, status::Status, task_id::TaskId},
    worker::context::WorkerContext,
};
use apalis_postgres::{Config, Error, PgTask, queries};
use serde_json::Value;
use tokio::time::sleep;
use ulid::Ulid;
use uuid::Uuid;

use super::{admission::Admission, watchdog::Watchdog};
use crate::{database::BoundedPool, job::Queue, wake_ups::WakeUps};

/// How often a worker shows apalis's tables that it is alive. A worker that has not for
/// `recovery::lease::SILENT` loses its jobs to others.
const HEARTBEAT: Duration = Duration::from_secs(3);
/// How long a fetch waits after one that found several jobs and left none: what becomes due meanwhile is
/// fetched, claimed and recorded together. Jobs that come one by one are fetched at once.
const FETCH_SPACING: Duration = Duration::from_millis(3);

/// What a worker fetches, and when.
#[derive(Clone)]
pub struct Fetching {
    pub pool: BoundedPool,
    pub queue: Queue,
    pub batch_size: usize,
    pub wake_ups: WakeUps,
    /// Nothing is fetched while it is closed.
    pub admission: Option<Arc<Admission>>,
    /// Has a heartbeat with each statement that is answered.
    pub watchdog: Watchdog,
}

/// The apalis backend of one queue, with jobs of type `J`.
pub struct JobQueue<J> {
    persisted: Persisted<Fetcher>,
    config: Config,
    codec: JsonCodec,
    _jobs: PhantomData<fn() -> J>,
}

impl<J> JobQueue<J> {
    /// A queue for one apalis worker.
    pub fn new(fetching: Fetching) -> Self {
        let config = Config::default().queue(fetching.queue.name()).batch_size(fetching.batch_size);
        let fetcher =
            Fetcher { fetching, config: config.clone(), found: Arc::new(usize::MAX.into()) };
        Self {
            persisted: Persisted::new(fetcher),
            config,
            codec: JsonCodec::default(),
            _jobs: PhantomData,
        }
    }
}

impl<J> Backend for JobQueue<J> {
    type Task = PgTask;
    type Error = Error;

    fn poll_ready(
        &mut self,
        cx: &mut Context<'_>,
        worker: &WorkerContext,
    ) -> Poll<Result<(), Error>> {
        self.persisted.poll_ready(cx, worker, HEARTBEAT)
    }

    fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        worker: &WorkerContext,
    ) -> Poll<Option<Result<PgTask, Error>>> {
        self.persisted.poll_next(cx, worker)
    }

    fn poll_close(
        &mut self,
        cx: &mut Context<'_>,
        worker: &WorkerContext,
    ) -> Poll<Result<(), Error>> {
        self.persisted.poll_close(cx, worker)
    }
}

impl<J> BackendConfig for JobQueue<J> {
    type Args = J;
    type Id = Ulid;
    type Kind = Durable;
    type Config = Config;
    type Layer = TaskPersistLayer<JsonCodec<Value>, Value>;

    fn config(&self) -> &Config {
        &self.config
    }

    /// Without its options, the layer does nothing: our own rows record which executions are in flight, and
    /// their results.
    fn middleware(&mut self, _: &mut WorkerContext) -> Self::Layer {
        self.persisted.layer(JsonCodec::default(), self.config.batch_size)
    }
}

impl<J> WireFormatBackend for JobQueue<J> {
    type Codec = JsonCodec;
    type Compact = Vec<u8>;

    fn codec(&self) -> &JsonCodec {
        &self.codec
    }
}

#[derive(Clone)]
struct Fetcher {
    fetching: Fetching,
    config: Config,
    /// How many jobs the last fetch found. Fewer than the batch size are all that was due.
    found: Arc<AtomicUsize>,
}

impl Fetcher {
    /// Waits for something, and shows meanwhile that the worker is alive.
    async fn alive_until(
        &self,
        worker: &WorkerContext,
        waiting: impl Future<Output = ()> + Send,
    ) -> Result<(), Error> {
        tokio::pin!(waiting);
        loop {
            tokio::select! {
                biased;
                () = &mut waiting => return Ok(()),
                () = sleep(HEARTBEAT) => self.show_alive(worker).await?,
            }
        }
    }

    async fn show_alive(&self, worker: &WorkerContext) -> Result<(), Error> {
        let shown = sqlx::query!(
            "update apalis.workers set last_seen = now() where id = $1",
            worker.name(),
        )
        .execute(&self.fetching.pool)
        .await?;
        self.fetching.watchdog.beat();
        if shown.rows_affected() == 1 { Ok(()) } else { Err(Error::WorkerOutOfSync) }
    }

    async fn wait_until_open(&self) {
        if let Some(admission) = &self.fetching.admission {
            admission.wait_until_open().await;
        }
    }

    async fn fetch(&self, worker: &WorkerContext) -> Result<Vec<PgTask>, Error> {
        let Fetching { pool, queue, batch_size, watchdog, .. } = &self.fetching;
        let rows = sqlx::query!(
            r#"select id as "id!", job as "job!" from apalis.get_jobs($1, $2, $3)"#,
            worker.name(),
            queue.name(),
            i32::try_from(*batch_size).unwrap_or(i32::MAX),
        )
        .fetch_all(pool)
        .await?;
        watchdog.beat();
        self.found.store(rows.len(), Relaxed);
        let mut jobs = Vec::with_capacity(rows.len());
        let mut unreadable = Vec::new();
        for row in rows {
            // apalis would end the worker, and fetch the job again and again.
            match (Ulid::from_string(&row.id), serde_json::from_slice::<Uuid>(&row.job)) {
                (Ok(id), Ok(_)) => jobs.push(self.task(id, row.job)),
                _ => unreadable.push(row.id),
            }
        }
        if !unreadable.is_empty() {
            self.put_aside(worker, &unreadable).await?;
        }
        Ok(jobs)
    }

    fn task(&self, id: Ulid, job: Vec<u8>) -> PgTask {
        let task = TaskBuilder::new(job).task_id(TaskId::from_ulid(id)).status(Status::Queued);
        task.queue(self.config.queue.clone()).max_attempts(1).build()
    }

    /// Ends jobs that are none of ours, or damaged. Housekeeping creates those anew whose transactions are due.
    async fn put_aside(&self, worker: &WorkerContext, ids: &[String]) -> Result<(), Error> {
        tracing::error!(queue = ?self.fetching.queue, ?ids, "jobs that cannot be read are put aside");
        sqlx::query!(
            "update apalis.jobs set status = 'Killed', done_at = now(), lock_by = null, lock_at = null
             where id = any ($1) and lock_by = $2",
            ids,
            worker.name(),
        )
        .execute(&self.fetching.pool)
        .await?;
        Ok(())
    }
}

impl Persistence for Fetcher {
    type Compact = Vec<u8>;
    type Response = Value;
    type Error = Error;

    async fn register(&mut self, worker: &WorkerContext) -> Result<(), Error> {
        sqlx::query!(
            "insert into apalis.workers (id, worker_type, storage_name, last_seen)
             values ($1, $2, 'Onceward', now())",
            worker.name(),
            self.fetching.queue.name(),
        )
        .execute(&self.fetching.pool)
        .await?;
        self.fetching.watchdog.beat();
        Ok(())
    }

    async fn heartbeat(&mut self, worker: &WorkerContext) -> Result<(), Error> {
        self.show_alive(worker).await
    }

    /// Waits until there are jobs. A wake-up that comes during a fetch causes another one.
    async fn fetch_next(&mut self, worker: &WorkerContext) -> Result<Vec<PgTask>, Error> {
        let Fetching { queue, wake_ups, batch_size, .. } = &self.fetching;
        loop {
            let found = self.found.load(Relaxed);
            if found < *batch_size {
                if found > 1 {
                    sleep(FETCH_SPACING).await;
                }
                self.alive_until(worker, wake_ups.woken(*queue)).await?;
            }
            self.alive_until(worker, self.wait_until_open()).await?;
            let jobs = self.fetch(worker).await?;
            if !jobs.is_empty() {
                return Ok(jobs);
            }
        }
    }

    async fn reenqueue_abandoned(
        &mut self,
        jobs: Vec<PgTask>,
        worker: &WorkerContext,
    ) -> Result<u64, Error> {
        let ids: Vec<_> =
            jobs.iter().filter_map(|job| job.task_id()).map(|id| id.to_string()).collect();
        let abandoned = sqlx::query!(
            "update apalis.jobs set status = 'Pending', lock_by = null, lock_at = null
             where id = any ($1) and lock_by = $2 and status = 'Queued'",
            &ids,
            worker.name(),
        )
        .execute(&self.fetching.pool)
        .await?;
        Ok(abandoned.rows_affected())
    }

    /// There are none, because neither locks nor results are recorded.
    async fn handle_events(
        &mut self,
        _: Vec<TaskEvent<Value>>,
        _: &WorkerContext,
    ) -> Result<(), Error> {
        Ok(())
    }

    async fn push_tasks(&mut self, jobs: Vec<PgTask>) -> Result<(), Error> {
        let pushed = self.fetching.pool.with_connection(async |connection| {
            Ok(queries::push_tasks(connection, self.fetching.queue.name(), jobs).await)
        });
        pushed.await?.map(|_| ())
    }
}
