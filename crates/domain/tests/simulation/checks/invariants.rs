//! What has to hold after every step, and what has to be reached in the end.

use domain::{Counts, State, protocol::Policy};

use crate::{
    engine::row::Row,
    world::{self, Id},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Invariant {
    /// What was acknowledged is in the store, for ever.
    Durable,
    /// The ledger holds at most one entry for each id.
    PostedAtMostOnce,
    /// Of what is completed the ledger holds one.
    CompletedIsPosted,
    /// Of what is failed or cancelled it holds none, and none is to come.
    EndedWithoutEntry,
    /// A fence never falls, and each claim raises it.
    FenceRises,
    /// Only an operator changes what is final.
    FinalStays,
    /// State, claim and due time go together, as the table's checks demand.
    RowIsSound,
    /// No POST arrives whose attempt is not in the table.
    AttemptComesFirst,
    /// No transaction gets more attempts than the policy permits.
    AttemptsAreLimited,
    /// What was accepted is the sum over all states.
    CountsAddUp,
    /// When the faults have stopped, everything comes to its end.
    ComesToAnEnd,
}

/// An invariant that was broken, and over what.
#[derive(Debug, Clone)]
pub struct Broken {
    pub invariant: Invariant,
    pub details: String,
}

/// Looks at a world after each step.
#[derive(Default)]
pub struct Watch {
    seen: Vec<Option<Row>>,
    changes: Option<(u64, u64, usize)>,
}

impl Watch {
    pub fn look(&mut self, state: &world::State) -> Result<(), Broken> {
        let acknowledged = state.acknowledged.iter().filter(|told| **told).count();
        let changes = Some((state.store.changes(), state.service.changes(), acknowledged));
        if let Some(id) = state.service.unannounced {
            return Err(Broken::over(Invariant::AttemptComesFirst, id, state));
        }
        if changes == self.changes {
            return Ok(());
        }
        self.changes = changes;
        self.seen.resize(state.scenario.transactions, None);
        let mut counts = Counts::default();
        let mut stored = 0;
        for (id, row) in state.store.rows().iter().enumerate() {
            let broken = |invariant| Err(Broken::over(invariant, id, state));
            let Some(row) = row else {
                if state.acknowledged[id] || self.seen[id].is_some() {
                    return broken(Invariant::Durable);
                }
                continue;
            };
            if let Some(invariant) = of_row(row, &state.policy)
                .or_else(|| of_change(self.seen[id].as_ref(), row))
                .or_else(|| of_ledger(id, row, state))
            {
                return broken(invariant);
            }
            let counted = state.store.attempts(id).iter().filter(|attempt| attempt.counts());
            if counted.count() > state.policy.max_attempts as usize {
                return broken(Invariant::AttemptsAreLimited);
            }
            self.seen[id] = Some(*row);
            *counts.of_mut(row.state) += 1;
            stored += 1;
        }
        if counts.accepted() != stored {
            return Err(Broken::over(Invariant::CountsAddUp, 0, state));
        }
        Ok(())
    }
}

fn of_row(row: &Row, policy: &Policy) -> Option<Invariant> {
    let sound = match row.state {
        State::Pending => row.next_attempt_at.is_some() && row.claimed_by.is_none(),
        State::Processing => row.next_attempt_at.is_none() && row.claimed_by.is_some(),
        // Claimed, due, or set aside for a person.
        State::InDoubt => row.next_attempt_at.is_none() || row.claimed_by.is_none(),
        _ => row.next_attempt_at.is_none() && row.claimed_by.is_none(),
    };
    if !sound || row.completed_at.is_some() != row.state.is_final() {
        return Some(Invariant::RowIsSound);
    }
    (row.attempts > policy.max_attempts).then_some(Invariant::AttemptsAreLimited)
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

/// Whether everything has come to its end, and nothing is under way any more.
pub fn has_ended(state: &world::State) -> bool {
    state.unfinished == 0 && (0..state.scenario.transactions).all(|id| is_over(state, id))
}

/// Whether a transaction is final, or set aside for a person.
fn is_over(state: &world::State, id: Id) -> bool {
    let Some(row) = state.store.rows()[id] else { return false };
    let set_aside =
        row.state == State::InDoubt && row.next_attempt_at.is_none() && row.claimed_by.is_none();
    (row.state.is_final() || set_aside) && state.acknowledged[id] && !state.service.is_to_come(id)
}

/// The time is over, and something is not.
pub fn not_ended(state: &world::State) -> Broken {
    let id = (0..state.scenario.transactions).find(|id| !is_over(state, *id));
    Broken::over(Invariant::ComesToAnEnd, id.unwrap_or_default(), state)
}

impl Broken {
    pub fn over(invariant: Invariant, id: Id, state: &world::State) -> Self {
        let details = format!(
            "transaction {id}: {:?}, {:?}, {} entries",
            state.store.rows()[id],
            state.store.attempts(id),
            state.service.entries(id).len(),
        );
        Self { invariant, details }
    }
}
