//! What one seed stands for: the policy, how many of everything, and what goes wrong how often.

use std::time::Duration;

use domain::{backoff::Backoff, protocol::Policy};

use crate::world::{Time, posting_service::Fate, rng::Dice};

/// What a transaction does to the worker that handles it, again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Poison {
    /// Kills it while its POST is under way.
    Post,
    /// Kills it when the answer of a verification has come.
    Verification,
}

/// One seed's world. Faults that are rare or absent in one are frequent in the next: a world where
/// everything fails all the time never gets far enough for the rarer interleavings.
#[derive(Debug)]
pub struct Scenario {
    /// As the posting service is. The decisions get the same, unless a mutation takes a part of it.
    pub policy: Policy,
    pub workers: usize,
    pub transactions: usize,
    /// From here on no more faults, so that everything has to come to its end.
    pub calm_at: Time,
    /// Once in so many steps of a worker it is held up, or killed; 0 for never.
    pub stalls: u32,
    pub crashes: u32,
    /// Once in so many seconds a worker is shut down.
    pub shutdowns: u32,
    /// What a message to the database or from it takes at most; in some worlds it takes no time at all,
    /// so that everything that waits for the same moment comes at the same moment.
    pub latency: Duration,
    /// Once in so many messages it takes very long, about as long as a POST may be held up; and once in
    /// so many requests a worker takes as long to send it.
    pub slowness: u32,
    /// Once in so many statements the database does something else.
    pub database_faults: u32,
    /// How often the database is gone for a while.
    pub outages: usize,
    /// Once in so many verifications there is no finding.
    pub failed_verifications: u32,
    /// What may become of a POST.
    pub fates: Vec<Fate>,
    /// Between two acts of the operator; none acts without.
    pub operator_every: Option<Duration>,
    /// By transaction.
    pub poison: Vec<Option<Poison>>,
    /// Whether the posting service has somebody else's entry under this id.
    pub foreign: Vec<bool>,
}

impl Scenario {
    pub fn draw(dice: &mut Dice) -> Self {
        let policy = policy(dice);
        let transactions = 1 + dice.below(6);
        // Long enough for a doubt to come to its end, and for what follows it.
        let windows = policy.gives_up_within() + policy.settle + policy.visibility;
        let calm_after = windows + dice.millis(2_000, 30_000);
        Self {
            policy,
            workers: 2 + dice.below(3),
            transactions,
            calm_at: Time::UNIX_EPOCH + calm_after,
            stalls: dice.pick(&[0, 10, 30, 100]),
            crashes: dice.pick(&[0, 20, 100, 300]),
            shutdowns: dice.pick(&[0, 4, 10]),
            latency: Duration::from_millis(dice.pick(&[0, 0, 20, 1_200])),
            slowness: dice.pick(&[0, 3, 10]),
            database_faults: dice.pick(&[0, 5, 20, 60]),
            outages: dice.pick(&[0, 0, 1, 2]),
            failed_verifications: dice.pick(&[0, 2, 5]),
            fates: fates(dice),
            operator_every: dice.pick(&[None, Some(500), Some(4_000)]).map(Duration::from_millis),
            poison: (0..transactions)
                .map(|_| dice.one_in(12).then(|| dice.pick(&[Poison::Post, Poison::Verification])))
                .collect(),
            foreign: (0..transactions).map(|_| dice.one_in(40)).collect(),
        }
    }
}

fn policy(dice: &mut Dice) -> Policy {
    let millis = |dice: &mut Dice, of: &[u64]| Duration::from_millis(dice.pick(of));
    let max_attempts = 1 + dice.below(4) as u32;
    if dice.one_in(12) {
        // As it comes out of the box.
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
        };
    }
    Policy {
        max_attempts,
        timeout: millis(dice, &[100, 2_000, 8_000]),
        settle: millis(dice, &[0, 500, 4_000, 9_000]),
        visibility: millis(dice, &[0, 100, 1_000, 3_000]),
        backoff: Backoff { base: millis(dice, &[0, 50, 500]), max: millis(dice, &[500, 2_000]) },
        in_doubt_backoff: Backoff {
            base: millis(dice, &[100, 1_000]),
            max: Duration::from_secs(3),
        },
    }
}

/// A few of all fates, so that each gets its long runs; one of them leaves a doubt for long.
fn fates(dice: &mut Dice) -> Vec<Fate> {
    let mut fates = vec![dice.pick(&[Fate::TimedOut, Fate::Broken, Fate::GatewayGaveUp])];
    let others = dice.pick(&[0, 1, 2, 4]);
    fates.extend((0..others).map(|_| dice.pick(&Fate::ALL)));
    fates
}
