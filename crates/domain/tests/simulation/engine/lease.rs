//! What a worker process does beside its executions, as the engine's `recovery` and job queue do:
//! it renews its lease, reclaims the claims of dead runs and its own abandoned ones, finds due
//! transactions, and releases what it holds when it is shut down.

use std::{collections::BTreeSet, time::Duration};

use crate::{
    checks::mutation::Mutation,
    engine::{process::Process, row::Purpose, store::LEASE, worker::run_execution},
    world::{
        Id, Run, State, Time, World,
        database::{DatabaseError, Sender},
    },
};

/// How often a run renews its lease and looks for dead runs.
const RENEWAL: Duration = Duration::from_secs(1);

/// Starts a worker process.
pub fn start(world: &World) {
    let run = {
        let mut state = world.state();
        state.processes.push(Process::started());
        let run = state.processes.len() - 1;
        state.note(|| format!("run {run} starts"));
        run
    };
    world.spawn_endless(Some(run), heartbeat(world.clone(), run));
}

/// Runs the heartbeat of a run for as long as its process lives.
async fn heartbeat(world: World, run: Run) {
    while world.renew(run).await.is_err() {
        world.pause(RENEWAL).await;
    }
    world.state().processes[run].ready = true;
    let mut suspects = BTreeSet::new();
    // Since when this run has been able to renew: after an outage every lease may have expired, and
    // live runs have to renew before any run can be called dead.
    let mut renewing_since = None;
    loop {
        if reclaim_pass(&world, run, &mut suspects, &mut renewing_since).await.is_err() {
            renewing_since = None;
        }
        find_due(&world, run);
        world.pause(RENEWAL).await;
        let shuts_down = {
            let mut state = world.state();
            let shutdowns = state.scenario.shutdowns;
            state.fault(shutdowns)
        };
        if shuts_down {
            return shut_down(&world, run).await;
        }
    }
}

async fn reclaim_pass(
    world: &World,
    run: Run,
    suspects: &mut BTreeSet<(Id, u32)>,
    renewing_since: &mut Option<Time>,
) -> Result<(), DatabaseError> {
    if world.state().nothing_is_claimed() && !world.state().database_is_gone() {
        // The usual case. Nothing is there to reclaim, so the statements need not be steps of their
        // own.
        let now = world.now();
        world.state().store.renew(run, now);
        renewing_since.get_or_insert(now);
        suspects.clear();
        return Ok(());
    }
    world.renew(run).await?;
    let since = *renewing_since.get_or_insert(world.now());
    let at_once = world.state().mutation == Some(Mutation::ReclaimedAtOnce);
    if world.now() > since + LEASE || at_once {
        let dead = world.execute(Sender::Heartbeat(run), "find dead claims", run, |store, now| {
            store.dead_claims(now)
        });
        reclaim(world, run, dead.await?, true).await?;
    }
    let executing = world.state().processes[run].executions.clone();
    let held = world.execute(Sender::Heartbeat(run), "find held claims", run, move |store, _| {
        store.held_by(run)
    });
    let held = held.await?;
    let now: BTreeSet<_> = held.into_iter().filter(|(id, _)| !executing.contains(id)).collect();
    let forgotten = now.intersection(suspects).copied().collect();
    *suspects = now;
    reclaim(world, run, forgotten, false).await
}

async fn reclaim(
    world: &World,
    run: Run,
    claims: Vec<(Id, u32)>,
    lost: bool,
) -> Result<(), DatabaseError> {
    for (id, fence) in claims {
        world.state().observe(if lost {
            "a claim of a dead worker"
        } else {
            "a claim that is released"
        });
        world
            .execute(Sender::Heartbeat(run), "reclaim", id, move |store, now| {
                store.reclaim(id, fence, lost, now)
            })
            .await?;
        let state = &mut *world.state();
        if state.store.rows()[id]
            .is_some_and(|row| row.lost_claims >= state.policy.max_worker_deaths())
        {
            state.observe("quarantined");
        }
    }
    Ok(())
}

/// Releases what the run holds, although its requests may be in flight, and ends the process.
async fn shut_down(world: &World, run: Run) {
    let held = world.execute(Sender::Heartbeat(run), "find held claims", run, move |store, _| {
        store.held_by(run)
    });
    if let Ok(held) = held.await
        && reclaim(world, run, held, false).await.is_ok()
    {
        let end =
            world.execute(Sender::Heartbeat(run), "end the lease of", run, move |store, _| {
                store.end_lease(run);
            });
        // If that fails, the lease expires by itself.
        let _ = end.await;
    }
    world.state().kill(run);
}

/// Begins an execution of every due transaction that this run is not executing already.
fn find_due(world: &World, run: Run) {
    let due: Vec<Id> = {
        let state = world.state();
        let ids = 0..state.scenario.transactions;
        ids.filter(|id| {
            state.due_at(*id).is_some_and(|at| at <= state.now)
                && !state.processes[run].executions.contains(id)
        })
        .collect()
    };
    for id in due {
        begin_execution(world, run, id);
    }
}

fn begin_execution(world: &World, run: Run, id: Id) {
    let purpose = world.state().purpose(id);
    world.spawn(Some(run), run_execution(world.clone(), run, id, purpose));
}

/// Lets one worker, or two, begin an execution at the very moment that a transaction is due.
pub fn dispatch(world: &World, id: Id) {
    let runs: Vec<Run> = {
        let mut state = world.state();
        let alive: Vec<Run> = (0..state.processes.len())
            .filter(|run| state.processes[*run].alive && state.processes[*run].ready)
            .collect();
        let many = if alive.is_empty() { 0 } else { 1 + usize::from(state.rng.one_in(4)) };
        (0..many).map(|_| state.rng.pick(&alive)).collect()
    };
    for run in runs {
        begin_execution(world, run, id);
    }
}

impl World {
    async fn renew(&self, run: Run) -> Result<(), DatabaseError> {
        let sender = Sender::Heartbeat(run);
        self.execute(sender, "renew the lease of", run, move |store, now| store.renew(run, now))
            .await
    }
}

impl State {
    /// When an unclaimed transaction is due.
    pub fn due_at(&self, id: Id) -> Option<Time> {
        self.store.rows()[id].filter(|row| row.claimed_by.is_none())?.next_attempt_at
    }

    fn nothing_is_claimed(&self) -> bool {
        self.store.rows().iter().flatten().all(|row| row.claimed_by.is_none())
    }

    fn purpose(&self, id: Id) -> Purpose {
        let doubted = self.store.rows()[id].is_some_and(|row| row.doubt.is_some());
        match doubted && self.mutation != Some(Mutation::NoVerification) {
            true => Purpose::Verify,
            false => Purpose::Post,
        }
    }
}
