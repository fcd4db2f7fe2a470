//! The workers: apalis fetches jobs and dispatches them to [`Poster::turn`], under supervision.

use std::{collections::HashSet, sync::Arc, time::Duration};

use apalis::prelude::*;
use apalis_postgres::{Config, PostgresStorage};
use domain::protocol::Policy;
use futures::{Stream, stream};
use sqlx::PgPool;
use tokio::{sync::Notify, time::sleep};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    Poster, PostingService,
    job::{Job, QUEUE},
    lease,
    take_back::{Cause, take_back},
};

/// Behind the wake-ups stands an interval: for due retries, and for what other processes accept.
const INTERVAL: Duration = Duration::from_millis(100);
/// A wake-up that arrives while a fetch is under way is used up by it, but that fetch may have looked
/// too early. So every wake-up is followed by a second look.
const SECOND_LOOK: Duration = Duration::from_millis(5);
/// Between the end of an apalis worker and its restart.
const RESTART: Duration = Duration::from_secs(1);

/// How a worker posts.
#[derive(Debug, Clone, Copy)]
pub struct WorkerSettings {
    /// The protocol's settings.
    pub policy: Policy,
    /// Turns under way at once.
    pub concurrency: usize,
    /// How long a shutdown waits for the turns that are under way.
    pub grace: Duration,
}

/// Gets transactions posted, until it is told to stop.
pub struct Worker {
    /// For claims and what follows.
    pub pool: PgPool,
    /// For apalis, which ends its worker on any database error: it must not wait for a connection.
    pub apalis_pool: PgPool,
    /// Where to post.
    pub posting: Arc<dyn PostingService>,
    /// How.
    pub settings: WorkerSettings,
    /// Told of commits in this process that made work.
    pub wake: Arc<Notify>,
}

impl Worker {
    /// Runs until `shutdown`, and then for as long as the grace allows. Errors of the database stop
    /// nothing for good.
    pub async fn run(self, shutdown: CancellationToken) {
        let run = Uuid::now_v7();
        while let Err(error) = lease::renew(&self.pool, run).await {
            tracing::warn!(%error, "a worker cannot start yet");
            tokio::select! {
                () = sleep(RESTART) => {}
                () = shutdown.cancelled() => return,
            }
        }
        tracing::info!(%run, concurrency = self.settings.concurrency, "a worker has started");
        let poster = Arc::new(Poster::new(
            self.pool.clone(),
            self.posting.clone(),
            self.settings.policy,
            run,
        ));
        let ended = CancellationToken::new();
        let leases =
            tokio::spawn(keep_lease(self.pool.clone(), run, poster.clone(), ended.clone()));
        let grace = async {
            shutdown.cancelled().await;
            sleep(self.settings.grace).await;
        };
        tokio::select! {
            () = self.supervise(run, &poster, shutdown.clone()) => {}
            () = grace => tracing::warn!(%run, "turns are still under way; giving them back"),
        }
        ended.cancel();
        let _ = leases.await;
        match lease::end(&self.pool, run).await {
            Ok(given_back) => tracing::info!(%run, given_back, "the worker has stopped"),
            Err(error) => tracing::warn!(%run, %error, "the worker's lease runs out by itself"),
        }
    }

    /// Runs one apalis worker after another. A name that was used before would leave the jobs of its
    /// last use stuck, so each has its own.
    async fn supervise(&self, run: Uuid, poster: &Arc<Poster>, shutdown: CancellationToken) {
        for restart in 0_u64.. {
            // A part of what it can do: what a worker has fetched, an idle one cannot have.
            let config = Config::default()
                .queue(QUEUE)
                .batch_size(self.settings.concurrency.div_ceil(4))
                .heartbeat_interval(lease::RENEWAL)
                .missed_heartbeats(lease::LEASE.as_secs() as usize)
                // The transaction's row says what is under way and what came of it.
                .lock_tasks(false)
                .persist_results(false);
            let backend = PostgresStorage::<Job>::new(&self.apalis_pool)
                .with_config(config)
                .poll_with_stream(Box::pin(looks(self.wake.clone())));
            let worker = WorkerBuilder::new(format!("{run}-{restart}"))
                .backend(backend)
                .data(poster.clone())
                .concurrency(self.settings.concurrency)
                .build(take_turn);
            let stop = shutdown.clone().cancelled_owned();
            let result = worker
                .run_until(async move {
                    stop.await;
                    Ok::<_, WorkerError>(())
                })
                .await;
            if shutdown.is_cancelled() {
                return;
            }
            tracing::warn!(%run, ?result, "an apalis worker ended and is started again");
            tokio::select! {
                () = sleep(RESTART) => {}
                () = shutdown.cancelled() => return,
            }
        }
    }
}

async fn take_turn(job: Job, poster: Data<Arc<Poster>>) -> Result<(), BoxDynError> {
    // A task of its own: turns run beside each other, and none is cut short where apalis's worker is.
    let turn = tokio::spawn(async move { poster.turn(job.0).await });
    Ok(turn.await?)
}

/// When to look for jobs.
fn looks(wake: Arc<Notify>) -> impl Stream<Item = ()> + Send {
    stream::unfold((wake, false), |(wake, woken)| async move {
        if woken {
            sleep(SECOND_LOOK).await;
            return Some(((), (wake, false)));
        }
        let woken = tokio::time::timeout(INTERVAL, wake.notified()).await.is_ok();
        Some(((), (wake, woken)))
    })
}

/// Renews the lease and takes back what dead runs had claimed, and what this one has forgotten, until
/// told to end.
async fn keep_lease(pool: PgPool, run: Uuid, poster: Arc<Poster>, ended: CancellationToken) {
    let mut suspects = HashSet::new();
    while !ended.is_cancelled() {
        if let Err(error) = lease::renew(&pool, run).await {
            tracing::warn!(%run, %error, "the lease could not be renewed");
        }
        match lease::recover(&pool).await {
            Ok(0) => {}
            Ok(recovered) => tracing::warn!(recovered, "took back the claims of dead workers"),
            Err(error) => tracing::warn!(%run, %error, "dead workers could not be looked for"),
        }
        match lease::forgotten(&pool, run, &poster.under_way()).await {
            Ok(now) => {
                let forgotten: Vec<_> = now.intersection(&suspects).copied().collect();
                suspects = now;
                if let Err(error) = take_back(&pool, &forgotten, Cause::GivenBack).await {
                    tracing::warn!(%run, %error, "forgotten claims could not be taken back");
                }
            }
            Err(error) => tracing::warn!(%run, %error, "forgotten claims could not be looked for"),
        }
        tokio::select! {
            () = sleep(lease::RENEWAL) => {}
            () = ended.cancelled() => {}
        }
    }
}
