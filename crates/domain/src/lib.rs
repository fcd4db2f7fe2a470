//! What a transaction is: its types, its states, and the protocol's decisions as pure functions.
//!
//! Nothing here does I/O or reads a clock. Given the known facts about a transaction and the time,
//! [`protocol`] decides the next step; the `gateway` crate carries it out. The crate builds for WASM,
//! so that the browser's forms and the REST API validate with the same code.

pub mod access;
pub mod audit;
pub mod currency;
pub mod date_time;
pub mod error_text;
pub mod intervention;
pub mod json;
pub mod money;
pub mod nul;
pub mod number;
#[cfg(feature = "openapi")]
pub mod openapi;
pub mod posting;
pub mod protocol;
pub mod submission;
pub mod trace_parent;
pub mod trace_state;
pub mod transaction;

pub use access::{Actor, Caller, Permission, PrincipalKind, Role, Scope};
pub use audit::{Action, AuditEntry, AuditOutcome, AuditPage};
pub use currency::Currency;
pub use intervention::{Intervened, Intervention, NotPermitted, Resolution};
pub use money::Amount;
pub use posting::{Circuits, Pause, PostingStatus};
pub use protocol::{
    AnswerBody, Attempt, Ending, Finding, MAX_RETRY_AFTER, Outcome, Verification, Window, backoff,
    breaker::{self, Circuit},
    refuses_credentials,
};
pub use submission::{FieldError, Fingerprint, IdempotencyKey, Reference, Submission};
pub use trace_parent::TraceParent;
pub use trace_state::TraceState;
pub use transaction::{Counts, Page, Principal, State, Transaction, Unreadable};
