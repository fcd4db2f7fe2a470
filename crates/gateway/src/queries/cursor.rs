//! Where a page of the list begins.

use std::{fmt, str::FromStr};

use chrono::{DateTime, Datelike, Utc};
use thiserror::Error;
use uuid::Uuid;

/// Where a page begins in the list, newest first: after this transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    pub(crate) submitted_at: DateTime<Utc>,
    pub(crate) id: Uuid,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}", self.submitted_at.timestamp_micros(), self.id.simple())
    }
}

/// The text is not a cursor of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("must be the nextCursor of an earlier page")]
pub struct BadCursor;

impl FromStr for Cursor {
    type Err = BadCursor;

    fn from_str(text: &str) -> Result<Self, BadCursor> {
        let (micros, id) = text.split_once('_').ok_or(BadCursor)?;
        let submitted_at = micros.parse().ok().and_then(DateTime::from_timestamp_micros);
        // PostgreSQL's `timestamptz` has fewer years than `DateTime`.
        let submitted_at = submitted_at.filter(|at| (0..=9999).contains(&at.year()));
        Ok(Self {
            submitted_at: submitted_at.ok_or(BadCursor)?,
            id: id.parse().map_err(|_| BadCursor)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_the_same_after_its_text_is_parsed() {
        let submitted_at = DateTime::from_timestamp_micros(1_790_000_000_123_456).unwrap();
        let cursor = Cursor { submitted_at, id: Uuid::now_v7() };
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        for text in ["", "_", "1_", "x_7c9e667974254", "99999999999999999999_0"] {
            assert_eq!(text.parse::<Cursor>(), Err(BadCursor), "{text}");
        }
    }

    #[test]
    fn a_cursor_has_a_time_that_the_table_can_have() {
        for micros in [i64::MIN, -8_000_000_000_000_000_000, 8_000_000_000_000_000_000, i64::MAX] {
            let text = format!("{micros}_{}", Uuid::nil());
            assert_eq!(text.parse::<Cursor>(), Err(BadCursor), "{text}");
        }
    }
}
