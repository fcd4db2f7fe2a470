//! One POST to the posting service and the verifications that followed it, as the API and the pages show them.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::Outcome;

/// One POST to the posting service. Its row is committed before anything is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Attempt {
    /// Counts from 1 within its transaction.
    pub number: u32,
    /// When the row was committed; the POST left right after.
    pub started_at: DateTime<Utc>,
    /// When its answer came, or when Onceward gave up on it; absent while it is in flight.
    pub ended_at: Option<DateTime<Utc>>,
    /// What it is known to have done; absent while it is in flight.
    pub outcome: Option<Outcome>,
    /// The HTTP status of the answer, if one came.
    pub http_status: Option<u16>,
    /// The transport error, if no answer came.
    pub transport_error: Option<String>,
    /// The beginning of the answer's body.
    pub answer_excerpt: Option<String>,
    /// The verifications after this attempt, first to last: each asked the posting service whether it has the
    /// id. Verifications in a row that ended alike are one entry. Of many entries only the latest are here.
    pub verifications: Vec<Verification>,
    /// How many verifications there were after this attempt, including those that are not in `verifications`.
    pub verification_count: u64,
}

/// Queries in a row that asked the posting service whether it has the id, and ended alike. The times of a single one
/// are `startedAt` and `endedAt`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Verification {
    /// When the last of them was sent.
    pub started_at: DateTime<Utc>,
    /// When the answer to the last of them came, or when Onceward gave up on it.
    pub ended_at: DateTime<Utc>,
    /// When the first of them was sent.
    pub first_started_at: DateTime<Utc>,
    /// How many there were.
    pub count: u32,
    /// What each showed.
    pub finding: Finding,
    /// The HTTP status of the answer, if one came.
    pub http_status: Option<u16>,
    /// What went wrong, or how the entry that was found differs from the transaction.
    pub error: Option<String>,
}

/// What a verification showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Finding {
    /// The posting service has an entry under this id, and nothing in it contradicts the transaction.
    Found,
    /// The posting service has an entry under this id with another amount or currency.
    Mismatch,
    /// The posting service does not have the transaction, as far as it can see now.
    Absent,
    /// The query got no answer, or none that could be read. This proves nothing.
    Failed,
}

impl Finding {
    /// The name on the wire and in the table.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Found => "found",
            Self::Mismatch => "mismatch",
            Self::Absent => "absent",
            Self::Failed => "failed",
        }
    }

    /// Every finding.
    pub const ALL: [Self; 4] = [Self::Found, Self::Mismatch, Self::Absent, Self::Failed];
}
