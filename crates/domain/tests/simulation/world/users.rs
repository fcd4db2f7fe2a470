//! Clients that submit, and an operator who interferes.

use std::time::Duration;

use domain::{Intervention, Resolution};

use crate::{
    checks::mutation::Mutation,
    world::{Id, State, Time, World, database::Sender},
};

/// A client submits, with the same id until it is told that it is stored; and once more for good
/// measure, now and then.
pub async fn client(world: World, id: Id) {
    let start = world.state().dice.millis(0, 5_000);
    world.pause(start).await;
    loop {
        let told = submit(&world, id).await;
        let (again, after) = {
            let mut state = world.state();
            state.acknowledged[id] |= told;
            (state.fault(8), state.dice.millis(1, 1_000))
        };
        if told && !again {
            return;
        }
        world.pause(after).await;
    }
}

/// One submission. The web process may die before the commit, or between it and the answer.
async fn submit(world: &World, id: Id) -> bool {
    let (dies_before, dies_after) = {
        let mut state = world.state();
        (state.fault(8), state.fault(8))
    };
    if world.state().mutation == Some(Mutation::AcknowledgedBeforeCommit) {
        world.state().acknowledged[id] = true;
    }
    if dies_before {
        return false;
    }
    let stored =
        world.execute(Sender::Client, "accept", id, move |store, now| store.accept(id, now)).await;
    stored.is_ok() && !dies_after
}

/// An operator cancels, retries and resolves, whatever comes to mind.
pub async fn operator(world: World, every: Duration) {
    while !world.state().is_calm() {
        let pause = world.state().dice.between(Duration::ZERO, every);
        world.pause(pause).await;
        let state = &mut *world.state();
        // At once: what a person reads, decides and does is one step here. See main.rs.
        if !state.database_is_gone() {
            state.intervene();
        }
    }
}

impl State {
    fn intervene(&mut self) {
        let id = self.dice.below(self.scenario.transactions);
        let intervention = match self.dice.below(3) {
            0 => Intervention::Cancel,
            1 => Intervention::Retry,
            _ => match self.truth(id) {
                Some(resolution) => Intervention::Resolve(resolution),
                None => return,
            },
        };
        if self.store.intervene(id, intervention, self.now) {
            self.saw(intervention.as_str());
            self.note(|| format!("operator: {intervention:?} {id}"));
        }
    }

    /// What a truthful person says of a doubt: nothing before its windows have passed, and then what
    /// the ledger shows.
    fn truth(&self, id: Id) -> Option<Resolution> {
        let now: Time = self.now;
        self.store.windows_have_passed(id, now).then(|| match self.service.entries(id) {
            [] => Resolution::Failed,
            _ => Resolution::Completed,
        })
    }
}
