//! One seed from its beginning to its end.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    checks::{
        invariants::{self, Broken, Watch},
        mutation::Mutation,
    },
    engine::lease,
    world::{State, Time, World, schedule::Steps, users},
};

/// How long after the last fault everything has come to its end: longer than any `Retry-After` that is
/// obeyed, and than everything else together.
const TO_THE_END: Duration = Duration::from_secs(2 * 3600);

/// What came of a seed.
pub struct Report {
    pub broken: Option<Broken>,
    pub steps: u64,
    /// How often the run has seen what is worth seeing.
    pub sights: BTreeMap<&'static str, u64>,
    pub trace: Vec<String>,
}

/// Runs one seed, with everything as the engine has it but for a mutation.
pub fn run(seed: u64, mutation: Option<Mutation>, tracing: bool) -> Report {
    let world = World::new(seed, mutation, tracing);
    set_out(&world);
    let mut steps = Steps::new(world.clone());
    let mut jobs = Jobs::default();
    let mut watch = Watch::default();
    let broken = loop {
        steps.take();
        let state = &mut *world.state();
        jobs.look(state);
        if let Err(broken) = watch.look(state) {
            break Some(broken);
        }
        if state.is_calm() && invariants::has_ended(state) {
            break None;
        }
        if state.now > state.scenario.calm_at + TO_THE_END {
            break Some(invariants::not_ended(state));
        }
    };
    steps.finish(broken)
}

fn set_out(world: &World) {
    let (workers, transactions, operator_every) = {
        let mut state = world.state();
        state.plan_outages();
        let scenario = &state.scenario;
        (scenario.workers, scenario.transactions, scenario.operator_every)
    };
    for _ in 0..workers {
        lease::start(world);
    }
    for id in 0..transactions {
        world.spawn(None, users::client(world.clone(), id));
    }
    if let Some(every) = operator_every {
        world.spawn(None, users::operator(world.clone(), every));
    }
}

/// The job queue, in so far as it is modelled: whatever is due is taken up at that very moment.
#[derive(Default)]
struct Jobs {
    /// By transaction: for when it was last scheduled.
    scheduled: Vec<Option<Time>>,
    changes: u64,
}

impl Jobs {
    fn look(&mut self, state: &mut State) {
        if self.changes == state.store.changes() {
            return;
        }
        self.changes = state.store.changes();
        self.scheduled.resize(state.scenario.transactions, None);
        for id in 0..state.scenario.transactions {
            let due_at = state.due_at(id);
            if due_at != self.scheduled[id]
                && let Some(at) = due_at
            {
                state.schedule(at, move |world| lease::dispatch(world, id));
            }
            self.scheduled[id] = due_at;
        }
    }
}
