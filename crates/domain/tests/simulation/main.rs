//! The protocol under everything that can happen to it, thousands of times, in seconds.
//!
//! Each seed is a world of its own: clients, workers, an operator, a database and a posting service,
//! under a virtual clock, in one thread. The workers decide by the functions of `domain::protocol`, the
//! very ones that the engine uses; the store has the meaning of the engine's SQL statements, one
//! function for each. Statements fail, get lost and come late; workers stall, die, are shut down and are
//! cut off from the database; the posting service does whatever its few promises permit (see
//! `service`), and prefers the edges of its windows. After every step the invariants are checked.
//!
//! A seed always runs the same way. `SIMULATION_SEED=7 cargo test -p domain --test simulation
//! the_invariants -- --nocapture` shows all that happens in number 7, and so it does for a mutation,
//! by the name of its test; `SIMULATION_SEEDS=100000` runs more than the usual number.
//!
//! What is not modelled: apalis's jobs, of which nothing more is assumed than that what is due is taken
//! up some time, by anyone, or by two; the circuit breaker, the pause and the pace, which only hold
//! POSTs back; a database that forgets what it has committed, or whose clock jumps; the time between
//! the last look at the clock and the leaving of a POST (see `worker`); two people who contradict each
//! other between reading and deciding.

mod checks;
mod engine;
mod run;
mod world;

use std::{
    collections::BTreeMap,
    env,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::Instant,
};

use checks::invariants::{
    Broken,
    Invariant::{self, *},
};
use checks::mutation::Mutation::{self, *};

/// Seeds in a usual run.
const SEEDS: u64 = 5_000;
/// Seeds that show that a variant is harmless.
const SEEDS_OF_A_VARIANT: u64 = 500;
/// Lines of the trace that a failure shows.
const LINES: usize = 60;

/// What a usual run comes across. A world in which one of these never happens proves too little.
const WORTH_SEEING: [&str; 29] = [
    "a POST that was held up",
    "a claim given back",
    "a claim of a dead worker",
    "a claim that was lost",
    "a doubt that is over",
    "a retry",
    "a statement that fails",
    "a worker that dies",
    "a worker that stalls",
    "a write after its end",
    "absent",
    "an attempt's end, then a verification",
    "an outage of the database",
    "cancel",
    "completed",
    "failed",
    "failed: proven absent",
    "failed: refused",
    "found",
    "in doubt: mismatch",
    "in doubt: unknown",
    "mismatch",
    "not_sent",
    "posted",
    "refused",
    "resolve",
    "retry",
    "set aside",
    "unknown",
];

#[test]
fn the_invariants_hold_for_every_seed() {
    if let Some(seed) = number("SIMULATION_SEED") {
        return replay(seed, None);
    }
    let seeds = number("SIMULATION_SEEDS").unwrap_or(SEEDS);
    let started = Instant::now();
    let (steps, sights, broken) = run_all(seeds);
    if let Some((seed, broken)) = broken {
        fail(seed, None, &broken);
    }
    println!("{seeds} seeds, {steps} steps in {:?}", started.elapsed());
    for (sight, times) in &sights {
        println!("{times:>10}  {sight}");
    }
    if seeds >= SEEDS {
        for sight in WORTH_SEEING {
            assert!(sights.contains_key(sight), "never seen: {sight}");
        }
    }
}

#[test]
fn taking_back_too_early_costs_time_but_not_correctness() {
    if let Some(seed) = number("SIMULATION_SEED") {
        return replay(seed, Some(TakenBackAtOnce));
    }
    for seed in 0..SEEDS_OF_A_VARIANT {
        if let Some(broken) = run::run(seed, Some(TakenBackAtOnce), false).broken {
            fail(seed, Some(TakenBackAtOnce), &broken);
        }
    }
}

/// What a lost guard leads to in the end: an entry too many, or one that the state denies.
const LEDGER: &[Invariant] = &[PostedAtMostOnce, EndedWithoutEntry, CompletedIsPosted];

macro_rules! mutations {
    ($module:ident, $seeds:literal: $($name:ident: $mutation:ident breaks $invariants:expr;)*) => {
        mod $module {
            use super::*;
            $(
                #[test]
                fn $name() {
                    fails_when($mutation, $invariants, $seeds);
                }
            )*
        }
    };
}

mutations! {
    the_simulation_fails_within_a_thousand_seeds_when, 1_000:
    no_fence_is_checked: NoFenceCheck breaks LEDGER;
    a_doubt_is_not_verified: NoVerification breaks LEDGER;
    there_is_no_settle_window: NoSettleWindow breaks LEDGER;
    there_is_no_visibility_window: NoVisibilityWindow breaks LEDGER;
    no_visibility_window_follows_the_settle_window: NoVisibilityAfterSettling breaks LEDGER;
    a_failed_verification_is_read_as_absent: FailedReadAsAbsent breaks LEDGER;
    an_absence_counts_from_its_answer: AbsenceCountedFromItsAnswer breaks LEDGER;
    a_worker_goes_by_its_machines_clock: ClockOfTheMachine breaks LEDGER;
    a_client_is_told_before_the_commit: AcknowledgedBeforeCommit breaks &[Durable];
    an_attempt_is_committed_after_its_post: AttemptCommittedAfterItsPost breaks &[AttemptComesFirst];
    a_doubt_is_committed_after_its_post: DoubtCommittedAfterItsPost breaks LEDGER;
    a_post_leaves_at_any_time: PostLeavesAtAnyTime breaks LEDGER;
    a_post_has_its_time_from_the_claims_answer: PostWithinCountedFromTheAnswer breaks LEDGER;
    a_clock_stands_still_in_suspension: ClockStandsStillInSuspension breaks LEDGER;
    a_doubt_is_counted_from_the_claim: DoubtCountedFromTheClaim breaks LEDGER;
    what_is_unknown_is_called_failed: FailedOnUnknown breaks LEDGER;
    a_broken_connection_is_read_as_not_sent: BrokenReadAsNotSent breaks LEDGER;
    attempts_are_counted_at_their_end:
        AttemptsCountedAtTheirEnd breaks &[AttemptsAreLimited, ComesToAnEnd];
    lost_workers_are_not_counted: LossesNotCounted breaks &[ComesToAnEnd];
    what_was_sent_can_be_cancelled: CancelledAfterSent breaks LEDGER;
    a_retry_forgets_the_doubt: RetryForgetsDoubt breaks LEDGER;
}

// What takes several rare things at once. One seed in some hundreds finds it, so that a change of
// the simulation, which shifts all draws, need not hide it.
mutations! {
    the_simulation_fails_within_ten_thousand_seeds_when, 10_000:
    the_settle_window_is_a_millisecond_too_short: SettleWindowTooShort breaks LEDGER;
    a_doubt_forgets_that_a_post_may_leave_late: DoubtWithoutPostWithin breaks LEDGER;
}

fn fails_when(mutation: Mutation, expected: &[Invariant], seeds: u64) {
    if let Some(seed) = number("SIMULATION_SEED") {
        return replay(seed, Some(mutation));
    }
    let first = (0..seeds).find_map(|seed| {
        let broken = run::run(seed, Some(mutation), false).broken?;
        expected.contains(&broken.invariant).then_some((seed, broken.invariant))
    });
    let Some((seed, invariant)) = first else { panic!("{mutation:?} is not noticed") };
    println!("{mutation:?}: seed {seed} breaks {invariant:?}");
}

type Sights = BTreeMap<&'static str, u64>;

/// Runs so many seeds, spread over the processors; each seed in one thread. Of those that break
/// something it gives one.
fn run_all(seeds: u64) -> (u64, Sights, Option<(u64, Broken)>) {
    let next = AtomicU64::new(0);
    let work = || {
        let (mut steps, mut sights) = (0, Sights::new());
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds {
                return (steps, sights, None);
            }
            let report = run::run(seed, None, false);
            steps += report.steps;
            for (sight, times) in report.sights {
                *sights.entry(sight).or_default() += times;
            }
            if let Some(broken) = report.broken {
                return (steps, sights, Some((seed, broken)));
            }
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let (mut steps, mut sights, mut first) = (0, Sights::new(), None);
        for worker in workers {
            let (taken, seen, broken) = worker.join().expect("a run panicked");
            steps += taken;
            for (sight, times) in seen {
                *sights.entry(sight).or_default() += times;
            }
            first = first.or(broken);
        }
        (steps, sights, first)
    })
}

fn number(variable: &str) -> Option<u64> {
    let value = env::var(variable).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{variable} must be a number")))
}

/// Shows one seed from its beginning to its end.
fn replay(seed: u64, mutation: Option<Mutation>) {
    let report = run::run(seed, mutation, true);
    for line in &report.trace {
        println!("{line}");
    }
    println!("seed {seed}, {} steps: {:?}", report.steps, report.broken);
    assert!(mutation.is_some() || report.broken.is_none(), "see above");
}

fn fail(seed: u64, mutation: Option<Mutation>, broken: &Broken) -> ! {
    let trace = run::run(seed, mutation, true).trace;
    for line in &trace[trace.len().saturating_sub(LINES)..] {
        eprintln!("{line}");
    }
    let test = thread::current().name().unwrap_or_default().to_owned();
    panic!(
        "seed {seed}, mutation {mutation:?}: {:?} is broken by {}\n\
         replay: SIMULATION_SEED={seed} cargo test -p domain --test simulation {test} -- --nocapture",
        broken.invariant, broken.details,
    );
}
