//! What has to hold after every step, and at the end.

use domain::{Counts, State, protocol::Policy};

use crate::{
    engine::row::Row,
    world::{self, Id},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Invariant {
    /// An acknowledged transaction stays in the store.
    Durable,
    /// The ledger holds at most one entry for each id.
    PostedAtMostOnce,
    /// A completed transaction has one entry in the ledger.
    CompletedIsPosted,
    /// A failed or cancelled transaction has no entry, and no write that is still to be applied.
    EndedWithoutEntry,
    /// A fence never falls, and each claim raises it.
    FenceRises,
    /// Only an operator changes a final transaction.
    FinalStays,
    /// State, claim and due time are consistent, as the table's checks demand.
    RowIsSound,
    /// No POST arrives without an attempt in the table.
    AttemptComesFirst,
    /// No transaction gets more attempts than the policy permits.
    AttemptsAreLimited,
    /// The number of accepted transactions is the sum over all states.
    CountsAddUp,
    /// A transaction whose verification fails, long after its doubt began, is in doubt.
    LongDoubtIsShown,
    /// After the faults have stopped, everything reaches its end.
    ComesToAnEnd,
}

/// A violated invariant, with details.
#[derive(Debug, Clone)]
pub struct Violation {
    pub invariant: Invariant,
    pub details: String,
}

/// Checks a world after each step.
#[derive(Default)]
pub struct Checker {
    seen: Vec<Option<Row>>,
    changes: Option<(u64, u64, usize)>,
}

impl Checker {
    pub fn check(&mut self, state: &world::State) -> Result<(), Violation> {
        let acknowledged = state.acknowledged.iter().filter(|acknowledged| **acknowledged).count();
        let changes = Some((state.store.changes(), state.service.changes(), acknowledged));
        if let Some(id) = state.service.unannounced {
            return Err(Violation::of(Invariant::AttemptComesFirst, id, state));
        }
        if changes == self.changes {
            return Ok(());
        }
        self.changes = changes;
        self.seen.resize(state.scenario.transactions, None);
        let mut counts = Counts::default();
        let mut stored = 0;
        for (id, row) in state.store.rows().iter().enumerate() {
            let violation = |invariant| Err(Violation::of(invariant, id, state));
            let Some(row) = row else {
                if state.acknowledged[id] || self.seen[id].is_some() {
                    return violation(Invariant::Durable);
                }
                continue;
            };
            if let Some(invariant) = of_row(row, &state.policy)
                .or_else(|| of_change(self.seen[id].as_ref(), row))
                .or_else(|| of_ledger(id, row, state))
            {
                return violation(invariant);
            }
            let counted = state.store.attempts(id).iter().filter(|attempt| attempt.counts());
            if counted.count() > state.policy.max_attempts as usize {
                return violation(Invariant::AttemptsAreLimited);
            }
            self.seen[id] = Some(*row);
            *counts.of_mut(row.state) += 1;
            stored += 1;
        }
        if counts.accepted() != stored {
            return Err(Violation::of(Invariant::CountsAddUp, 0, state));
        }
        Ok(())
    }
}

fn of_row(row: &Row, policy: &Policy) -> Option<Invariant> {
    let sound = match row.state {
        State::Pending => row.next_attempt_at.is_some() && row.claimed_by.is_none(),
        State::Processing => row.next_attempt_at.is_none() && row.claimed_by.is_some(),
        // Claimed, due, or quarantined.
        State::InDoubt => row.next_attempt_at.is_none() || row.claimed_by.is_none(),
        _ => row.next_attempt_at.is_none() && row.claimed_by.is_none(),
    };
    if !sound || row.completed_at.is_some() != row.state.is_final() {
        return Some(Invariant::RowIsSound);
    }
    if row.attempts > policy.max_attempts {
        return Some(Invariant::AttemptsAreLimited);
    }
    let long_doubt = row.state == State::Pending
        && row
            .verification_failed_at
            .zip(row.doubt)
            .is_some_and(|(failed_at, doubt)| failed_at >= doubt.since + policy.doubt_after);
    long_doubt.then_some(Invariant::LongDoubtIsShown)
}

fn of_change(before: Option<&Row>, row: &Row) -> Option<Invariant> {
    let before = before?;
    let claimed = row.claimed_by.is_some() && row.claimed_by != before.claimed_by;
    if row.fence < before.fence || (claimed && row.fence == before.fence) {
        return Some(Invariant::FenceRises);
    }
    let by_operator = row.interventions > before.interventions;
    (before.state.is_final() && row != before && !by_operator).then_some(Invariant::FinalStays)
}

fn of_ledger(id: Id, row: &Row, state: &world::State) -> Option<Invariant> {
    let entries = state.service.entries(id).len();
    let may_come = state.service.is_to_come(id);
    match row.state {
        _ if entries > 1 => Some(Invariant::PostedAtMostOnce),
        State::Completed if entries != 1 => Some(Invariant::CompletedIsPosted),
        State::Failed | State::Cancelled if entries > 0 || may_come => {
            Some(Invariant::EndedWithoutEntry)
        }
        _ => None,
    }
}

/// Whether every transaction is over and nothing is in flight.
pub fn all_is_over(state: &world::State) -> bool {
    state.unfinished == 0 && (0..state.scenario.transactions).all(|id| is_over(state, id))
}

/// Whether a transaction is final or quarantined.
fn is_over(state: &world::State, id: Id) -> bool {
    let Some(row) = state.store.rows()[id] else { return false };
    let quarantined =
        row.state == State::InDoubt && row.next_attempt_at.is_none() && row.claimed_by.is_none();
    (row.state.is_final() || quarantined) && state.acknowledged[id] && !state.service.is_to_come(id)
}

/// The violation when something is not over in time.
pub fn not_over_in_time(state: &world::State) -> Violation {
    let id = (0..state.scenario.transactions).find(|id| !is_over(state, *id));
    Violation::of(Invariant::ComesToAnEnd, id.unwrap_or_default(), state)
}

impl Violation {
    pub fn of(invariant: Invariant, id: Id, state: &world::State) -> Self {
        let details = format!(
            "transaction {id}: {:?}, {:?}, {} entries",
            state.store.rows()[id],
            state.store.attempts(id),
            state.service.entries(id).len(),
        );
        Self { invariant, details }
    }
}
