//! Which requests are hit: every random decision, as pure functions of the seed and the request.
//!
//! A request's fate depends only on the seed, its id, and how many requests for this id came before
//! it. So the order in which concurrent requests arrive does not matter, and a run can be repeated.
//! Each fault draws its own random number in a fixed order, so that changing one rate does not
//! change which requests another fault hits.

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, StandardNormal};

use crate::faults::Faults;

/// The longest latency that is drawn; a log-normal distribution has no upper end.
const LONGEST_LATENCY_MS: f64 = 24.0 * 60.0 * 60.0 * 1000.0;

/// What happens to a POST.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PostPlan {
    /// How long it takes before it writes.
    pub(crate) latency_ms: u64,
    /// How it ends.
    pub(crate) fate: PostFate,
}

/// How a POST ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PostFate {
    /// 429, at once.
    RateLimited,
    /// 422, for every POST of this id.
    Refused,
    /// No answer, nothing saved.
    ResetBeforeWrite,
    /// 500, nothing saved.
    FailBeforeWrite,
    /// No answer for a long time, nothing saved.
    Hang,
    /// No answer, saved later.
    LateWrite,
    /// 202, saved later.
    Accepted,
    /// 202, nothing saved.
    AcceptedLost,
    /// 200 with a body that is no confirmation, nothing saved.
    WrongSuccess(WrongSuccess),
    /// Saved, no answer.
    ResetAfterWrite,
    /// Saved, 500.
    FailAfterWrite,
    /// Saved, an answer that is not JSON.
    Garbage,
    /// Saved, 201.
    Clean,
}

/// What a success that is no confirmation says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WrongSuccess {
    /// An error.
    Error,
    /// A list with the entry.
    List,
    /// The entry of another id.
    OtherId,
    /// The entry with another amount.
    OtherAmount,
}

impl WrongSuccess {
    const ALL: [Self; 4] = [Self::Error, Self::List, Self::OtherId, Self::OtherAmount];
}

/// What happens to a GET by id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LookupPlan {
    /// How long it takes.
    pub(crate) latency_ms: u64,
    /// How it ends.
    pub(crate) fate: LookupFate,
}

/// How a GET by id ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LookupFate {
    /// 429, at once.
    RateLimited,
    /// 500.
    Fail,
    /// 200 with an answer that is not JSON.
    Garbage,
    /// 200 or 404, according to the ledger.
    Clean,
}

/// Draws what happens to the `nth` POST of `id`, counting from 0.
pub(crate) fn post(seed: u64, id: &str, nth: u64, faults: &Faults) -> PostPlan {
    let mut random = RequestRandom::new(seed, "POST", id, nth);
    // Every number is drawn even if its rate is 0: see the module's comment.
    let rate_limited = random.hits(faults.rate_limit_rate);
    let reset_before = random.hits(faults.reset_before_write_rate);
    let fail_before = random.hits(faults.pre_write_failure_rate);
    let hang = random.hits(faults.hang_rate);
    let late = random.hits(faults.late_write_rate);
    let reset_after = random.hits(faults.reset_after_write_rate);
    let fail_after = random.hits(faults.post_write_failure_rate);
    let garbage = random.hits(faults.garbage_rate);
    let refused = RequestRandom::new(seed, "refusal", id, 0).hits(faults.refusal_rate);

    let latency_ms = random.latency_ms(faults.latency_median_ms, faults.latency_sigma);
    // Drawn last, so that the numbers of earlier versions stay as they were.
    let accepted = random.hits(faults.accepted_rate);
    let accepted_lost = random.hits(faults.accepted_lost_rate);
    let wrong_success = random.hits(faults.wrong_success_rate);
    let wrong = WrongSuccess::ALL[random.0.random_range(0..WrongSuccess::ALL.len())];

    let fates = [
        (rate_limited, PostFate::RateLimited),
        (refused, PostFate::Refused),
        (reset_before, PostFate::ResetBeforeWrite),
        (fail_before, PostFate::FailBeforeWrite),
        (hang, PostFate::Hang),
        (late, PostFate::LateWrite),
        (accepted, PostFate::Accepted),
        (accepted_lost, PostFate::AcceptedLost),
        (wrong_success, PostFate::WrongSuccess(wrong)),
        (reset_after, PostFate::ResetAfterWrite),
        (fail_after, PostFate::FailAfterWrite),
        (garbage, PostFate::Garbage),
    ];
    PostPlan { latency_ms, fate: first_hit(&fates).unwrap_or(PostFate::Clean) }
}

/// Draws what happens to the `nth` GET of `id`, counting from 0.
pub(crate) fn lookup(seed: u64, id: &str, nth: u64, faults: &Faults) -> LookupPlan {
    let mut random = RequestRandom::new(seed, "GET", id, nth);
    let fates = [
        (random.hits(faults.rate_limit_rate), LookupFate::RateLimited),
        (random.hits(faults.verification_failure_rate), LookupFate::Fail),
        (random.hits(faults.verification_garbage_rate), LookupFate::Garbage),
    ];
    LookupPlan {
        latency_ms: random.latency_ms(faults.verification_latency_median_ms, faults.latency_sigma),
        fate: first_hit(&fates).unwrap_or(LookupFate::Clean),
    }
}

fn first_hit<F: Copy>(fates: &[(bool, F)]) -> Option<F> {
    fates.iter().find_map(|(hit, fate)| hit.then_some(*fate))
}

/// One request's stream of random numbers.
struct RequestRandom(Xoshiro256PlusPlus);

impl RequestRandom {
    fn new(seed: u64, purpose: &str, id: &str, nth: u64) -> Self {
        // FNV-1a over the parts; `seed_from_u64` then spreads the bits. The standard library's
        // hasher would work today, but does not promise the same result in every release.
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        let parts = [&seed.to_le_bytes(), purpose.as_bytes(), &nth.to_le_bytes(), id.as_bytes()];
        for byte in parts.into_iter().flatten() {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        Self(Xoshiro256PlusPlus::seed_from_u64(hash))
    }

    /// Whether a fault with this rate occurs: never at 0, always at 1.
    fn hits(&mut self, rate: f64) -> bool {
        self.0.random::<f64>() < rate
    }

    fn latency_ms(&mut self, median_ms: u64, sigma: f64) -> u64 {
        let deviation: f64 = StandardNormal.sample(&mut self.0);
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a latency between 0 and a day fits either type"
        )]
        let latency_ms =
            (median_ms as f64 * (sigma * deviation).exp()).clamp(0.0, LONGEST_LATENCY_MS) as u64;
        latency_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(count: usize) -> Vec<String> {
        (0..count).map(|n| format!("txn_{n}")).collect()
    }

    #[test]
    fn the_same_seed_draws_the_same_plans_and_another_seed_does_not() {
        let faults = Faults { hang_rate: 0.3, ..Faults::default() };
        let plans = |seed| -> Vec<PostPlan> {
            ids(200)
                .iter()
                .flat_map(|id| (0..3).map(|nth| post(seed, id, nth, &faults)).collect::<Vec<_>>())
                .collect()
        };
        assert_eq!(plans(7), plans(7));
        assert_ne!(plans(7), plans(8));
    }

    #[test]
    fn a_rate_of_0_hits_no_request_and_a_rate_of_1_hits_all() {
        let always = Faults { post_write_failure_rate: 1.0, ..Faults::none() };
        for id in ids(1000) {
            assert_eq!(post(1, &id, 0, &Faults::none()).fate, PostFate::Clean);
            assert_eq!(post(1, &id, 0, &always).fate, PostFate::FailAfterWrite);
        }
    }

    #[test]
    fn a_rate_between_0_and_1_hits_about_that_share_of_requests() {
        let faults = Faults { pre_write_failure_rate: 0.1, ..Faults::none() };
        let hit = ids(10_000)
            .iter()
            .filter(|id| post(42, id, 0, &faults).fate == PostFate::FailBeforeWrite)
            .count();
        assert!((900..1100).contains(&hit), "{hit} of 10,000 at 10 %");
    }

    #[test]
    fn a_refused_id_stays_refused_and_an_accepted_id_stays_accepted() {
        let faults = Faults { refusal_rate: 0.5, ..Faults::none() };
        let mut refused = 0;
        for id in ids(200) {
            let first = post(5, &id, 0, &faults).fate;
            refused += u32::from(first == PostFate::Refused);
            for nth in 1..20 {
                assert_eq!(post(5, &id, nth, &faults).fate, first);
            }
        }
        assert!((50..150).contains(&refused), "{refused} of 200 at 50 %");
    }

    #[test]
    fn each_repetition_of_a_post_is_drawn_anew() {
        let faults = Faults { pre_write_failure_rate: 0.5, ..Faults::none() };
        let fates: Vec<_> = (0..50).map(|nth| post(1, "a", nth, &faults).fate).collect();
        assert!(fates.contains(&PostFate::Clean));
        assert!(fates.contains(&PostFate::FailBeforeWrite));
    }

    #[test]
    fn changing_one_rate_does_not_change_which_requests_another_hits() {
        let one = Faults { post_write_failure_rate: 0.3, ..Faults::none() };
        let both = Faults { hang_rate: 0.3, ..one };
        for id in ids(500) {
            let with_both = post(9, &id, 0, &both).fate;
            if with_both != PostFate::Hang {
                assert_eq!(with_both, post(9, &id, 0, &one).fate);
            }
        }
    }

    #[test]
    fn latencies_are_distributed_around_their_median() {
        let faults = Faults { latency_median_ms: 200, latency_sigma: 0.5, ..Faults::none() };
        let mut drawn: Vec<u64> =
            ids(2001).iter().map(|id| post(3, id, 0, &faults).latency_ms).collect();
        drawn.sort_unstable();
        assert!((185..215).contains(&drawn[1000]), "{}", drawn[1000]);
        // The 84th percentile of a log-normal is its median times e^sigma.
        assert!((300..360).contains(&drawn[1682]), "{}", drawn[1682]);
        assert_eq!(lookup(3, "a", 0, &faults).latency_ms, 0);
    }

    #[test]
    fn verification_faults_affect_only_lookups() {
        let failing = Faults { verification_failure_rate: 1.0, ..Faults::none() };
        assert_eq!(lookup(1, "a", 0, &failing).fate, LookupFate::Fail);
        assert_eq!(post(1, "a", 0, &failing).fate, PostFate::Clean);
        let garbage = Faults { verification_garbage_rate: 1.0, ..Faults::none() };
        assert_eq!(lookup(1, "a", 0, &garbage).fate, LookupFate::Garbage);
    }
}
