//! One transaction's turn: claim it, verify where an earlier attempt may have arrived, post, and
//! record what became of it.

use std::{
    collections::{HashMap, hash_map::Entry},
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use domain::{
    Finding, Outcome,
    protocol::{self, POST_WITHIN, Policy, Step},
};
use futures::FutureExt;
use sqlx::PgPool;
use uuid::Uuid;

use crate::{
    BootInstant, EngineError,
    database::batcher::{Batcher, BatcherLimits},
    database::bounded_pool::BoundedPool,
    job::{Job, POSTING, Purpose, VERIFICATION},
    posting::admission::{Admission, Pass},
    posting::claim::{Claim, Wanted, claim},
    posting::record::{Change, Evidence, StaleFence, record},
    posting::service::PostingService,
    recovery::reclaim::{ReclaimCause, reclaim},
};

/// One statement at a time, because the more go together, the less each costs. The worker lets so many turns be
/// under way, so those that call are not too many.
const BOUNDS: BatcherLimits =
    BatcherLimits { waiting: usize::MAX, statements: 1, further: 2, calls: 256 };
/// How long one of them may take. Many wait for it, so it must not wait for ever for an answer that is lost.
pub const WORKER_STATEMENT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long to wait before telling the database again what it did not take.
const PAUSE: Duration = Duration::from_millis(500);

/// What a turn came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExecutionResult {
    /// There is no such transaction, it is not due, or not for this purpose, or another worker has it.
    NotDue,
    /// The gate lets nothing through.
    NotAdmitted,
    /// It took this last step.
    Took(Step),
    /// Another worker took it over meanwhile; what this one learnt is void.
    Superseded,
}

/// Takes transactions through their turns, on behalf of one run of a worker.
pub struct Executor {
    pool: BoundedPool,
    posting: Arc<dyn PostingService>,
    gate: Arc<Admission>,
    policy: Policy,
    run: Uuid,
    /// How many turns of a transaction are under way; where two are, one of them is in vain.
    turns: Mutex<HashMap<Uuid, u32>>,
    /// Claims to post, and claims to verify: a row that somebody has locked holds up its own kind at most.
    posts: Batcher<Wanted, Result<Option<Claim>, EngineError>>,
    verifications: Batcher<Wanted, Result<Option<Claim>, EngineError>>,
    changes: Batcher<Change, Result<(), StaleFence>>,
}

impl Executor {
    /// A poster whose claims are those of `run`.
    pub fn new(
        pool: PgPool,
        posting: Arc<dyn PostingService>,
        gate: Arc<Admission>,
        policy: Policy,
        run: Uuid,
    ) -> Self {
        let pool = BoundedPool::new(pool, WORKER_STATEMENT_TIMEOUT);
        let claims = || {
            let pool = pool.clone();
            Batcher::new(BOUNDS, move |wanted| {
                let pool = pool.clone();
                async move { claim(&pool, wanted, run, &policy).await }.boxed()
            })
        };
        let (posts, verifications) = (claims(), claims());
        let statements = pool.clone();
        let changes = Batcher::new(BOUNDS, move |changes| {
            let pool = statements.clone();
            async move { record(&pool, changes).await }.boxed()
        });
        let turns = Mutex::default();
        Self { pool, posting, gate, policy, run, turns, posts, verifications, changes }
    }

    /// One turn of a transaction: what its job asks for. Never fails; what goes wrong is logged, and
    /// the transaction is given back. `place` is dropped when another turn may begin in its place.
    pub async fn turn(&self, id: Uuid, purpose: Purpose, place: impl Send) {
        *self.turns().entry(id).or_default() += 1;
        self.take_turn(id, purpose, place).await;
        if let Entry::Occupied(mut turns) = self.turns().entry(id) {
            *turns.get_mut() -= 1;
            if *turns.get() == 0 {
                turns.remove();
            }
        }
    }

    /// The transactions whose turn is under way.
    pub fn under_way(&self) -> Vec<Uuid> {
        self.turns().keys().copied().collect()
    }

    fn turns(&self) -> MutexGuard<'_, HashMap<Uuid, u32>> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn take_turn(&self, id: Uuid, purpose: Purpose, place: impl Send) {
        let processed = AssertUnwindSafe(self.process(id, purpose, place)).catch_unwind();
        let cause = match processed.await {
            Ok(Ok(ExecutionResult::NotDue | ExecutionResult::NotAdmitted)) => {
                match self.settle_job(id).await {
                    Ok(()) => return,
                    Err(error) => {
                        tracing::error!(transaction_id = %id, %error, "a job could not be settled");
                        ReclaimCause::Released
                    }
                }
            }
            Ok(Ok(turn)) => {
                tracing::debug!(transaction_id = %id, ?turn);
                return;
            }
            Ok(Err(error)) => {
                tracing::error!(transaction_id = %id, %error, "a turn was cut short");
                if error.retryable() { ReclaimCause::Released } else { ReclaimCause::WorkerDied }
            }
            Err(_) => {
                tracing::error!(transaction_id = %id, "a turn panicked");
                ReclaimCause::WorkerDied
            }
        };
        while let Err(error) = self.release(id, cause).await {
            tracing::warn!(transaction_id = %id, %error, "cannot give it back yet");
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Claims a transaction and takes it as far as it goes now: to an end, or to its next due time. Once
    /// nothing more is to be asked of the posting service, its slot there is free, and `place` is dropped:
    /// what became of it is recorded together with others', and nobody waits for that.
    ///
    /// # Errors
    /// See [`EngineError`]. The claim may still hold then; [`Executor::turn`] gives it back.
    pub async fn process(
        &self,
        id: Uuid,
        purpose: Purpose,
        place: impl Send,
    ) -> Result<ExecutionResult, EngineError> {
        let (mut pass, mut slot) = (None, None);
        match purpose {
            Purpose::Post => pass = self.gate.pass().await,
            Purpose::Verify => slot = self.gate.verification_permit().await,
        }
        if pass.is_none() && slot.is_none() {
            return Ok(ExecutionResult::NotAdmitted);
        }
        let claims = match purpose {
            Purpose::Post => &self.posts,
            Purpose::Verify => &self.verifications,
        };
        let Some(claim) = claims.call((id, purpose)).await?? else {
            return Ok(ExecutionResult::NotDue);
        };
        let (mut turn, mut step) = protocol::Execution::begin(claim.progress, self.policy);
        let mut evidence = Evidence::None;
        loop {
            (evidence, step) = match step {
                Step::Post => self.post(&claim, &mut turn, pass.as_mut()).await,
                Step::Verify => {
                    // An attempt's end is told before the question: a crash must not forget it.
                    if matches!(evidence, Evidence::Attempt { .. })
                        && let Err(StaleFence) = self.record(&claim, evidence, &step).await?
                    {
                        return Ok(ExecutionResult::Superseded);
                    }
                    self.verify(&claim, &mut turn).await
                }
                end => {
                    drop((pass, slot, place));
                    return Ok(match self.record(&claim, evidence, &end).await? {
                        Ok(()) => ExecutionResult::Took(end),
                        Err(StaleFence) => ExecutionResult::Superseded,
                    });
                }
            };
        }
    }

    async fn record(
        &self,
        claim: &Claim,
        evidence: Evidence,
        step: &Step,
    ) -> Result<Result<(), StaleFence>, EngineError> {
        Ok(self.changes.call(Change::new(claim, evidence, step)).await?)
    }

    async fn post(
        &self,
        claim: &Claim,
        turn: &mut protocol::Execution,
        pass: Option<&mut Pass<'_>>,
    ) -> (Evidence, Step) {
        // Whoever takes over counts on it that a POST which did not leave by then never will.
        let send_deadline = claim.asked + POST_WITHIN;
        let begun = Instant::now();
        let answer = self.posting.post(&claim.posting, send_deadline).await;
        let (outcome, window, step) = turn.after_post(&answer.ending, claim.now(), rand::random());
        metrics::counter!("onceward_attempts_total", "outcome" => outcome.as_str()).increment(1);
        metrics::histogram!("onceward_attempt_duration_seconds", "outcome" => outcome.as_str())
            .record(begun.elapsed());
        // What was held up here tells nothing about the posting service.
        if let Some(pass) = pass
            && (outcome != Outcome::NotSent || BootInstant::now() < send_deadline)
        {
            pass.ended(outcome);
        }
        (Evidence::Attempt { answer, outcome, window }, step)
    }

    async fn verify(&self, claim: &Claim, turn: &mut protocol::Execution) -> (Evidence, Step) {
        self.gate.wait_for_verification_rate().await;
        let started_at = claim.now();
        let sighting = self.posting.verify(&claim.posting).await;
        let ended_at = claim.now();
        let step = turn.after_verification(
            sighting.finding,
            sighting.retry_after,
            started_at,
            ended_at,
            rand::random(),
        );
        metrics::counter!("onceward_verifications_total", "finding" => sighting.finding.as_str())
            .increment(1);
        if sighting.finding == Finding::Mismatch {
            tracing::error!(transaction_id = %claim.posting.id, "the posting service has another entry under this id");
        }
        (Evidence::Verification { sighting, started_at, ended_at }, step)
    }

    /// What to do with the job of a transaction that was not claimed: none where nothing is to come, one
    /// for when it is due where something is, and none of our business where another worker has it.
    async fn settle_job(&self, id: Uuid) -> Result<(), sqlx::Error> {
        let job_id = Job::id_of(id);
        sqlx::query!(
            // Locked first: whoever changes the transaction meanwhile also writes its job.
            "with t as (
                select doubt_since, claimed_by, next_attempt_at from transactions where id = $1 for share
             ),
             later as (
                update apalis.jobs set
                    job_type = case when t.doubt_since is null then $3 else $4 end,
                    status = 'Pending', run_at = t.next_attempt_at, lock_by = null, lock_at = null
                from t
                where jobs.id = $2 and t.claimed_by is null and t.next_attempt_at is not null
             )
             delete from apalis.jobs where id = $2 and not exists (
                select from t where claimed_by is not null or next_attempt_at is not null
             )",
            id,
            job_id,
            POSTING,
            VERIFICATION,
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Makes the transaction due again where this run still holds it, and its job where it does not.
    async fn release(&self, id: Uuid, cause: ReclaimCause) -> Result<(), sqlx::Error> {
        let held = sqlx::query!(
            "select id, fence from transactions where id = $1 and claimed_by = $2",
            id,
            self.run,
        )
        .fetch_optional(&self.pool)
        .await?;
        match held {
            Some(row) => {
                reclaim(&self.pool, &[(row.id, row.fence)], cause, &self.policy).await.map(|_| ())
            }
            None => self.settle_job(id).await,
        }
    }
}
