//! The audit: writing entries, reading them, and verifying their chain of hashes. What the engine does is written by the
//! engine itself, in the statement that does it; the rows of both are alike.

mod entry;
mod list;
mod queue;
mod record;
mod verify;

pub use entry::Entry;
pub use list::{AuditCursor, AuditFilter};
pub(crate) use queue::Noted;
pub use verify::{AuditBreak, AuditHead, BadHead, Verified, VerifyError};
