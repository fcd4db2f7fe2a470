//! One POST to the posting service and the verifications that followed it, as they are shown.

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
    /// When its answer came, or when Onceward gave up on it; absent while it is under way.
    pub ended_at: Option<DateTime<Utc>>,
    /// What it is known to have done; absent while it is under way.
    pub outcome: Option<Outcome>,
    /// The status of the answer, where there was one.
    pub http_status: Option<u16>,
    /// What went wrong on the way, where there was no answer.
    pub transport_error: Option<String>,
    /// The beginning of the answer's body.
    pub answer_excerpt: Option<String>,
    /// Each time Onceward asked, after this attempt, whether the posting service has the id.
    pub verifications: Vec<Verification>,
}

/// Asking the posting service once whether it has the id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Verification {
    /// When the question was sent.
    pub started_at: DateTime<Utc>,
    /// When its answer came, or Onceward gave up on it.
    pub ended_at: DateTime<Utc>,
    /// What it showed.
    pub finding: Finding,
    /// The status of the answer, where there was one.
    pub http_status: Option<u16>,
    /// What went wrong, or how the entry that was found differs.
    pub error: Option<String>,
}

/// What a verification showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Finding {
    /// The posting service has it, with this amount and currency.
    Found,
    /// It has an entry under this id with another amount or currency.
    Mismatch,
    /// It does not have it, as far as it can see now.
    Absent,
    /// The question was not answered, or not readably. Proves nothing.
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
