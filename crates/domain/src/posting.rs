//! The status of posting as a whole: whether it is paused, and the workers' circuit breakers.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// A pause of all posting. Verification continues.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Pause {
    /// When the pause began.
    pub paused_at: DateTime<Utc>,
    /// The principal that paused posting.
    pub paused_by: String,
    /// The reason, if one was given.
    pub reason: Option<String>,
}

/// How many live workers have their circuit breaker in each state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Circuits {
    /// POSTs go out, as usual.
    pub closed: u32,
    /// Too many POSTs in a row failed; none goes out.
    pub open: u32,
    /// A probe is out; its outcome closes or reopens the breaker.
    pub half_open: u32,
    /// How many are not closed because the posting service refuses our credentials.
    pub credentials_refused: u32,
}

impl Circuits {
    /// The number of live workers.
    pub fn workers(&self) -> u32 {
        self.closed + self.open + self.half_open
    }
}

/// The status of posting as a whole.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PostingStatus {
    /// The pause, if posting is paused.
    pub paused: Option<Pause>,
    /// The circuit breakers of the live workers.
    pub circuits: Circuits,
}
