//! The way of a statement to the store and of its answer back. A statement may not be executed; it
//! may be executed and its answer lost; it may be executed only after its sender has given it up.
//! Whatever happens to its sender, a statement that has left is executed.

use std::{
    cell::RefCell,
    fmt::{self, Debug},
    rc::Rc,
    time::Duration,
};

use crate::{
    engine::store::Store,
    world::{Id, Run, State, Time, World},
};

/// The sender of a statement, for the trace.
#[derive(Clone, Copy)]
pub enum Sender {
    Client,
    Worker(Run),
    Heartbeat(Run),
}

impl fmt::Display for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client => f.write_str("client"),
            Self::Worker(run) => write!(f, "worker {run}"),
            Self::Heartbeat(run) => write!(f, "heartbeat {run}"),
        }
    }
}

/// The statement failed, as far as its sender knows.
#[derive(Debug, Clone, Copy)]
pub struct DatabaseError;

impl World {
    /// Sends a statement about a transaction and waits for its answer.
    pub async fn execute<R: Debug + 'static>(
        &self,
        who: Sender,
        what: &'static str,
        id: Id,
        statement: impl FnOnce(&mut Store, Time) -> R + 'static,
    ) -> Result<R, DatabaseError> {
        let (executed_at, answered_at, answer_arrives) = {
            let mut state = self.state();
            let executed_at = state.now + state.latency();
            // After its cause, even if it takes no time.
            let answered_at = executed_at + state.latency() + Duration::from_nanos(1);
            let faults = state.scenario.database_faults;
            if state.fault(faults) {
                state.observe("a statement that fails");
                match state.rng.below(3) {
                    0 => (None, answered_at, false),
                    1 => (Some(executed_at), answered_at, false),
                    _ => {
                        let late = answered_at + state.rng.millis(0, 4_000);
                        (Some(late), answered_at, false)
                    }
                }
            } else {
                (Some(executed_at), answered_at, true)
            }
        };
        let answer = Rc::new(RefCell::new(None));
        if let Some(at) = executed_at {
            let answer = answer.clone();
            self.state().schedule(at, move |world| {
                let state = &mut *world.state();
                if state.database_is_gone() {
                    return state.note(|| format!("{who}: {what} {id}: the database is gone"));
                }
                let result = statement(&mut state.store, state.now);
                state.note(|| format!("{who}: {what} {id}: {result:?}"));
                answer.replace(Some(result));
            });
        }
        self.until(answered_at).await;
        match answer.take() {
            Some(answer) if answer_arrives => Ok(answer),
            _ => {
                self.state().note(|| format!("{who}: {what} {id}: no answer"));
                Err(DatabaseError)
            }
        }
    }
}

impl State {
    pub fn database_is_gone(&self) -> bool {
        self.now < self.database_gone_until
    }

    fn latency(&mut self) -> Duration {
        match self.fault(self.scenario.slowness) {
            true => self.rng.millis(500, 2_500),
            false => self.rng.between(Duration::ZERO, self.scenario.latency),
        }
    }

    /// Schedules outages of the database, which end when the faults end.
    pub fn plan_outages(&mut self) {
        for _ in 0..self.scenario.outages {
            let faults_end_at = self.scenario.faults_end_at;
            let most = (faults_end_at - self.now).to_std().unwrap_or_default();
            let from = self.now + self.rng.between(Duration::ZERO, most);
            let until = (from + self.rng.millis(100, 15_000)).min(faults_end_at);
            self.schedule(from, move |world| {
                let mut state = world.state();
                state.database_gone_until = state.database_gone_until.max(until);
                state.observe("an outage of the database");
                state.note(|| "the database is gone".to_owned());
            });
        }
    }
}
