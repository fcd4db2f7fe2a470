//! The health of the engine, from the tables alone: every process gives the same answer.

use domain::{Circuit, PostingStatus};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    posting_status::posting,
    unfinished::{OlderThan, Unfinished, unfinished},
};
use crate::{CommitFault, EngineError, Gateway};

/// If a transaction has been due for longer than this, posting does not keep up.
const LATE_SECONDS: f64 = 60.0;
/// If a transaction that was submitted longer ago than this is not final, something holds it up.
const UNFINISHED_SECONDS: f64 = 300.0;
/// If the share of failed attempts or verifications is above this, the posting service is in trouble.
const MANY_ERRORS: f64 = 0.5;
/// Of fewer verifications in the last minute, their share of failures says nothing.
const MIN_VERIFICATIONS: i64 = 5;

const NO_WORKER: &str = "no worker is alive";

/// The overall status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Everything works.
    Healthy,
    /// Transactions are accepted, but posting them is late or has stopped, most attempts or verifications fail, or
    /// stored transactions cannot be read.
    Degraded,
    /// Transactions cannot be accepted.
    Unhealthy,
}

/// What `GET /api/health` reports about the engine. Values that are unknown because the database does not
/// answer are null.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Health {
    /// The overall status.
    pub status: Status,
    /// Why it is not healthy, in short sentences; empty if it is.
    pub reasons: Vec<String>,
    /// Transactions that wait for a worker.
    pub queue_depth: Option<u64>,
    /// Transactions that a worker has claimed.
    pub in_flight: Option<u64>,
    /// Transactions that wait for a worker and had an attempt before.
    pub retry_count: Option<u64>,
    /// Transactions that are in doubt.
    pub in_doubt: Option<u64>,
    /// The share, from 0 to 1, of the attempts of the last minute that did not post.
    pub error_rate: Option<f64>,
    /// The share, from 0 to 1, of the verifications of the last minute that failed: no answer came, or none
    /// that could be read.
    pub verification_failure_rate: Option<f64>,
    /// How long ago the oldest due transaction became due.
    pub oldest_pending_seconds: Option<f64>,
    /// How long ago the oldest transaction that is not final was submitted.
    pub oldest_unfinished_seconds: Option<f64>,
    /// How many transactions that are not final were submitted longer ago than some limits.
    pub unfinished_older_than: Option<Vec<OlderThan>>,
    /// Stored transactions that were found to be unreadable.
    pub unreadable: Option<u64>,
    /// Whether posting is paused.
    pub paused: Option<bool>,
    /// Live workers.
    pub workers: Option<u32>,
    /// The circuit breaker of the worker in the best state; closed if there is no worker.
    pub circuit: Option<Circuit>,
}

impl Health {
    /// The health if transactions cannot be accepted, because of this.
    pub fn unhealthy(mut self, reason: &str) -> Self {
        self.status = Status::Unhealthy;
        // A worker cannot renew its lease either, so the table says that none is alive.
        let follows = [reason, NO_WORKER, CommitFault::Unreachable.reason()];
        self.reasons.retain(|other| !follows.contains(&other.as_str()));
        self.reasons.insert(0, reason.to_owned());
        self
    }

    /// The health if PostgreSQL does not answer.
    pub fn unreachable() -> Self {
        Self {
            status: Status::Unhealthy,
            reasons: vec![CommitFault::Unreachable.reason().to_owned()],
            queue_depth: None,
            in_flight: None,
            retry_count: None,
            in_doubt: None,
            error_rate: None,
            verification_failure_rate: None,
            oldest_pending_seconds: None,
            oldest_unfinished_seconds: None,
            unfinished_older_than: None,
            unreadable: None,
            paused: None,
            workers: None,
            circuit: None,
        }
    }
}

impl Gateway {
    /// Whether submissions can be committed now. A result of the last second is repeated.
    ///
    /// # Errors
    /// Why not. If only this one times out, [`CommitFault::TimedOut`]; if PostgreSQL answers nothing at all,
    /// [`CommitFault::Unreachable`].
    pub async fn check_commits(&self) -> Result<(), CommitFault> {
        let (commits, ping) = tokio::join!(self.commits.check(&self.pool), self.ping());
        match (commits, ping) {
            (Ok(()) | Err(CommitFault::TimedOut | CommitFault::Refused), Err(_)) => {
                Err(CommitFault::Unreachable)
            }
            (commits, _) => commits,
        }
    }

    /// The health of the engine.
    ///
    /// # Errors
    /// See [`EngineError`]; [`Health::unreachable`] is the answer then.
    pub async fn health(&self) -> Result<Health, EngineError> {
        // Cheap however long the backlog is: the number of claims is bounded, the oldest due transaction is
        // first in its index, and each worker reports its own requests.
        let waiting = sqlx::query!(
            r#"select
                coalesce(sum(added) filter (where state = 'pending'), 0)::bigint as "queue_depth!",
                coalesce(sum(added) filter (where state = 'pending' and tried), 0)::bigint
                    as "retry_count!",
                coalesce(sum(added) filter (where state = 'in_doubt'), 0)::bigint as "in_doubt!",
                claimed_transactions() as "in_flight!",
                (select count(*) from unreadable_transactions) as "unreadable!",
                -- Infinite times cannot be subtracted.
                (select extract(epoch from clock_timestamp()
                    - greatest(least(min(next_attempt_at), clock_timestamp()), 'epoch'))
                 from transactions where state = 'pending')::float8 as "oldest_pending_seconds!",
                (select coalesce(1 - sum(attempts_posted) / nullif(sum(attempts_ended), 0), 0)
                 from workers where expires_at > clock_timestamp())::float8 as "error_rate!",
                (select coalesce(sum(verifications_ended), 0)
                 from workers where expires_at > clock_timestamp())::bigint as "verifications!",
                (select coalesce(sum(verifications_failed), 0)
                 from workers where expires_at > clock_timestamp())::bigint as "failed_verifications!"
            from transaction_counts"#
        )
        .fetch_one(&self.pool)
        .await?;
        let posting = posting(&self.pool).await?;
        let Unfinished { oldest_seconds, older_than } = unfinished(&self.pool).await?;
        let signs = Signs {
            oldest_pending_seconds: waiting.oldest_pending_seconds.max(0.0),
            oldest_unfinished_seconds: oldest_seconds,
            error_rate: waiting.error_rate,
            verifications: waiting.verifications,
            failed_verifications: waiting.failed_verifications,
            unreadable: waiting.unreadable,
        };
        let reasons = reasons(&posting, &signs);
        Ok(Health {
            status: if reasons.is_empty() { Status::Healthy } else { Status::Degraded },
            reasons,
            queue_depth: Some(waiting.queue_depth.max(0).unsigned_abs()),
            in_flight: Some(waiting.in_flight.unsigned_abs()),
            retry_count: Some(waiting.retry_count.max(0).unsigned_abs()),
            in_doubt: Some(waiting.in_doubt.max(0).unsigned_abs()),
            error_rate: Some(signs.error_rate),
            verification_failure_rate: Some(signs.verification_failure_rate()),
            oldest_pending_seconds: Some(signs.oldest_pending_seconds),
            oldest_unfinished_seconds: Some(signs.oldest_unfinished_seconds),
            unfinished_older_than: Some(older_than),
            unreadable: Some(signs.unreadable.unsigned_abs()),
            paused: Some(posting.paused.is_some()),
            workers: Some(posting.circuits.workers()),
            circuit: Some(best(&posting)),
        })
    }
}

/// If at least one worker posts, posting continues.
fn best(posting: &PostingStatus) -> Circuit {
    let circuits = posting.circuits;
    if circuits.closed > 0 || circuits.workers() == 0 {
        Circuit::Closed
    } else if circuits.half_open > 0 {
        Circuit::HalfOpen
    } else {
        Circuit::Open
    }
}

/// What health is judged by, besides the status of posting.
struct Signs {
    oldest_pending_seconds: f64,
    oldest_unfinished_seconds: f64,
    error_rate: f64,
    verifications: i64,
    failed_verifications: i64,
    unreadable: i64,
}

impl Signs {
    fn verification_failure_rate(&self) -> f64 {
        self.failed_verifications as f64 / self.verifications.max(1) as f64
    }
}

fn reasons(posting: &PostingStatus, signs: &Signs) -> Vec<String> {
    let mut reasons = Vec::new();
    if posting.paused.is_some() {
        reasons.push("posting is paused".to_owned());
    }
    if posting.circuits.workers() == 0 {
        reasons.push(NO_WORKER.to_owned());
    }
    if best(posting) != Circuit::Closed {
        reasons.push(match posting.circuits.credentials_refused {
            0 => "nothing gets through to the posting service".to_owned(),
            _ => "the posting service refuses our credentials".to_owned(),
        });
    }
    if signs.oldest_pending_seconds > LATE_SECONDS {
        let seconds = signs.oldest_pending_seconds;
        reasons.push(format!("a transaction has been due for {seconds:.0} seconds"));
    }
    if signs.oldest_unfinished_seconds > UNFINISHED_SECONDS {
        let seconds = signs.oldest_unfinished_seconds;
        reasons
            .push(format!("a transaction was submitted {seconds:.0} seconds ago and is not final"));
    }
    if signs.error_rate > MANY_ERRORS {
        let percent = signs.error_rate * 100.0;
        reasons.push(format!("{percent:.0} % of the attempts of the last minute did not post"));
    }
    let failing = signs.verification_failure_rate();
    if signs.verifications >= MIN_VERIFICATIONS && failing > MANY_ERRORS {
        let percent = failing * 100.0;
        reasons.push(format!("{percent:.0} % of the verifications of the last minute failed"));
    }
    match signs.unreadable {
        0 => {}
        1 => reasons.push("1 stored transaction cannot be read".to_owned()),
        count => reasons.push(format!("{count} stored transactions cannot be read")),
    }
    reasons
}

#[cfg(test)]
mod tests {
    use chrono::Utc;
    use domain::{Circuits, Pause};

    use super::*;

    fn posting(closed: u32, half_open: u32, open: u32) -> PostingStatus {
        let circuits = Circuits { closed, open, half_open, credentials_refused: 0 };
        PostingStatus { paused: None, circuits }
    }

    /// The worst signs that are no reason.
    const FINE: Signs = Signs {
        oldest_pending_seconds: 60.0,
        oldest_unfinished_seconds: 300.0,
        error_rate: 0.5,
        verifications: 10,
        failed_verifications: 5,
        unreadable: 0,
    };

    #[test]
    fn one_worker_that_posts_is_enough() {
        for (circuits, expected) in [
            ([0, 0, 0], Circuit::Closed),
            ([1, 1, 1], Circuit::Closed),
            ([0, 1, 1], Circuit::HalfOpen),
            ([0, 0, 1], Circuit::Open),
        ] {
            let [closed, half_open, open] = circuits;
            assert_eq!(best(&posting(closed, half_open, open)), expected, "{circuits:?}");
        }
        assert_eq!(reasons(&posting(1, 0, 1), &FINE), [""; 0]);
    }

    #[test]
    fn what_keeps_commits_from_succeeding_is_named_first_and_what_follows_from_it_is_not() {
        let mut health = Health::unreachable();
        health.reasons = vec![NO_WORKER.to_owned(), "posting is paused".to_owned()];
        let health = health.unhealthy(CommitFault::DiskFull.reason());
        assert_eq!(health.status, Status::Unhealthy);
        assert_eq!(health.reasons, [CommitFault::DiskFull.reason(), "posting is paused"]);
        let trouble = "it is being started again";
        assert_eq!(Health::unreachable().unhealthy(trouble).reasons, [trouble]);
    }

    #[test]
    fn every_problem_is_reported() {
        let paused =
            Pause { paused_at: Utc::now(), paused_by: "anonymous".to_owned(), reason: None };
        let status = PostingStatus { paused: Some(paused), ..posting(0, 0, 1) };
        let signs = Signs {
            oldest_pending_seconds: 75.4,
            oldest_unfinished_seconds: 400.2,
            error_rate: 0.7,
            verifications: 5,
            failed_verifications: 4,
            unreadable: 2,
        };
        assert_eq!(
            reasons(&status, &signs),
            [
                "posting is paused",
                "nothing gets through to the posting service",
                "a transaction has been due for 75 seconds",
                "a transaction was submitted 400 seconds ago and is not final",
                "70 % of the attempts of the last minute did not post",
                "80 % of the verifications of the last minute failed",
                "2 stored transactions cannot be read",
            ]
        );
        assert_eq!(reasons(&posting(0, 0, 0), &FINE), ["no worker is alive"]);
        let mut refused = posting(0, 1, 1);
        refused.circuits.credentials_refused = 1;
        assert_eq!(reasons(&refused, &FINE), ["the posting service refuses our credentials"]);
        // A few failures say nothing.
        let few = Signs { verifications: 4, failed_verifications: 4, ..FINE };
        assert_eq!(reasons(&posting(1, 0, 0), &few), [""; 0]);
    }
}
