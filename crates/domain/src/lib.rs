//! What a transaction is: its types, its states, and the protocol's decisions as pure functions.
//!
//! Nothing here does I/O or reads a clock. Given what is known of a transaction and the time,
//! [`protocol`] says what comes next; the `gateway` crate carries it out. Builds for WASM, so the
//! browser's forms and the REST API validate with the same code.

pub mod attempt;
pub mod backoff;
pub mod fingerprint;
pub mod money;
pub mod outcome;
pub mod protocol;
pub mod submission;
pub mod transaction;

pub use attempt::{Attempt, Finding, Verification};
pub use fingerprint::Fingerprint;
pub use money::{Amount, Currency};
pub use outcome::{Ending, Outcome, Window};
pub use submission::{FieldError, Submission};
pub use transaction::{Counts, Page, Principal, State, Transaction};
