//! One execution of a worker, as the engine's `posting` runs it.

use std::time::Duration;

use domain::{
    AnswerBody, Ending, Finding,
    protocol::{DoubtReason, Execution, Failure, POST_WITHIN, Step},
};

use crate::{
    checks::mutation::Mutation,
    engine::row::{Claimed, Evidence, Purpose},
    world::{
        Id, Run, State, Time, World,
        database::{DatabaseError, Sender},
        posting_service,
        scenario::Poison,
    },
};

/// Between two attempts to release a claim.
const PAUSE: Duration = Duration::from_millis(500);

/// One execution of a transaction. An error ends it and releases what it still holds.
pub async fn run_execution(world: World, run: Run, id: Id, purpose: Purpose) {
    world.state().processes[run].executions.push(id);
    let worker = Worker { world, run, id };
    if worker.process(purpose).await.is_err() {
        while worker.release().await.is_err() {
            worker.world.pause(PAUSE).await;
        }
    }
    let executions = &mut worker.world.state().processes[run].executions;
    if let Some(ended) = executions.iter().position(|running| *running == id) {
        executions.swap_remove(ended);
    }
}

struct Worker {
    world: World,
    run: Run,
    id: Id,
}

/// A claim, and its clock: the database's, never ahead of it.
struct Claim {
    claimed: Claimed,
    received: Time,
    /// By the worker's own clock, just before the claim was requested.
    requested: Time,
}

impl Worker {
    async fn process(&self, purpose: Purpose) -> Result<(), DatabaseError> {
        let Self { world, run, id } = self;
        let (run, id) = (*run, *id);
        let requested = world.state().clock(run);
        let claimed = world
            .execute(Sender::Worker(self.run), "claim", id, move |store, now| {
                store.claim(id, run, purpose, now)
            })
            .await?;
        let Some(claimed) = claimed else { return Ok(()) };
        let claim = Claim { claimed, received: world.state().clock(run), requested };
        self.processing_delay().await;
        let policy = world.state().policy;
        let (mut turn, mut step) = Execution::begin(claimed.progress, policy);
        let mut evidence = Evidence::None;
        loop {
            (evidence, step) = match step {
                Step::Post => self.post(&claim, &mut turn).await,
                Step::Verify => {
                    // The end of an attempt is recorded before the verification: a crash must not
                    // forget it.
                    if matches!(evidence, Evidence::Attempt { .. })
                        && !self.record(&claim, evidence, step).await?
                    {
                        return Ok(());
                    }
                    self.verify(&claim, &mut turn).await
                }
                end => {
                    if !self.record(&claim, evidence, end).await? {
                        world.state().observe("a claim that was lost");
                    }
                    return Ok(());
                }
            };
        }
    }

    async fn post(&self, claim: &Claim, turn: &mut Execution) -> (Evidence, Step) {
        let Self { world, run, id } = self;
        let in_time = {
            let state = world.state();
            let clock = state.clock(*run);
            match state.mutation {
                Some(Mutation::PostLeavesAtAnyTime) => true,
                Some(Mutation::PostWithinCountedFromTheAnswer) => {
                    clock < claim.received + POST_WITHIN
                }
                _ => clock < claim.requested + POST_WITHIN,
            }
        };
        // The one place where this worker can neither stall nor die is between that check and the
        // sending of the POST, because there is no `.await` in between. The engine checks the clock
        // when the body is handed to the connection; a stall right after that is the gap that
        // remains.
        let mut ending = if in_time {
            self.poison(Poison::Post);
            posting_service::post(world, *id, claim.claimed.fence).await
        } else {
            world.state().observe("a POST after its deadline");
            Ending::NotWritten
        };
        let mut state = world.state();
        match (state.mutation, &mut ending) {
            (Some(Mutation::BrokenReadAsNotSent), Ending::Broken) => ending = Ending::NotWritten,
            (Some(Mutation::AcceptedReadAsPosted), Ending::Answered { status, .. })
                if *status == 202 =>
            {
                *status = 200;
            }
            (Some(Mutation::ContradictionReadAsPosted), Ending::Answered { body, .. })
                if *body == AnswerBody::Contradicts =>
            {
                *body = AnswerBody::Agrees;
            }
            _ => {}
        }
        let (now, draw) = (claim.now(&state, *run), state.rng.fraction());
        let (outcome, window, mut step) = turn.after_post(&ending, now, draw);
        state.observe(outcome.as_str());
        // The engine postpones verifications while most of them fail.
        if step == Step::Verify && state.fault(8) {
            step = turn.postpone_verification(now, draw);
        }
        if step == Step::Verify && state.mutation == Some(Mutation::NoVerification) {
            step = Step::PostAgain { at: now };
        }
        (Evidence::Attempt { outcome, window }, step)
    }

    async fn verify(&self, claim: &Claim, turn: &mut Execution) -> (Evidence, Step) {
        let Self { world, run, id } = self;
        let mut started_at = claim.now(&world.state(), *run);
        self.processing_delay().await;
        let (mut finding, retry_after) = posting_service::verify(world, *id).await;
        if self.poison(Poison::Verification) {
            world.pause(Duration::ZERO).await; // The process is dead: this never returns.
        }
        let mut state = world.state();
        let (now, draw) = (claim.now(&state, *run), state.rng.fraction());
        match state.mutation {
            Some(Mutation::AbsenceCountedFromItsAnswer) => started_at = now,
            Some(Mutation::FailedReadAsAbsent) if finding == Finding::Failed => {
                finding = Finding::Absent;
            }
            _ => {}
        }
        state.observe(finding.as_str());
        let mut step = turn.after_verification(finding, retry_after, started_at, now, draw);
        match (&step, state.mutation) {
            (
                Step::InDoubt { reason: DoubtReason::OutcomeUnknown, .. },
                Some(Mutation::FailedOnUnknown),
            ) => step = Step::Fail(Failure::ProvenAbsent),
            (
                Step::InDoubt { reason: DoubtReason::VerificationFails, .. },
                Some(Mutation::FailedForLongReadAsAbsent),
            ) => step = Step::PostAgain { at: now },
            (
                Step::InDoubt { reason: DoubtReason::VerificationFails, at: Some(at) },
                Some(Mutation::NeverInDoubtWithAttemptsLeft),
            ) => step = Step::Retry { at: *at },
            _ => {}
        }
        (Evidence::Verification { finding, ended_at: now }, step)
    }

    /// The time that a busy worker takes to continue.
    async fn processing_delay(&self) {
        let time = {
            let mut state = self.world.state();
            let slowness = state.scenario.slowness;
            let slow = state.fault(slowness);
            if slow { state.rng.millis(500, 2_500) } else { Duration::ZERO }
        };
        self.world.pause(time).await;
    }

    async fn record(
        &self,
        claim: &Claim,
        evidence: Evidence,
        step: Step,
    ) -> Result<bool, DatabaseError> {
        let (id, fence) = (self.id, claim.claimed.fence);
        self.world.state().observe(name(&step));
        self.world.state().note(|| format!("worker {}: {id}: {evidence:?}, {step:?}", self.run));
        self.world
            .execute(Sender::Worker(self.run), "record", id, move |store, now| {
                store.record(id, fence, evidence, &step, now)
            })
            .await
    }

    /// Makes the transaction due again if this run still holds it.
    async fn release(&self) -> Result<(), DatabaseError> {
        let (id, run) = (self.id, self.run);
        let held = self
            .world
            .execute(Sender::Worker(self.run), "find its own claim", id, move |store, _| {
                store.held(id, run)
            })
            .await?;
        if let Some(fence) = held {
            self.world
                .execute(Sender::Worker(self.run), "release", id, move |store, now| {
                    store.reclaim(id, fence, false, now)
                })
                .await?;
        }
        Ok(())
    }

    /// Lets a poison transaction kill this worker: what the worker sends before the next `.await`
    /// still leaves, and nothing comes back.
    fn poison(&self, poison: Poison) -> bool {
        let mut state = self.world.state();
        let kills = state.scenario.poison[self.id] == Some(poison);
        if kills {
            state.kill(self.run);
        }
        kills
    }
}

impl Claim {
    /// The time by the database's clock, never ahead of it.
    fn now(&self, state: &State, run: Run) -> Time {
        match state.mutation {
            Some(Mutation::ClockOfTheMachine) => state.now + Duration::from_secs(3),
            _ => self.claimed.at + (state.clock(run) - self.received),
        }
    }
}

/// The name of the step as an observed event.
fn name(step: &Step) -> &'static str {
    match step {
        Step::Post => "post",
        Step::Verify => "an attempt's end, then a verification",
        Step::Retry { .. } => "a retry",
        Step::PostAgain { .. } => "a doubt that is settled",
        Step::Complete => "completed",
        Step::Fail(Failure::Refused) => "failed: refused",
        Step::Fail(Failure::ProvenAbsent) => "failed: proven absent",
        Step::InDoubt { reason: DoubtReason::OutcomeUnknown, .. } => "in doubt: unknown",
        Step::InDoubt { reason: DoubtReason::VerificationFails, .. } => {
            "in doubt: verification fails"
        }
        Step::InDoubt { reason: DoubtReason::Mismatch, .. } => "in doubt: mismatch",
    }
}
