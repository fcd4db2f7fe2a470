//! A worker's turn, as `crates/gateway/src/process.rs` takes it.

use std::time::Duration;

use domain::{
    Ending, Finding,
    protocol::{DoubtReason, Failure, POST_WITHIN, Step, Turn},
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

/// Between two tries to give back what the database did not take.
const PAUSE: Duration = Duration::from_millis(500);

/// One turn of a transaction. What goes wrong ends it, and gives back what it still holds.
pub async fn turn(world: World, run: Run, id: Id, purpose: Purpose) {
    world.state().processes[run].turns.push(id);
    let worker = Worker { world, run, id };
    if worker.process(purpose).await.is_err() {
        while worker.give_back().await.is_err() {
            worker.world.pause(PAUSE).await;
        }
    }
    let turns = &mut worker.world.state().processes[run].turns;
    if let Some(ended) = turns.iter().position(|turn| *turn == id) {
        turns.swap_remove(ended);
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
    /// By the worker's own clock, just before it was asked for.
    asked: Time,
}

impl Worker {
    async fn process(&self, purpose: Purpose) -> Result<(), DatabaseError> {
        let Self { world, run, id } = self;
        let (run, id) = (*run, *id);
        let asked = world.state().clock(run);
        let claimed = world
            .execute(Sender::Worker(self.run), "claim", id, move |store, now| {
                store.claim(id, run, purpose, now)
            })
            .await?;
        let Some(claimed) = claimed else { return Ok(()) };
        let claim = Claim { claimed, received: world.state().clock(run), asked };
        self.get_round_to_it().await;
        let policy = world.state().policy;
        let (mut turn, mut step) = Turn::begin(claimed.progress, policy);
        let mut evidence = Evidence::None;
        loop {
            (evidence, step) = match step {
                Step::Post => self.post(&claim, &mut turn).await,
                Step::Verify => {
                    // An attempt's end is told before the question: a crash must not forget it.
                    if matches!(evidence, Evidence::Attempt { .. })
                        && !self.record(&claim, evidence, step).await?
                    {
                        return Ok(());
                    }
                    self.verify(&claim, &mut turn).await
                }
                end => {
                    if !self.record(&claim, evidence, end).await? {
                        world.state().saw("a claim that was lost");
                    }
                    return Ok(());
                }
            };
        }
    }

    async fn post(&self, claim: &Claim, turn: &mut Turn) -> (Evidence, Step) {
        let Self { world, run, id } = self;
        let in_time = {
            let state = world.state();
            let clock = state.clock(*run);
            match state.mutation {
                Some(Mutation::PostLeavesAtAnyTime) => true,
                Some(Mutation::PostWithinCountedFromTheAnswer) => {
                    clock < claim.received + POST_WITHIN
                }
                _ => clock < claim.asked + POST_WITHIN,
            }
        };
        // The one place where this worker can neither stall nor die is between that check and the
        // leaving of the POST, for there is no `.await` in between. The engine looks at the clock when
        // the body is handed to the connection; a stall right after that is the gap that remains.
        let mut ending = if in_time {
            self.poison(Poison::Post);
            posting_service::post(world, *id, claim.claimed.fence).await
        } else {
            world.state().saw("a POST that was held up");
            Ending::NotWritten
        };
        let mut state = world.state();
        if ending == Ending::Broken && state.mutation == Some(Mutation::BrokenReadAsNotSent) {
            ending = Ending::NotWritten;
        }
        let (now, draw) = (claim.now(&state, *run), state.dice.fraction());
        let (outcome, window, mut step) = turn.after_post(&ending, now, draw);
        state.saw(outcome.as_str());
        if step == Step::Verify && state.mutation == Some(Mutation::NoVerification) {
            step = Step::PostAgain { at: now };
        }
        (Evidence::Attempt { outcome, window }, step)
    }

    async fn verify(&self, claim: &Claim, turn: &mut Turn) -> (Evidence, Step) {
        let Self { world, run, id } = self;
        let mut started_at = claim.now(&world.state(), *run);
        self.get_round_to_it().await;
        let (mut finding, retry_after) = posting_service::verify(world, *id).await;
        if self.poison(Poison::Verification) {
            world.pause(Duration::ZERO).await; // There is no coming back from here.
        }
        let mut state = world.state();
        let (now, draw) = (claim.now(&state, *run), state.dice.fraction());
        match state.mutation {
            Some(Mutation::AbsenceCountedFromItsAnswer) => started_at = now,
            Some(Mutation::FailedReadAsAbsent) if finding == Finding::Failed => {
                finding = Finding::Absent;
            }
            _ => {}
        }
        state.saw(finding.as_str());
        let mut step = turn.after_verification(finding, retry_after, started_at, now, draw);
        if matches!(step, Step::InDoubt { reason: DoubtReason::OutcomeUnknown, .. })
            && state.mutation == Some(Mutation::FailedOnUnknown)
        {
            step = Step::Fail(Failure::ProvenAbsent);
        }
        (Evidence::Verification { finding }, step)
    }

    /// The time it takes a busy worker to go on.
    async fn get_round_to_it(&self) {
        let time = {
            let mut state = self.world.state();
            let slowness = state.scenario.slowness;
            let slow = state.fault(slowness);
            if slow { state.dice.millis(500, 2_500) } else { Duration::ZERO }
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
        self.world.state().saw(name(&step));
        self.world.state().note(|| format!("worker {}: {id}: {evidence:?}, {step:?}", self.run));
        self.world
            .execute(Sender::Worker(self.run), "record", id, move |store, now| {
                store.record(id, fence, evidence, &step, now)
            })
            .await
    }

    /// Makes the transaction due again where this run still holds it.
    async fn give_back(&self) -> Result<(), DatabaseError> {
        let (id, run) = (self.id, self.run);
        let held = self
            .world
            .execute(Sender::Worker(self.run), "look whether it holds", id, move |store, _| {
                store.held(id, run)
            })
            .await?;
        if let Some(fence) = held {
            self.world
                .execute(Sender::Worker(self.run), "give back", id, move |store, now| {
                    store.take_back(id, fence, false, now)
                })
                .await?;
        }
        Ok(())
    }

    /// Has the transaction kill this worker, where it is of that kind: what it sends before the next
    /// `.await` still leaves, and nothing comes back.
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

/// For the count of what was seen.
fn name(step: &Step) -> &'static str {
    match step {
        Step::Post => "post",
        Step::Verify => "an attempt's end, then a verification",
        Step::Retry { .. } => "a retry",
        Step::PostAgain { .. } => "a doubt that is over",
        Step::Complete => "completed",
        Step::Fail(Failure::Refused) => "failed: refused",
        Step::Fail(Failure::ProvenAbsent) => "failed: proven absent",
        Step::InDoubt { reason: DoubtReason::OutcomeUnknown, .. } => "in doubt: unknown",
        Step::InDoubt { reason: DoubtReason::Mismatch, .. } => "in doubt: mismatch",
    }
}
