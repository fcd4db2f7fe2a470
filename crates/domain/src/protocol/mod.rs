//! The protocol of posting exactly once: what the end of an attempt proves, and the next step. Backoff
//! and the circuit breaker are here too. These are pure functions: requests, storage and the clock are
//! in the `gateway` crate, which carries out their decisions.

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
pub use outcome::{AnswerBody, Ending, MAX_RETRY_AFTER, Outcome, Window, refuses_credentials};
