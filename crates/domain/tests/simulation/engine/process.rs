//! Worker processes: each stalls and dies as a whole, at any step of any of its tasks.

use std::time::Duration;

use domain::protocol::POST_WITHIN;

use crate::{
    checks::mutation::Mutation,
    engine::{lease, store::LEASE},
    world::{Id, Run, State, Time},
};

#[derive(Debug, Default)]
pub struct Process {
    pub alive: bool,
    /// Whether it has had a lease, and therefore executes.
    pub ready: bool,
    /// The transactions that it is executing.
    pub executions: Vec<Id>,
    stalled_until: Option<Time>,
    /// How far its own clock is behind the world's.
    clock_lag: Duration,
}

impl Process {
    pub fn started() -> Self {
        Self { alive: true, ..Self::default() }
    }
}

/// Whether a process continues.
pub enum Awake {
    Yes,
    Later(Time),
    Never,
}

impl State {
    /// Whether a process continues now. Called before each of its steps: here it may stall or die.
    pub fn awake(&mut self, run: Run) -> Awake {
        let process = &self.processes[run];
        match process.stalled_until {
            _ if !process.alive => return Awake::Never,
            Some(until) if until > self.now => return Awake::Later(until),
            _ => {}
        }
        if self.fault(self.scenario.crashes) {
            self.kill(run);
            return Awake::Never;
        }
        if self.fault(self.scenario.stalls) {
            return Awake::Later(self.stall(run));
        }
        Awake::Yes
    }

    /// Stalls a process for a time close to one of the protocol's timeouts.
    fn stall(&mut self, run: Run) -> Time {
        let policy = self.scenario.policy;
        let windows = policy.gives_up_within() + policy.settle + policy.visibility;
        let limit = self.rng.pick(&[POST_WITHIN, LEASE, windows]);
        let off = self.rng.millis(0, 1_900);
        let stall = if self.rng.one_in(2) { limit + off } else { limit.saturating_sub(off) };
        let until = self.now + stall;
        let process = &mut self.processes[run];
        process.stalled_until = Some(until);
        if self.mutation == Some(Mutation::ClockStandsStillInSuspension) {
            process.clock_lag += stall;
        }
        self.observe("a worker that stalls");
        self.note(|| format!("run {run} stalls for {stall:?}"));
        until
    }

    /// Ends a process: what it has sent stays in flight, everything else is lost. Another process
    /// is started.
    pub fn kill(&mut self, run: Run) {
        if std::mem::take(&mut self.processes[run].alive) {
            self.observe("a worker that dies");
            self.note(|| format!("run {run} dies"));
            let restart = self.now + self.rng.millis(0, 3_000);
            self.schedule(restart, lease::start);
        }
    }

    /// The time by a process's own clock, which measures durations only.
    pub fn clock(&self, run: Run) -> Time {
        self.now - self.processes[run].clock_lag
    }
}
