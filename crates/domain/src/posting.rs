//! How posting as a whole stands: whether it is paused, and who posts.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// A pause of all posting. Verification goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Pause {
    /// Since when.
    pub paused_at: DateTime<Utc>,
    /// Who paused.
    pub paused_by: String,
    /// Why, if they said so.
    pub reason: Option<String>,
}

/// How many live workers have their circuit breaker where.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Circuits {
    /// POSTs go out.
    pub closed: u32,
    /// Nothing got through; none goes out.
    pub open: u32,
    /// A probe is out.
    pub half_open: u32,
}

impl Circuits {
    /// Live workers.
    pub fn workers(&self) -> u32 {
        self.closed + self.open + self.half_open
    }
}

/// How posting as a whole stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PostingStatus {
    /// The pause, where posting is paused.
    pub paused: Option<Pause>,
    /// The circuit breakers of the live workers.
    pub circuits: Circuits,
}
