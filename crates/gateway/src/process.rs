//! One transaction's turn: claim it, verify where an earlier attempt may have arrived, post, and
//! record what became of it.

use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use domain::{
    Ending, Finding, Outcome,
    protocol::{self, Doubt, POST_WITHIN, Policy, Step},
};
use futures::FutureExt;
use sqlx::PgPool;
use thiserror::Error;
use uuid::Uuid;

use crate::{
    advance::{Evidence, Lost, begin_attempt, record},
    claim::{Claim, claim},
    job::Job,
    posting::{Answer, PostingService},
    take_back::{Cause, take_back},
};

/// How long to wait before telling the database again what it did not take.
const PAUSE: Duration = Duration::from_millis(500);

/// Why a turn was cut short.
#[derive(Debug, Error)]
pub enum EngineError {
    /// PostgreSQL did not answer, or with an error.
    #[error("the database does not answer: {0}")]
    Database(#[from] sqlx::Error),
    /// A row holds what this version cannot read.
    #[error("transaction {id} has an unreadable {column}")]
    Unreadable {
        /// The transaction.
        id: Uuid,
        /// The column of its row.
        column: &'static str,
    },
}

impl EngineError {
    /// Whether the same turn may go well later.
    pub fn retryable(&self) -> bool {
        matches!(self, Self::Database(_))
    }
}

/// What a turn came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Turn {
    /// There is no such transaction, it is not due, or another worker has it.
    NotDue,
    /// It took this last step.
    Took(Step),
    /// Another worker took it over meanwhile; what this one learnt is void.
    TakenOver,
}

/// Takes transactions through their turns, on behalf of one run of a worker.
pub struct Poster {
    pool: PgPool,
    posting: Arc<dyn PostingService>,
    policy: Policy,
    run: Uuid,
    turns: Mutex<Vec<Uuid>>,
}

impl Poster {
    /// A poster whose claims are those of `run`.
    pub fn new(pool: PgPool, posting: Arc<dyn PostingService>, policy: Policy, run: Uuid) -> Self {
        Self { pool, posting, policy, run, turns: Mutex::default() }
    }

    /// One turn of a transaction: what its job asks for. Never fails; what goes wrong is logged, and
    /// the transaction is given back.
    pub async fn turn(&self, id: Uuid) {
        self.turns().push(id);
        self.take_turn(id).await;
        let mut turns = self.turns();
        if let Some(ended) = turns.iter().position(|turn| *turn == id) {
            turns.swap_remove(ended);
        }
    }

    /// The transactions whose turn is under way; twice where two are, of which one is in vain.
    pub fn under_way(&self) -> Vec<Uuid> {
        self.turns().clone()
    }

    fn turns(&self) -> MutexGuard<'_, Vec<Uuid>> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn take_turn(&self, id: Uuid) {
        let cause = match AssertUnwindSafe(self.process(id)).catch_unwind().await {
            Ok(Ok(Turn::NotDue)) => match self.settle_job(id).await {
                Ok(()) => return,
                Err(error) => {
                    tracing::error!(transaction_id = %id, %error, "a job could not be settled");
                    Cause::GivenBack
                }
            },
            Ok(Ok(turn)) => {
                tracing::debug!(transaction_id = %id, ?turn);
                return;
            }
            Ok(Err(error)) => {
                tracing::error!(transaction_id = %id, %error, "a turn was cut short");
                if error.retryable() { Cause::GivenBack } else { Cause::WorkerLost }
            }
            Err(_) => {
                tracing::error!(transaction_id = %id, "a turn panicked");
                Cause::WorkerLost
            }
        };
        while let Err(error) = self.give_back(id, cause).await {
            tracing::warn!(transaction_id = %id, %error, "cannot give it back yet");
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Claims a transaction and takes it as far as it goes now: to an end, or to its next due time.
    ///
    /// # Errors
    /// See [`EngineError`]. The claim may still hold then; [`Poster::turn`] gives it back.
    pub async fn process(&self, id: Uuid) -> Result<Turn, EngineError> {
        let Some(mut claim) = claim(&self.pool, id, self.run, &self.policy).await? else {
            return Ok(Turn::NotDue);
        };
        let mut step = protocol::on_claim(&claim.progress, &self.policy);
        let mut evidence = Evidence::None;
        let mut posted = false;
        loop {
            (evidence, step) = match step {
                Step::Post => {
                    if !claim.attempt_begun {
                        claim.asked = Instant::now();
                        let within = self.policy.gives_up_within();
                        match begin_attempt(&self.pool, &claim, &evidence, within).await? {
                            Ok(()) => claim.progress.attempts += 1,
                            Err(Lost) => return Ok(Turn::TakenOver),
                        }
                    }
                    posted = true;
                    self.post(&mut claim).await
                }
                Step::Verify => {
                    // An attempt's end is told before the question: a crash must not forget it.
                    if matches!(evidence, Evidence::Attempt { .. })
                        && let Err(Lost) = record(&self.pool, &claim, &evidence, &step).await?
                    {
                        return Ok(Turn::TakenOver);
                    }
                    self.verify(&mut claim, posted).await
                }
                end => {
                    return Ok(match record(&self.pool, &claim, &evidence, &end).await? {
                        Ok(()) => Turn::Took(end),
                        Err(Lost) => Turn::TakenOver,
                    });
                }
            };
        }
    }

    async fn post(&self, claim: &mut Claim) -> (Evidence, Step) {
        // Whoever takes over counts on it that a POST which did not leave by now never will.
        let answer = match claim.asked.elapsed() < POST_WITHIN {
            true => self.posting.post(&claim.posting).await,
            false => held_up(),
        };
        let now = claim.now();
        let (outcome, window) = answer.ending.outcome();
        claim.progress.not_before = answer.ending.retry_after().map(|time| now + time);
        claim.progress.doubt = window.map(|window| Doubt { since: now, window });
        claim.progress.verifications = 0;
        if outcome == Outcome::NotSent {
            claim.progress.attempts = claim.progress.attempts.saturating_sub(1);
        }
        let step =
            protocol::after_post(outcome, &claim.progress, &self.policy, now, rand::random());
        (Evidence::Attempt { answer, outcome, window }, step)
    }

    async fn verify(&self, claim: &mut Claim, posted: bool) -> (Evidence, Step) {
        let started_at = claim.now();
        let sighting = self.posting.verify(&claim.posting).await;
        let ended_at = claim.now();
        claim.progress.verifications += 1;
        let step = protocol::after_verification(
            sighting.finding,
            started_at,
            &claim.progress,
            &self.policy,
            ended_at,
            posted,
            rand::random(),
        );
        if sighting.finding == Finding::Mismatch {
            tracing::error!(transaction_id = %claim.posting.id, "the posting service has another entry under this id");
        }
        (Evidence::Verification { sighting, started_at, ended_at }, step)
    }

    /// What to do with the job of a transaction that could not be claimed: none where nothing is to
    /// come, a later one where it is due later, and none of our business where another worker has it.
    async fn settle_job(&self, id: Uuid) -> Result<(), sqlx::Error> {
        let job_id = Job::id_of(id);
        sqlx::query!(
            "with later as (
                update apalis.jobs set
                    status = 'Pending', run_at = t.next_attempt_at, lock_by = null, lock_at = null
                from transactions t
                where jobs.id = $2 and t.id = $1 and t.claimed_by is null and t.next_attempt_at is not null
             )
             delete from apalis.jobs where id = $2 and not exists (
                select from transactions
                where id = $1 and (claimed_by is not null or next_attempt_at is not null)
             )",
            id,
            job_id,
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Makes the transaction due again where this run still holds it, and its job where it does not.
    async fn give_back(&self, id: Uuid, cause: Cause) -> Result<(), sqlx::Error> {
        let held = sqlx::query!(
            "select id, fence from transactions where id = $1 and claimed_by = $2",
            id,
            self.run,
        )
        .fetch_optional(&self.pool)
        .await?;
        match held {
            Some(row) => take_back(&self.pool, &[(row.id, row.fence)], cause).await.map(|_| ()),
            None => self.settle_job(id).await,
        }
    }
}

fn held_up() -> Answer {
    Answer {
        ending: Ending::NotConnected,
        transport_error: Some("held up for too long before it was sent".to_owned()),
        excerpt: None,
    }
}
