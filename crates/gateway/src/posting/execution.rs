//! One execution of a transaction: claim it, verify if an earlier attempt may have arrived, post, and record
//! the result.

use std::{
    collections::{HashMap, hash_map::Entry},
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use domain::{
    Ending, Finding,
    protocol::{self, POST_WITHIN, Policy, Step},
};
use futures::FutureExt;
use sqlx::PgPool;
use uuid::Uuid;

use super::{
    admission::{Admission, PostPermit},
    boot_instant::BootInstant,
    claim::{Claim, ClaimRequest, claim},
    record::{Change, Evidence, StaleFence, record},
    service::{LookupAnswer, PostAnswer, PostingService},
};
use crate::{
    EngineError,
    database::{Batcher, BatcherLimits, BoundedPool, WORKER_STATEMENT_TIMEOUT},
    job::{Job, POSTING, Purpose, Queue, VERIFICATION},
    recovery::{ReclaimCause, reclaim},
    wake_ups::WakeUps,
};

/// One statement at a time: the more calls share one, the less each costs. The worker limits the executions in
/// flight, so the queue needs no limit of its own.
const BATCHER_LIMITS: BatcherLimits = BatcherLimits {
    max_queued: usize::MAX,
    max_statements: 1,
    max_extra_statements: 2,
    max_calls: 256,
};
/// The delay between attempts to release a transaction.
const RELEASE_RETRY_DELAY: Duration = Duration::from_millis(500);

/// The result of an execution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExecutionResult {
    /// The transaction does not exist, is not due, is not due for this purpose, or is claimed by another
    /// worker.
    NotDue,
    /// Admission control granted no permit.
    NotAdmitted,
    /// It took this last step.
    Took(Step),
    /// The fence was raised meanwhile; what this execution learnt is void.
    Superseded,
}

/// Executes transactions on behalf of one worker.
pub struct Executor {
    pool: BoundedPool,
    posting: Arc<dyn PostingService>,
    admission: Arc<Admission>,
    policy: Policy,
    worker_id: Uuid,
    /// How many executions of a transaction are in flight. If there are two, one of them has no effect.
    in_flight: Mutex<HashMap<Uuid, u32>>,
    /// Claims to post and claims to verify are batched apart, so that a locked row delays only its own kind.
    post_claims: Batcher<ClaimRequest, Option<Claim>>,
    verification_claims: Batcher<ClaimRequest, Option<Claim>>,
    changes: Batcher<Change, Result<(), StaleFence>>,
    wake_ups: WakeUps,
}

impl Executor {
    /// An executor that claims for the worker `worker_id`.
    pub fn new(
        pool: PgPool,
        posting: Arc<dyn PostingService>,
        admission: Arc<Admission>,
        policy: Policy,
        worker_id: Uuid,
    ) -> Self {
        let pool = BoundedPool::new(pool, WORKER_STATEMENT_TIMEOUT);
        let claims = || {
            let pool = pool.clone();
            Batcher::new(BATCHER_LIMITS, move |requests| {
                let pool = pool.clone();
                async move { claim(&pool, requests, worker_id, &policy).await }.boxed()
            })
        };
        let (post_claims, verification_claims) = (claims(), claims());
        let changes_pool = pool.clone();
        let changes = Batcher::new(BATCHER_LIMITS, move |changes| {
            let pool = changes_pool.clone();
            async move { record(&pool, changes).await }.boxed()
        });
        Self {
            pool,
            posting,
            admission,
            policy,
            worker_id,
            in_flight: Mutex::default(),
            post_claims,
            verification_claims,
            changes,
            wake_ups: WakeUps::default(),
        }
    }

    /// Makes the executor wake these dispatchers when a retry that it has recorded is due.
    pub fn waking(self, wake_ups: WakeUps) -> Self {
        Self { wake_ups, ..self }
    }

    /// Runs the job of a transaction: executes it once. Never fails: an error is logged, and the
    /// transaction is released. `permit` is dropped as soon as another execution may begin instead.
    pub async fn run_job(&self, id: Uuid, purpose: Purpose, permit: impl Send) {
        *self.executions().entry(id).or_default() += 1;
        self.execute_or_release(id, purpose, permit).await;
        if let Entry::Occupied(mut executions) = self.executions().entry(id) {
            *executions.get_mut() -= 1;
            if *executions.get() == 0 {
                executions.remove();
            }
        }
    }

    /// The transactions with an execution in flight.
    pub fn in_flight(&self) -> Vec<Uuid> {
        self.executions().keys().copied().collect()
    }

    fn executions(&self) -> MutexGuard<'_, HashMap<Uuid, u32>> {
        self.in_flight.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn execute_or_release(&self, id: Uuid, purpose: Purpose, permit: impl Send) {
        let executed = AssertUnwindSafe(self.execute(id, purpose, permit)).catch_unwind();
        let cause = match executed.await {
            Ok(Ok(ExecutionResult::NotDue | ExecutionResult::NotAdmitted)) => {
                match self.settle_job(id).await {
                    Ok(()) => return,
                    Err(error) => {
                        tracing::error!(transaction_id = %id, %error, "a job could not be settled");
                        ReclaimCause::Released
                    }
                }
            }
            Ok(Ok(result)) => {
                tracing::debug!(transaction_id = %id, ?result);
                return;
            }
            Ok(Err(error)) => {
                tracing::error!(transaction_id = %id, %error, "an execution was interrupted");
                if error.retryable() { ReclaimCause::Released } else { ReclaimCause::WorkerDied }
            }
            Err(_) => {
                tracing::error!(transaction_id = %id, "an execution panicked");
                ReclaimCause::WorkerDied
            }
        };
        while let Err(error) = self.release(id, cause).await {
            tracing::warn!(transaction_id = %id, %error, "the transaction could not be released yet");
            tokio::time::sleep(RELEASE_RETRY_DELAY).await;
        }
    }

    /// Claims a transaction and takes it as far as it goes now: to a final state, or to its next due time.
    /// After the last request to the posting service it frees its permit from admission control and drops
    /// `permit`: the result is recorded in one statement with other results, and no permit is held meanwhile.
    ///
    /// # Errors
    /// See [`EngineError`]. The claim may still hold then; [`Executor::run_job`] releases it.
    pub async fn execute(
        &self,
        id: Uuid,
        purpose: Purpose,
        permit: impl Send,
    ) -> Result<ExecutionResult, EngineError> {
        let (mut post_permit, mut verification_permit) = (None, None);
        match purpose {
            Purpose::Post => post_permit = self.admission.acquire_post().await,
            Purpose::Verify => verification_permit = self.admission.acquire_verification().await,
        }
        if post_permit.is_none() && verification_permit.is_none() {
            return Ok(ExecutionResult::NotAdmitted);
        }
        // Before the claim: a transaction for which there is no credential needs no attempt.
        if let Some(permit) = &mut post_permit
            && let Err(error) = self.posting.prepare().await
        {
            permit.report_no_credential(&error);
            return Ok(ExecutionResult::NotAdmitted);
        }
        let claims = match purpose {
            Purpose::Post => &self.post_claims,
            Purpose::Verify => &self.verification_claims,
        };
        let Some(claim) = claims.call((id, purpose)).await? else {
            return Ok(ExecutionResult::NotDue);
        };
        let (mut execution, mut step) = protocol::Execution::begin(claim.progress, self.policy);
        let mut evidence = Evidence::None;
        loop {
            (evidence, step) = match step {
                Step::Post => self.post(&claim, &mut execution, post_permit.as_mut()).await,
                Step::Verify => {
                    // The attempt's end is recorded before the verification: a crash must not lose it.
                    if matches!(evidence, Evidence::Attempt { .. })
                        && let Err(StaleFence) = self.record(&claim, evidence, &step).await?
                    {
                        return Ok(ExecutionResult::Superseded);
                    }
                    self.verify(&claim, &mut execution).await
                }
                end => {
                    drop((post_permit, verification_permit, permit));
                    return Ok(match self.record(&claim, evidence, &end).await? {
                        Ok(()) => {
                            self.wake_when_due(&claim, &end);
                            ExecutionResult::Took(end)
                        }
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

    fn wake_when_due(&self, claim: &Claim, step: &Step) {
        let (queues, at): (&[Queue], _) = match step {
            // It has a doubt, or not.
            Step::Retry { at } => (&[Queue::Posting, Queue::Verification], *at),
            Step::PostAgain { at } => (&[Queue::Posting], *at),
            Step::InDoubt { at: Some(at), .. } => (&[Queue::Verification], *at),
            _ => return,
        };
        let due_in = (at - claim.now()).to_std().unwrap_or_default();
        for queue in queues {
            self.wake_ups.wake_in(*queue, due_in);
        }
    }

    async fn post(
        &self,
        claim: &Claim,
        execution: &mut protocol::Execution,
        permit: Option<&mut PostPermit<'_>>,
    ) -> (Evidence, Step) {
        let request = match &claim.request {
            Ok(request) => request,
            Err(unreadable) => {
                // Nothing is sent, and it says nothing about the posting service.
                let answer =
                    PostAnswer::without_answer(Ending::NotWritten, unreadable.reason.clone());
                let (outcome, window, step) =
                    execution.after_post(&answer.ending, claim.now(), rand::random());
                return (Evidence::Attempt { answer, outcome, window }, step);
            }
        };
        // A worker that reclaims relies on this: a POST that was not sent by then is never sent.
        let send_deadline = claim.requested_at + POST_WITHIN;
        let started = Instant::now();
        let answer = self.posting.post(request, send_deadline).await;
        let (outcome, window, step) =
            execution.after_post(&answer.ending, claim.now(), rand::random());
        metrics::counter!("onceward_attempts_total", "outcome" => outcome.as_str()).increment(1);
        metrics::histogram!("onceward_attempt_duration_seconds", "outcome" => outcome.as_str())
            .record(started.elapsed());
        // A request that this process delayed says nothing about the posting service.
        if let Some(permit) = permit
            && (answer.ending != Ending::NotWritten || BootInstant::now() < send_deadline)
        {
            permit.report(&answer);
        }
        let step = match step {
            Step::Verify if !self.admission.may_verify_at_once() => {
                execution.postpone_verification(claim.now(), rand::random())
            }
            step => step,
        };
        (Evidence::Attempt { answer, outcome, window }, step)
    }

    async fn verify(&self, claim: &Claim, execution: &mut protocol::Execution) -> (Evidence, Step) {
        let (started_at, lookup) = match &claim.request {
            Ok(request) => {
                self.admission.wait_for_verification_rate().await;
                (claim.now(), self.posting.verify(request).await)
            }
            // An entry could not be compared with it.
            Err(unreadable) => (claim.now(), LookupAnswer::failed(unreadable.reason.clone())),
        };
        let ended_at = claim.now();
        let step = execution.after_verification(
            lookup.finding,
            lookup.retry_after,
            started_at,
            ended_at,
            rand::random(),
        );
        if claim.request.is_ok() {
            metrics::counter!("onceward_verifications_total", "finding" => lookup.finding.as_str())
                .increment(1);
            self.admission.report_verification(&lookup);
        }
        if lookup.finding == Finding::Mismatch {
            tracing::error!(transaction_id = %claim.id, "the posting service has another entry under this id");
        }
        (Evidence::Verification { lookup, started_at, ended_at }, step)
    }

    /// Settles the job of a transaction that was not claimed: deletes it if nothing is due any more, and
    /// schedules it for the due time if there is one. The job of a transaction that another worker has
    /// claimed is left alone.
    async fn settle_job(&self, id: Uuid) -> Result<(), sqlx::Error> {
        let job_id = Job::id_of(id);
        sqlx::query!(
            // The row is locked first: a statement that changes the transaction also writes its job.
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

    /// Makes the transaction due again if this worker still holds the claim, and settles its job if not.
    async fn release(&self, id: Uuid, cause: ReclaimCause) -> Result<(), sqlx::Error> {
        let held = sqlx::query!(
            "select id, fence from transactions where id = $1 and claimed_by = $2",
            id,
            self.worker_id,
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
