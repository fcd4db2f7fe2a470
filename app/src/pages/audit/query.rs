//! Which entries the page shows.

use serde::Deserialize;

/// Which entries to show, and where to begin, as in the address. What is empty does not restrict them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct AuditQuery {
    /// Of this principal.
    pub principal: String,
    /// Of this action.
    pub action: String,
    /// On this object.
    pub object: String,
    /// At or after this time.
    pub from: String,
    /// Before this time.
    pub to: String,
    /// Where the page begins; empty for the newest entries.
    pub cursor: String,
}
