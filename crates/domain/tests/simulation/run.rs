//! The run of one seed, from start to end.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    checks::{
        invariants::{self, Checker, Violation},
        mutation::Mutation,
    },
    engine::lease,
    world::{State, Time, World, schedule::Steps, users},
};

/// By when everything has to be over after the last fault: longer than any `Retry-After` that is
/// obeyed, and than everything else together.
const OVER_WITHIN: Duration = Duration::from_secs(2 * 3600);

/// The result of a seed.
pub struct Report {
    pub violation: Option<Violation>,
    pub steps: u64,
    /// How often each event worth observing occurred.
    pub observations: BTreeMap<&'static str, u64>,
    pub trace: Vec<String>,
}

/// Runs one seed, with the engine's rules except for a mutation.
pub fn run(seed: u64, mutation: Option<Mutation>, tracing: bool) -> Report {
    let world = World::new(seed, mutation, tracing);
    start_everyone(&world);
    let mut steps = Steps::new(world.clone());
    let mut jobs = Jobs::default();
    let mut checker = Checker::default();
    let violation = loop {
        steps.take();
        let state = &mut *world.state();
        jobs.dispatch_changes(state);
        if let Err(violation) = checker.check(state) {
            break Some(violation);
        }
        if state.faults_are_over() && invariants::all_is_over(state) {
            break None;
        }
        if state.now > state.scenario.faults_end_at + OVER_WITHIN {
            break Some(invariants::not_over_in_time(state));
        }
    };
    steps.finish(violation)
}

fn start_everyone(world: &World) {
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

/// The job queue, as far as it is modelled: a due transaction is dispatched at that very moment.
#[derive(Default)]
struct Jobs {
    /// By transaction: the time for which it was last scheduled.
    scheduled: Vec<Option<Time>>,
    changes: u64,
}

impl Jobs {
    fn dispatch_changes(&mut self, state: &mut State) {
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
