//! The protocol of posting exactly once: what an attempt's ending proves, and what comes next. Backoff and
//! the circuit breaker are here too. Pure functions; the `gateway` crate carries them out.

mod attempt;
pub mod backoff;
pub mod breaker;
mod execution;
mod outcome;
#[cfg(test)]
mod tests;

pub use attempt::{Attempt, Finding, Verification};
pub use execution::{
    Doubt, DoubtReason, Execution, Failure, MIN_WORKER_DEATHS, POST_WITHIN, Policy, Progress,
    QUARANTINED, Step, begins_attempt, delay_after_worker_death,
};
pub use outcome::{Ending, MAX_RETRY_AFTER, Outcome, Window};
