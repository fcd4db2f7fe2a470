//! A worker's heartbeat: each second it renews its lease, and looks for what it does not learn otherwise:
//! jobs that are due, a pause, claims and jobs of dead workers.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use domain::protocol::Policy;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{admission::Admission, execution::Executor};
use crate::{
    database::BoundedPool,
    job::Queue,
    recovery::{
        ReclaimCause,
        lease::{LEASE, RENEWAL, look, orphaned_claims, release_stranded_jobs, renew},
        reclaim, reclaim_expired,
    },
    wake_ups::WakeUps,
};

/// How long a look and what follows from it may take before the lease is renewed again: together with
/// [`RENEWAL`] and one statement it is less than [`LEASE`].
const LOOK_TIMEOUT: Duration = Duration::from_secs(2);

/// The heartbeat of one worker.
pub struct Heartbeat<'a> {
    pub pool: &'a BoundedPool,
    pub worker_id: Uuid,
    pub executor: &'a Executor,
    pub admission: &'a Admission,
    pub policy: &'a Policy,
    pub wake_ups: &'a WakeUps,
}

impl Heartbeat<'_> {
    /// Runs until `stop` is cancelled.
    pub async fn run(&self, stop: &CancellationToken) {
        let Self { pool, worker_id, admission, .. } = *self;
        let mut suspects = HashSet::new();
        // Since when this worker has been able to renew. After an outage of the database every lease may have
        // expired, and live workers must renew before any worker can be considered dead.
        let mut renewing_since = None;
        while !stop.is_cancelled() {
            match renew(pool, worker_id, admission.breaker_report(), admission.requests()).await {
                Ok(()) => {
                    let since = *renewing_since.get_or_insert_with(Instant::now);
                    self.look_around(since.elapsed() > LEASE, &mut suspects).await;
                }
                Err(error) => {
                    renewing_since = None;
                    tracing::warn!(%worker_id, %error, "the lease could not be renewed");
                }
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = sleep(RENEWAL) => {}
                () = self.wake_ups.woken_for_pause() => {}
            }
        }
    }

    async fn look_around(&self, may_reclaim: bool, suspects: &mut HashSet<(Uuid, i64)>) {
        let Self { worker_id, .. } = *self;
        match timeout(LOOK_TIMEOUT, self.look(may_reclaim, suspects)).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => {
                tracing::warn!(%worker_id, %error, "this worker could not look around");
            }
            Err(_) => tracing::warn!(%worker_id, "reclaiming continues after the next renewal"),
        }
        // Whether jobs are due is not known.
        for queue in Queue::ALL {
            self.wake_ups.wake(queue);
        }
    }

    async fn look(
        &self,
        may_reclaim: bool,
        suspects: &mut HashSet<(Uuid, i64)>,
    ) -> Result<(), sqlx::Error> {
        let Self { pool, worker_id, policy, .. } = *self;
        let in_flight = self.executor.in_flight();
        let seen = look(pool, worker_id, &in_flight).await?;
        self.admission.set_paused(seen.paused);
        // Until the next look, timers stand in for it.
        for (queue, due_in) in seen.due_within(2 * RENEWAL) {
            self.wake_ups.wake_in(queue, due_in);
        }
        if may_reclaim && seen.has_expired_claims {
            let reclaimed = reclaim_expired(pool, policy).await?;
            if reclaimed > 0 {
                tracing::warn!(reclaimed, "reclaimed the claims of dead workers");
                self.wake_for_transactions();
            }
        }
        if may_reclaim && seen.has_stranded_jobs {
            let released = release_stranded_jobs(pool).await?;
            if released > 0 {
                tracing::info!(released, "released jobs of dead workers");
                self.wake_for_transactions();
                self.wake_ups.wake(Queue::BulkRetries);
            }
        }
        let found = match seen.has_unknown_claims {
            true => orphaned_claims(pool, worker_id, &in_flight).await?,
            false => HashSet::new(),
        };
        let orphaned: Vec<_> = found.intersection(suspects).copied().collect();
        *suspects = found;
        if reclaim(pool, &orphaned, ReclaimCause::Released, policy).await? > 0 {
            self.wake_for_transactions();
        }
        Ok(())
    }

    fn wake_for_transactions(&self) {
        self.wake_ups.wake(Queue::Posting);
        self.wake_ups.wake(Queue::Verification);
    }
}
