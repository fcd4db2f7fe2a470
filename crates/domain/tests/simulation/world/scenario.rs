//! What a seed determines: the policy, the numbers of everything, and the rates of faults.

use std::time::Duration;

use domain::{backoff::Backoff, protocol::Policy};

use crate::world::{Time, posting_service::Fate, rng::SeededRng};

/// What a transaction does to the worker that executes it, each time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Poison {
    /// Kills it while its POST is in flight.
    Post,
    /// Kills it when the answer to a verification has come.
    Verification,
}

/// The world of one seed. Faults that are rare or absent in one are frequent in the next: a world
/// in which everything fails all the time never gets far enough for the rarer interleavings.
#[derive(Debug)]
pub struct Scenario {
    /// The policy of the posting service. The decisions get the same, unless a mutation changes it.
    pub policy: Policy,
    pub workers: usize,
    pub transactions: usize,
    /// When the faults end, so that everything has to reach its end.
    pub faults_end_at: Time,
    /// One in this many steps of a worker stalls it, or kills it; 0 for never.
    pub stalls: u32,
    pub crashes: u32,
    /// One in this many seconds a worker is shut down; 0 for never.
    pub shutdowns: u32,
    /// The longest time of a message to or from the database. In some worlds it is zero, so that
    /// everything that waits for the same moment happens at the same moment.
    pub latency: Duration,
    /// One in this many messages takes very long, about as long as a POST may be delayed; one in
    /// this many requests is sent as late.
    pub slowness: u32,
    /// One in this many statements fails; 0 for never.
    pub database_faults: u32,
    /// How many outages the database has.
    pub outages: usize,
    /// One in this many verifications has no finding; 0 for never.
    pub failed_verifications: u32,
    /// How a POST may end.
    pub fates: Vec<Fate>,
    /// The longest time between two interventions of the operator; `None` for no operator.
    pub operator_every: Option<Duration>,
    /// By transaction.
    pub poison: Vec<Option<Poison>>,
    /// By transaction: whether the posting service has a foreign entry under its id.
    pub foreign: Vec<bool>,
}

impl Scenario {
    pub fn draw(rng: &mut SeededRng) -> Self {
        let policy = policy(rng);
        let transactions = 1 + rng.below(6);
        // Long enough for a doubt to be settled, and for what follows it.
        let windows = policy.gives_up_within() + policy.settle + policy.visibility;
        let faults_end_after = windows + rng.millis(2_000, 30_000);
        Self {
            policy,
            workers: 2 + rng.below(3),
            transactions,
            faults_end_at: Time::UNIX_EPOCH + faults_end_after,
            stalls: rng.pick(&[0, 10, 30, 100]),
            crashes: rng.pick(&[0, 20, 100, 300]),
            shutdowns: rng.pick(&[0, 4, 10]),
            latency: Duration::from_millis(rng.pick(&[0, 0, 20, 1_200])),
            slowness: rng.pick(&[0, 3, 10]),
            database_faults: rng.pick(&[0, 5, 20, 60]),
            outages: rng.pick(&[0, 0, 1, 2]),
            failed_verifications: rng.pick(&[0, 1, 2, 5]),
            fates: fates(rng),
            operator_every: rng.pick(&[None, Some(500), Some(4_000)]).map(Duration::from_millis),
            poison: (0..transactions)
                .map(|_| rng.one_in(12).then(|| rng.pick(&[Poison::Post, Poison::Verification])))
                .collect(),
            foreign: (0..transactions).map(|_| rng.one_in(40)).collect(),
        }
    }
}

fn policy(rng: &mut SeededRng) -> Policy {
    let millis = |rng: &mut SeededRng, of: &[u64]| Duration::from_millis(rng.pick(of));
    let max_attempts = 1 + rng.below(4) as u32;
    if rng.one_in(12) {
        // The default settings.
        return Policy {
            max_attempts,
            timeout: Duration::from_secs(10),
            settle: Duration::from_secs(30),
            visibility: Duration::from_secs(1),
            backoff: Backoff { base: Duration::from_millis(500), max: Duration::from_secs(60) },
            in_doubt_backoff: Backoff {
                base: Duration::from_secs(5),
                max: Duration::from_secs(600),
            },
            doubt_after: Duration::from_secs(300),
            confirms_posts: rng.one_in(2),
        };
    }
    Policy {
        max_attempts,
        timeout: millis(rng, &[100, 2_000, 8_000]),
        settle: millis(rng, &[0, 500, 4_000, 9_000]),
        visibility: millis(rng, &[0, 100, 1_000, 3_000]),
        backoff: Backoff { base: millis(rng, &[0, 50, 500]), max: millis(rng, &[500, 2_000]) },
        in_doubt_backoff: Backoff { base: millis(rng, &[100, 1_000]), max: Duration::from_secs(3) },
        doubt_after: millis(rng, &[500, 5_000, 60_000]),
        confirms_posts: rng.one_in(4),
    }
}

/// A few of all fates, so that each gets long runs; one of them leaves a long doubt.
fn fates(rng: &mut SeededRng) -> Vec<Fate> {
    let mut fates = vec![rng.pick(&[Fate::TimedOut, Fate::Broken, Fate::GatewayGaveUp])];
    let others = rng.pick(&[0, 1, 2, 4]);
    fates.extend((0..others).map(|_| rng.pick(&Fate::ALL)));
    fates
}
