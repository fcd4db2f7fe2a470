//! The world of one run, under a virtual clock: the database, the posting service, the users and
//! the schedule. The engine itself is in `engine`.
//!
//! Clients, workers and their requests are `async` functions, so that they read like the engine's.
//! Each `.await` is a step before which anything else may happen, and at which the process may
//! stall or die.

pub mod database;
pub mod posting_service;
pub mod rng;
pub mod scenario;
pub mod schedule;
pub mod users;

use std::{
    cell::{RefCell, RefMut},
    collections::BTreeMap,
    rc::Rc,
    task::Poll,
    time::Duration,
};

use chrono::{DateTime, Utc};
use domain::protocol::Policy;

use crate::{
    checks::mutation::Mutation,
    engine::{process::Process, store::Store},
    world::{
        posting_service::Service,
        rng::SeededRng,
        scenario::Scenario,
        schedule::{Event, Queue, Task, TaskId},
    },
};

pub type Time = DateTime<Utc>;
/// A transaction, from 0.
pub type Id = usize;
/// A worker process, from 0; a restarted one has a new number.
pub type Run = usize;

pub struct State {
    pub now: Time,
    pub scenario: Scenario,
    pub mutation: Option<Mutation>,
    /// The policy by which the workers decide.
    pub policy: Policy,
    pub rng: SeededRng,
    pub store: Store,
    pub service: Service,
    pub processes: Vec<Process>,
    pub database_gone_until: Time,
    /// By transaction: whether its client has been answered that it is stored.
    pub acknowledged: Vec<bool>,
    pub queue: Queue,
    /// Tasks that have not had their first step.
    pub new_tasks: Vec<Task>,
    tasks: TaskId,
    /// The task that is running.
    pub current: TaskId,
    /// Tasks that have an end and have not reached it.
    pub unfinished: usize,
    /// The observed events, and how often each occurred.
    pub observations: BTreeMap<&'static str, u64>,
    pub trace: Option<Vec<String>>,
}

impl State {
    pub fn faults_are_over(&self) -> bool {
        self.now >= self.scenario.faults_end_at
    }

    /// True with a probability of one in `times`, until the faults end.
    pub fn fault(&mut self, times: u32) -> bool {
        !self.faults_are_over() && self.rng.one_in(times)
    }

    pub fn observe(&mut self, what: &'static str) {
        *self.observations.entry(what).or_default() += 1;
    }

    /// Adds a line to the trace, if there is one.
    pub fn note(&mut self, line: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            let seconds = (self.now - Time::UNIX_EPOCH).as_seconds_f64();
            trace.push(format!("{seconds:>12.6}  {}", line()));
        }
    }
}

/// A handle to the world.
#[derive(Clone)]
pub struct World(Rc<RefCell<State>>);

impl World {
    pub fn new(seed: u64, mutation: Option<Mutation>, tracing: bool) -> Self {
        let mut rng = SeededRng::new(seed);
        let scenario = Scenario::draw(&mut rng);
        let policy = mutation.map_or(scenario.policy, |it| it.policy(scenario.policy));
        let mut state = State {
            now: Time::UNIX_EPOCH,
            mutation,
            policy,
            rng,
            store: Store::new(scenario.transactions, policy, mutation),
            service: Service::new(scenario.transactions),
            processes: Vec::new(),
            database_gone_until: Time::UNIX_EPOCH,
            acknowledged: vec![false; scenario.transactions],
            queue: Queue::default(),
            new_tasks: Vec::new(),
            tasks: 0,
            current: 0,
            unfinished: 0,
            observations: BTreeMap::new(),
            trace: tracing.then(Vec::new),
            scenario,
        };
        let line = format!("seed {seed}, mutation {mutation:?}, {:?}", state.scenario);
        state.note(|| line);
        Self(Rc::new(RefCell::new(state)))
    }

    /// Never held across an `.await`.
    pub fn state(&self) -> RefMut<'_, State> {
        self.0.borrow_mut()
    }

    pub fn now(&self) -> Time {
        self.state().now
    }

    /// Begins a task that has an end, before which the run is not over.
    pub fn spawn(&self, run: Option<Run>, task: impl Future<Output = ()> + 'static) {
        self.state().unfinished += 1;
        let unfinished = Unfinished(self.clone());
        self.spawn_endless(run, async move {
            let _unfinished = unfinished;
            task.await;
        });
    }

    /// Begins a task that runs until its process dies.
    pub fn spawn_endless(&self, run: Option<Run>, task: impl Future<Output = ()> + 'static) {
        let mut state = self.state();
        let (id, now) = (state.tasks, state.now);
        state.tasks += 1;
        state.new_tasks.push(Task { run, future: Some(Box::pin(task)) });
        state.push(now, Event::Wake(id));
    }

    pub async fn pause(&self, time: Duration) {
        let until = self.now() + time;
        self.until(until).await;
    }

    pub async fn until(&self, until: Time) {
        let mut asked = false;
        std::future::poll_fn(|_| {
            if std::mem::replace(&mut asked, true) {
                return Poll::Ready(());
            }
            let mut state = self.state();
            let current = state.current;
            state.push(until, Event::Wake(current));
            Poll::Pending
        })
        .await;
    }
}

/// Dropped with its task, also when the task is dropped because its process died.
struct Unfinished(World);

impl Drop for Unfinished {
    fn drop(&mut self) {
        self.0.state().unfinished -= 1;
    }
}
