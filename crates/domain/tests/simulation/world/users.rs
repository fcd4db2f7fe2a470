//! Clients that submit, and an operator who intervenes.

use std::time::Duration;

use domain::{Intervention, Resolution};

use crate::{
    checks::mutation::Mutation,
    world::{Id, State, Time, World, database::Sender},
};

/// A client that submits with the same id until it is answered, and now and then once more.
pub async fn client(world: World, id: Id) {
    let start = world.state().rng.millis(0, 5_000);
    world.pause(start).await;
    loop {
        let answered = submit(&world, id).await;
        let (again, after) = {
            let mut state = world.state();
            state.acknowledged[id] |= answered;
            (state.fault(8), state.rng.millis(1, 1_000))
        };
        if answered && !again {
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

/// An operator who cancels, retries and resolves at random.
pub async fn operator(world: World, every: Duration) {
    while !world.state().faults_are_over() {
        let pause = world.state().rng.between(Duration::ZERO, every);
        world.pause(pause).await;
        let state = &mut *world.state();
        // Reading, deciding and acting are one step here. See main.rs.
        if !state.database_is_gone() {
            state.intervene();
        }
    }
}

impl State {
    fn intervene(&mut self) {
        let id = self.rng.below(self.scenario.transactions);
        let intervention = match self.rng.below(3) {
            0 => Intervention::Cancel,
            1 => Intervention::Retry,
            _ => match self.true_resolution(id) {
                Some(resolution) => Intervention::Resolve(resolution),
                None => return,
            },
        };
        if self.store.intervene(id, intervention, self.now) {
            self.observe(intervention.as_str());
            self.note(|| format!("operator: {intervention:?} {id}"));
        }
    }

    /// What a truthful operator says about a doubt: nothing before its windows have passed, and
    /// then what the ledger shows.
    fn true_resolution(&self, id: Id) -> Option<Resolution> {
        let now: Time = self.now;
        self.store.windows_have_passed(id, now).then(|| match self.service.entries(id) {
            [] => Resolution::Failed,
            _ => Resolution::Completed,
        })
    }
}
