//! The table and its conditional updates. One function for each SQL statement of the engine
//! (`accept`, `posting`, `recovery` and `operations` in `crates/gateway/src`); each is atomic, as a
//! statement is.

use std::time::Duration;

use domain::{
    Finding, Intervention, Outcome, State, Window,
    protocol::{Doubt, Policy, Progress, Step, begins_attempt, delay_after_worker_death},
};

use crate::{
    checks::mutation::Mutation,
    engine::row::{Attempt, Claimed, Evidence, Purpose, Row},
    world::{Id, Run, Time},
};

/// How long a run counts as alive without renewing its lease.
pub const LEASE: Duration = Duration::from_secs(5);

pub struct Store {
    policy: Policy,
    mutation: Option<Mutation>,
    rows: Vec<Option<Row>>,
    attempts: Vec<Vec<Attempt>>,
    leases: Vec<Option<Time>>,
    changes: u64,
}

impl Store {
    pub fn new(transactions: usize, policy: Policy, mutation: Option<Mutation>) -> Self {
        Self {
            policy,
            mutation,
            rows: vec![None; transactions],
            attempts: vec![Vec::new(); transactions],
            leases: Vec::new(),
            changes: 0,
        }
    }

    /// By id; `None` if nothing is stored yet.
    pub fn rows(&self) -> &[Option<Row>] {
        &self.rows
    }

    pub fn attempts(&self, id: Id) -> &[Attempt] {
        &self.attempts[id]
    }

    /// Increases with each change of a row.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// Stores it, unless it is stored already; a replay finds the first row.
    pub fn accept(&mut self, id: Id, now: Time) {
        if self.rows[id].is_none() {
            self.changes += 1;
            self.rows[id] = Some(Row {
                state: State::Pending,
                fence: 0,
                attempts: 0,
                verifications: 0,
                lost_claims: 0,
                doubt: None,
                verification_failed_at: None,
                claimed_by: None,
                next_attempt_at: Some(now),
                completed_at: None,
                interventions: 0,
            });
        }
    }

    pub fn claim(&mut self, id: Id, run: Run, purpose: Purpose, now: Time) -> Option<Claimed> {
        let row = self.rows[id].as_mut()?;
        let known = match self.mutation {
            Some(Mutation::NoVerification) => None,
            _ => row.doubt,
        };
        let due = matches!(row.state, State::Pending | State::InDoubt)
            && row.claimed_by.is_none()
            && row.next_attempt_at.is_some_and(|at| at <= now)
            && known.is_some() == (purpose == Purpose::Verify);
        if !due {
            return None;
        }
        let begun = begins_attempt(known, row.attempts, &self.policy);
        let attempts = row.attempts + u32::from(begun);
        if row.state == State::Pending {
            row.state = State::Processing;
        }
        row.fence += 1;
        row.claimed_by = Some(run);
        row.next_attempt_at = None;
        let claimed = Claimed {
            fence: row.fence,
            progress: Progress {
                attempts,
                begun,
                // An attempt that begins now is not in doubt already.
                doubt: known,
                verifications: row.verifications,
                claims: row.fence,
            },
            at: now,
        };
        if begun {
            self.begin_attempt(id, now);
        }
        self.changes += 1;
        Some(claimed)
    }

    /// The part of a claim that begins an attempt: its row, the count and the doubt.
    fn begin_attempt(&mut self, id: Id, now: Time) {
        let Some(row) = self.rows[id].as_mut() else { return };
        if self.mutation == Some(Mutation::AttemptCommittedAfterItsPost) {
            return;
        }
        if self.mutation != Some(Mutation::AttemptsCountedAtTheirEnd) {
            row.attempts += 1;
        }
        if self.mutation != Some(Mutation::DoubtCommittedAfterItsPost) {
            let within = self.mutation.map_or(self.policy.gives_up_within(), |mutation| {
                mutation.gives_up_within(&self.policy)
            });
            row.doubt = Some(Doubt { since: now + within, window: Window::Settle });
        }
        self.attempts[id].push(Attempt { fence: row.fence, outcome: None, forgiven: false });
    }

    /// Returns false, without a change, if the claim was lost.
    pub fn record(
        &mut self,
        id: Id,
        fence: u32,
        evidence: Evidence,
        step: &Step,
        now: Time,
    ) -> bool {
        let Some(row) = self.rows[id].as_mut() else { return false };
        let fenced = row.fence == fence || self.mutation == Some(Mutation::NoFenceCheck);
        let holds = fenced
            && row.claimed_by.is_some()
            && matches!(row.state, State::Processing | State::InDoubt);
        if !holds {
            return false;
        }
        self.changes += 1;
        row.verification_failed_at = None;
        let attempts = &mut self.attempts[id];
        match evidence {
            Evidence::None => {}
            Evidence::Attempt { outcome, window } => {
                if self.mutation == Some(Mutation::AttemptCommittedAfterItsPost) {
                    attempts.push(Attempt { fence, outcome: None, forgiven: false });
                    row.attempts += 1;
                }
                if self.mutation == Some(Mutation::AttemptsCountedAtTheirEnd) {
                    row.attempts += 1;
                }
                if outcome == Outcome::NotSent {
                    // The attempt does not count. The table allows no negative count.
                    row.attempts = row.attempts.saturating_sub(1);
                }
                let since = match (self.mutation, row.doubt) {
                    (Some(Mutation::DoubtCountedFromTheClaim), Some(doubt)) => doubt.since,
                    _ => now,
                };
                row.doubt = window.map(|window| Doubt { since, window });
                row.verifications = 0;
                if let Some(attempt) = attempts.iter_mut().find(|attempt| attempt.fence == fence) {
                    attempt.outcome = Some(outcome);
                }
            }
            Evidence::Verification { finding, ended_at } => {
                row.verifications += 1;
                row.verification_failed_at = (finding == Finding::Failed).then_some(ended_at);
                if finding == Finding::Found
                    && let Some(latest) = attempts.last_mut()
                {
                    latest.outcome = Some(Outcome::Posted);
                }
            }
        }
        let (state, due_at) = match *step {
            Step::Post | Step::Verify => return true,
            Step::Retry { at } => (State::Pending, Some(at)),
            Step::PostAgain { at } => {
                row.doubt = None;
                (State::Pending, Some(at))
            }
            Step::Complete => (State::Completed, None),
            Step::Fail(_) => (State::Failed, None),
            Step::InDoubt { at, .. } => (State::InDoubt, at),
        };
        row.state = state;
        row.claimed_by = None;
        row.next_attempt_at = due_at;
        row.lost_claims = 0;
        row.completed_at = state.is_final().then_some(now);
        true
    }

    /// Makes a transaction whose claim still holds due again; quarantines it if it has lost too
    /// many workers.
    pub fn reclaim(&mut self, id: Id, fence: u32, lost: bool, now: Time) -> bool {
        let Some(row) = self.rows[id].as_mut() else { return false };
        if row.fence != fence || row.claimed_by.is_none() {
            return false;
        }
        self.changes += 1;
        let lost = lost && self.mutation != Some(Mutation::LossesNotCounted);
        let quarantined = lost && row.lost_claims + 1 >= self.policy.max_worker_deaths();
        row.next_attempt_at =
            (!quarantined).then(|| now + delay_after_worker_death(row.lost_claims));
        if quarantined {
            row.state = State::InDoubt;
        } else if row.state == State::Processing {
            row.state = State::Pending;
        }
        row.fence += 1;
        row.verification_failed_at = None;
        row.claimed_by = None;
        row.lost_claims += u32::from(lost);
        for attempt in self.attempts[id].iter_mut().filter(|attempt| attempt.fence == fence) {
            attempt.outcome.get_or_insert(Outcome::Unknown);
        }
        true
    }

    /// The fence under which a run holds a transaction.
    pub fn held(&self, id: Id, run: Run) -> Option<u32> {
        self.rows[id].filter(|row| row.claimed_by == Some(run)).map(|row| row.fence)
    }

    /// All claims that a run holds.
    pub fn held_by(&self, run: Run) -> Vec<(Id, u32)> {
        self.claims().filter(|(_, _, by)| *by == run).map(|(id, fence, _)| (id, fence)).collect()
    }

    /// Claims of runs whose lease has expired; of all runs, under the mutation that does not wait
    /// for that.
    pub fn dead_claims(&self, now: Time) -> Vec<(Id, u32)> {
        let at_once = self.mutation == Some(Mutation::ReclaimedAtOnce);
        let expired = |run: Run| {
            !self.leases.get(run).is_some_and(|until| until.is_some_and(|until| until > now))
        };
        self.claims()
            .filter(|(_, _, by)| at_once || expired(*by))
            .map(|(id, fence, _)| (id, fence))
            .collect()
    }

    fn claims(&self) -> impl Iterator<Item = (Id, u32, Run)> {
        self.rows.iter().enumerate().filter_map(|(id, row)| {
            let row = row.as_ref()?;
            Some((id, row.fence, row.claimed_by?))
        })
    }

    pub fn renew(&mut self, run: Run, now: Time) {
        if self.leases.len() <= run {
            self.leases.resize(run + 1, None);
        }
        self.leases[run] = Some(now + LEASE);
    }

    pub fn end_lease(&mut self, run: Run) {
        if let Some(lease) = self.leases.get_mut(run) {
            *lease = None;
        }
    }

    /// An operator's intervention, in one statement with the check that permits it. Returns false
    /// if it is not permitted.
    pub fn intervene(&mut self, id: Id, intervention: Intervention, now: Time) -> bool {
        let sent = self.attempts[id].iter().any(|it| it.outcome != Some(Outcome::NotSent))
            && self.mutation != Some(Mutation::CancelledAfterSent);
        let Some(row) = self.rows[id].as_mut() else { return false };
        let Ok(to) = intervention.leads_to(row.state, sent) else { return false };
        self.changes += 1;
        if intervention == Intervention::Retry {
            if row.state != State::Pending {
                row.attempts = 0;
                row.verifications = 0;
                let since = row.completed_at.unwrap_or(now);
                row.doubt.get_or_insert(Doubt { since, window: Window::Visibility });
                self.attempts[id].iter_mut().for_each(|attempt| attempt.forgiven = true);
            }
            if self.mutation == Some(Mutation::RetryForgetsDoubt) {
                row.doubt = None;
            }
            row.lost_claims = 0;
        }
        row.state = to;
        row.fence += 1;
        row.verification_failed_at = None;
        row.claimed_by = None;
        row.next_attempt_at = (to == State::Pending).then_some(now);
        row.completed_at = to.is_final().then_some(now);
        row.interventions += 1;
        true
    }

    /// Whether an operator who reads the ledger now may rely on it: no earlier POST can still be
    /// applied.
    pub fn windows_have_passed(&self, id: Id, now: Time) -> bool {
        let windows = self.policy.settle + self.policy.visibility;
        self.rows[id].is_some_and(|row| row.doubt.is_none_or(|doubt| doubt.since + windows <= now))
    }
}
