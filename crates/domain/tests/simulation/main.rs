//! The protocol under every fault, thousands of times, in seconds.
//!
//! Each seed is a world of its own: clients, workers, an operator, a database and a posting
//! service, under a virtual clock, in one thread. The workers decide by the functions of
//! `domain::protocol`, which the engine uses too; the store has the meaning of the engine's SQL
//! statements, one function for each. Statements fail, get lost and arrive late; workers stall,
//! die, are shut down and lose their connection to the database; the posting service does whatever
//! its few promises permit (see `world::posting_service`), and prefers the edges of its windows.
//! After every step the invariants are checked.
//!
//! A seed always runs the same way. `SIMULATION_SEED=7 cargo test -p domain --test simulation
//! the_invariants -- --nocapture` shows everything that happens in number 7. The name of a
//! mutation's test does the same for the mutation. `SIMULATION_SEEDS=100000` runs more than the
//! usual number.
//!
//! Not modelled: apalis's jobs, of which the simulation assumes only that a due transaction is
//! executed some time, by any worker or by two; the circuit breaker, the pause and the rate limit,
//! which only hold POSTs back; a database that forgets what it has committed, or whose clock jumps;
//! the time between the last check of the clock and the sending of a POST (see `engine::worker`);
//! two operators who contradict each other between reading and deciding.

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
    Invariant::{self, *},
    Violation,
};
use checks::mutation::Mutation::{self, *};

/// Seeds in a usual run.
const SEEDS: u64 = 5_000;
/// Seeds that show that a variant is harmless.
const SEEDS_OF_A_VARIANT: u64 = 500;
/// Lines of the trace that a failure prints.
const LINES: usize = 60;

/// Events that a usual run observes. A simulation in which one of them never happens proves too
/// little.
const EXPECTED_OBSERVATIONS: [&str; 30] = [
    "a POST after its deadline",
    "a claim that is released",
    "a claim of a dead worker",
    "a claim that was lost",
    "a doubt that is settled",
    "a retry",
    "a statement that fails",
    "a worker that dies",
    "a worker that stalls",
    "a write after the request ended",
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
    "in doubt: verification fails",
    "mismatch",
    "not_sent",
    "posted",
    "refused",
    "resolve",
    "retry",
    "quarantined",
    "unknown",
];

#[test]
fn the_invariants_hold_for_every_seed() {
    if let Some(seed) = number("SIMULATION_SEED") {
        return replay(seed, None);
    }
    let seeds = number("SIMULATION_SEEDS").unwrap_or(SEEDS);
    let started = Instant::now();
    let (steps, observations, violation) = run_all(seeds);
    if let Some((seed, violation)) = violation {
        fail(seed, None, &violation);
    }
    println!("{seeds} seeds, {steps} steps in {:?}", started.elapsed());
    for (observation, times) in &observations {
        println!("{times:>10}  {observation}");
    }
    if seeds >= SEEDS {
        for observation in EXPECTED_OBSERVATIONS {
            assert!(observations.contains_key(observation), "never observed: {observation}");
        }
    }
}

#[test]
fn reclaiming_too_early_costs_time_but_not_correctness() {
    if let Some(seed) = number("SIMULATION_SEED") {
        return replay(seed, Some(ReclaimedAtOnce));
    }
    for seed in 0..SEEDS_OF_A_VARIANT {
        if let Some(violation) = run::run(seed, Some(ReclaimedAtOnce), false).violation {
            fail(seed, Some(ReclaimedAtOnce), &violation);
        }
    }
}

/// The final effect of a missing guard: an entry too many, or one that contradicts the state.
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
    an_absence_counts_from_the_answer_instead_of_the_request:
        AbsenceCountedFromItsAnswer breaks LEDGER;
    a_worker_uses_the_clock_of_its_machine: ClockOfTheMachine breaks LEDGER;
    a_client_is_answered_before_the_commit: AcknowledgedBeforeCommit breaks &[Durable];
    an_attempt_is_committed_after_its_post:
        AttemptCommittedAfterItsPost breaks &[AttemptComesFirst];
    a_doubt_is_committed_after_its_post: DoubtCommittedAfterItsPost breaks LEDGER;
    a_post_leaves_at_any_time: PostLeavesAtAnyTime breaks LEDGER;
    the_send_deadline_counts_from_the_answer_to_the_claim:
        PostWithinCountedFromTheAnswer breaks LEDGER;
    a_clock_stands_still_during_suspension: ClockStandsStillInSuspension breaks LEDGER;
    a_doubt_is_counted_from_the_claim: DoubtCountedFromTheClaim breaks LEDGER;
    an_unknown_outcome_is_called_failed: FailedOnUnknown breaks LEDGER;
    verification_that_fails_for_long_is_read_as_absent: FailedForLongReadAsAbsent breaks LEDGER;
    verification_that_fails_for_long_is_never_shown_as_a_doubt:
        NeverInDoubtWithAttemptsLeft breaks &[LongDoubtIsShown];
    an_accepted_post_is_read_as_posted: AcceptedReadAsPosted breaks LEDGER;
    a_contradicting_answer_is_read_as_posted: ContradictionReadAsPosted breaks LEDGER;
    a_broken_connection_is_read_as_not_sent: BrokenReadAsNotSent breaks LEDGER;
    attempts_are_counted_at_their_end:
        AttemptsCountedAtTheirEnd breaks &[AttemptsAreLimited, ComesToAnEnd];
    lost_workers_are_not_counted: LossesNotCounted breaks &[ComesToAnEnd];
    a_sent_transaction_can_be_cancelled: CancelledAfterSent breaks LEDGER;
    a_retry_forgets_the_doubt: RetryForgetsDoubt breaks LEDGER;
}

// These need several rare events at once. One seed in some hundreds finds them, so that a change of
// the simulation, which shifts all draws, is unlikely to hide them.
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
        let violation = run::run(seed, Some(mutation), false).violation?;
        expected.contains(&violation.invariant).then_some((seed, violation.invariant))
    });
    let Some((seed, invariant)) = first else { panic!("{mutation:?} is not noticed") };
    println!("{mutation:?}: seed {seed} violates {invariant:?}");
}

type Observations = BTreeMap<&'static str, u64>;

/// Runs so many seeds, spread over the processors, each seed in one thread. If seeds violate an
/// invariant, returns one of them.
fn run_all(seeds: u64) -> (u64, Observations, Option<(u64, Violation)>) {
    let next = AtomicU64::new(0);
    let work = || {
        let (mut steps, mut observations) = (0, Observations::new());
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds {
                return (steps, observations, None);
            }
            let report = run::run(seed, None, false);
            steps += report.steps;
            for (observation, times) in report.observations {
                *observations.entry(observation).or_default() += times;
            }
            if let Some(violation) = report.violation {
                return (steps, observations, Some((seed, violation)));
            }
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let (mut steps, mut observations, mut first) = (0, Observations::new(), None);
        for worker in workers {
            let (taken, seen, violation) = worker.join().expect("a run panicked");
            steps += taken;
            for (observation, times) in seen {
                *observations.entry(observation).or_default() += times;
            }
            first = first.or(violation);
        }
        (steps, observations, first)
    })
}

fn number(variable: &str) -> Option<u64> {
    let value = env::var(variable).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{variable} must be a number")))
}

/// Prints the trace of one seed.
fn replay(seed: u64, mutation: Option<Mutation>) {
    let report = run::run(seed, mutation, true);
    for line in &report.trace {
        println!("{line}");
    }
    println!("seed {seed}, {} steps: {:?}", report.steps, report.violation);
    assert!(mutation.is_some() || report.violation.is_none(), "see above");
}

fn fail(seed: u64, mutation: Option<Mutation>, violation: &Violation) -> ! {
    let trace = run::run(seed, mutation, true).trace;
    for line in &trace[trace.len().saturating_sub(LINES)..] {
        eprintln!("{line}");
    }
    let test = thread::current().name().unwrap_or_default().to_owned();
    panic!(
        "seed {seed}, mutation {mutation:?}: {:?} is violated: {}\n\
         replay: SIMULATION_SEED={seed} cargo test -p domain --test simulation {test} -- --nocapture",
        violation.invariant, violation.details,
    );
}
