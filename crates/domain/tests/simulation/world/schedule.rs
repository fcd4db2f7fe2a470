//! The queue of events, and the loop that takes one step after another. One thread: the next step
//! is the one with the earliest time; the seed decides between steps of the same time.

use std::{
    cmp::{Ordering, Reverse},
    collections::BinaryHeap,
    pin::Pin,
    task::{Context, Waker},
};

use crate::{
    checks::invariants::Violation,
    engine::process::Awake,
    run::Report,
    world::{Run, State, Time, World},
};

/// A task, from 0.
pub type TaskId = usize;

pub enum Event {
    /// A task continues.
    Wake(TaskId),
    /// An effect, independent of the task that scheduled it.
    Do(Box<dyn FnOnce(&World)>),
}

pub struct Task {
    /// The worker process to which it belongs, if any: it lives and stalls with the process.
    pub run: Option<Run>,
    pub future: Option<Pin<Box<dyn Future<Output = ()>>>>,
}

struct Scheduled {
    /// The time; then the seed's choice; then a number that makes it unique.
    order: Reverse<(Time, u64, u64)>,
    event: Event,
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        self.order == other.order
    }
}

impl Eq for Scheduled {}

impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Scheduled {
    fn cmp(&self, other: &Self) -> Ordering {
        self.order.cmp(&other.order)
    }
}

/// The scheduled events.
#[derive(Default)]
pub struct Queue {
    events: BinaryHeap<Scheduled>,
    pushed: u64,
}

impl Queue {
    /// At the same time, the lower rank comes first.
    pub fn push(&mut self, at: Time, rank: u64, event: Event) {
        self.pushed += 1;
        self.events.push(Scheduled { order: Reverse((at, rank, self.pushed)), event });
    }

    fn pop(&mut self) -> Option<(Time, Event)> {
        self.events.pop().map(|next| (next.order.0.0, next.event))
    }
}

impl State {
    /// Schedules an effect, whatever happens to the task that wants it.
    pub fn schedule(&mut self, at: Time, event: impl FnOnce(&World) + 'static) {
        self.push(at, Event::Do(Box::new(event)));
    }

    /// The same, before anything else of that moment.
    pub fn schedule_first(&mut self, at: Time, event: impl FnOnce(&World) + 'static) {
        self.queue.push(at.max(self.now), 0, Event::Do(Box::new(event)));
    }

    pub fn push(&mut self, at: Time, event: Event) {
        let rank = self.rng.number();
        self.queue.push(at.max(self.now), rank, event);
    }
}

/// Takes the steps of a world.
pub struct Steps {
    world: World,
    tasks: Vec<Task>,
    taken: u64,
}

impl Steps {
    pub fn new(world: World) -> Self {
        Self { world, tasks: Vec::new(), taken: 0 }
    }

    /// Takes the next step. There always is one: the workers renew their leases forever.
    pub fn take(&mut self) {
        let mut state = self.world.state();
        self.tasks.append(&mut state.new_tasks);
        let Some((at, event)) = state.queue.pop() else { unreachable!("nothing is to come") };
        self.taken += 1;
        state.now = at;
        let id = match event {
            Event::Wake(id) => id,
            Event::Do(event) => {
                drop(state);
                return event(&self.world);
            }
        };
        let task = &mut self.tasks[id];
        match task.run.map_or(Awake::Yes, |run| state.awake(run)) {
            Awake::Yes => {
                state.current = id;
                drop(state);
                let mut context = Context::from_waker(Waker::noop());
                if let Some(future) = &mut task.future
                    && future.as_mut().poll(&mut context).is_ready()
                {
                    task.future = None;
                }
            }
            Awake::Later(until) => state.push(until, Event::Wake(id)),
            Awake::Never => {
                drop(state); // Dropping a task changes the world.
                task.future = None;
            }
        }
    }

    /// Ends the run and returns its report.
    pub fn finish(self, violation: Option<Violation>) -> Report {
        // The tasks and the world hold references to each other.
        drop(self.tasks);
        let new_tasks = std::mem::take(&mut self.world.state().new_tasks);
        drop(new_tasks);
        let mut state = self.world.state();
        Report {
            violation,
            steps: self.taken,
            observations: std::mem::take(&mut state.observations),
            trace: state.trace.take().unwrap_or_default(),
        }
    }
}
