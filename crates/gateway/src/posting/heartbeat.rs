//! What a worker does each second: it renews its lease, and takes back what dead ones had claimed.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use domain::protocol::Policy;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    Executor,
    database::bounded_pool::BoundedPool,
    posting::admission::Admission,
    recovery::{
        lease::{LEASE, RENEWAL, orphaned_claims, reclaim_expired, renew},
        reclaim::{ReclaimCause, reclaim},
    },
};

/// How long a run may look for what others and it have left behind, before it renews again: together with
/// [`RENEWAL`] and one statement less than [`LEASE`].
const RECOVERY: Duration = Duration::from_secs(2);
/// Renews the lease and takes back what dead runs had claimed, and what this one has orphaned_claims, until
/// told to end.
pub async fn keep(
    pool: &BoundedPool,
    run: Uuid,
    poster: &Executor,
    gate: &Admission,
    policy: &Policy,
    ended: &CancellationToken,
) {
    let mut suspects = HashSet::new();
    // Since when this run has been able to renew. After the database was gone every lease may have
    // expired, and the live have to renew before anyone can be called dead.
    let mut renewing_since = None;
    while !ended.is_cancelled() {
        match renew(pool, run, gate.circuit(), gate.attempts()).await {
            Ok(()) => {
                let since = *renewing_since.get_or_insert_with(Instant::now);
                let recovery = async {
                    if since.elapsed() > LEASE {
                        match reclaim_expired(pool, policy).await? {
                            0 => {}
                            lost => tracing::warn!(lost, "took back the claims of dead workers"),
                        }
                    }
                    let now = orphaned_claims(pool, run, &poster.under_way()).await?;
                    let orphaned_claims: Vec<_> = now.intersection(&suspects).copied().collect();
                    suspects = now;
                    reclaim(pool, &orphaned_claims, ReclaimCause::Released, policy).await
                };
                match timeout(RECOVERY, recovery).await {
                    Ok(Ok(_)) => {}
                    Ok(Err(error)) => {
                        tracing::warn!(%run, %error, "claims could not be taken back")
                    }
                    Err(_) => {
                        tracing::warn!(%run, "taking claims back goes on after the next renewal")
                    }
                }
            }
            Err(error) => {
                renewing_since = None;
                tracing::warn!(%run, %error, "the lease could not be renewed");
            }
        }
        ended.run_until_cancelled(sleep(RENEWAL)).await;
    }
}
