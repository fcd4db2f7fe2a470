//! A worker's heartbeat: each second it renews its lease and reclaims the claims of dead workers.

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
    recovery::{
        ReclaimCause,
        lease::{LEASE, RENEWAL, orphaned_claims, renew},
        reclaim, reclaim_expired,
    },
};

/// How long reclaiming may take before the lease is renewed again: together with [`RENEWAL`] and one
/// statement it is less than [`LEASE`].
const RECOVERY_TIMEOUT: Duration = Duration::from_secs(2);

/// Renews the lease, reclaims the claims of dead workers and releases this worker's orphaned claims, until
/// `stop` is cancelled.
pub async fn run(
    pool: &BoundedPool,
    worker_id: Uuid,
    executor: &Executor,
    admission: &Admission,
    policy: &Policy,
    stop: &CancellationToken,
) {
    let mut suspects = HashSet::new();
    // Since when this worker has been able to renew. After an outage of the database every lease may have
    // expired, and live workers must renew before any worker can be considered dead.
    let mut renewing_since = None;
    while !stop.is_cancelled() {
        match renew(pool, worker_id, admission.circuit(), admission.requests()).await {
            Ok(()) => {
                let since = *renewing_since.get_or_insert_with(Instant::now);
                let recovery = async {
                    if since.elapsed() > LEASE {
                        match reclaim_expired(pool, policy).await? {
                            0 => {}
                            reclaimed => {
                                tracing::warn!(reclaimed, "reclaimed the claims of dead workers")
                            }
                        }
                    }
                    let found = orphaned_claims(pool, worker_id, &executor.in_flight()).await?;
                    let orphaned: Vec<_> = found.intersection(&suspects).copied().collect();
                    suspects = found;
                    reclaim(pool, &orphaned, ReclaimCause::Released, policy).await
                };
                match timeout(RECOVERY_TIMEOUT, recovery).await {
                    Ok(Ok(_)) => {}
                    Ok(Err(error)) => {
                        tracing::warn!(%worker_id, %error, "claims could not be reclaimed")
                    }
                    Err(_) => {
                        tracing::warn!(%worker_id, "reclaiming continues after the next renewal")
                    }
                }
            }
            Err(error) => {
                renewing_since = None;
                tracing::warn!(%worker_id, %error, "the lease could not be renewed");
            }
        }
        stop.run_until_cancelled(sleep(RENEWAL)).await;
    }
}
