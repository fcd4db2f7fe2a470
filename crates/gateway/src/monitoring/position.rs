//! A position in the change feed: which database transactions have been read.
//!
//! It is a snapshot of PostgreSQL: a number below which every database transaction has been read, except some that
//! were still open. So nobody waits for an open one, in whatever database of the server it is: what it has changed is
//! read when it has ended.

use std::{fmt, str::FromStr};

use thiserror::Error;

/// Which database transactions have been read: those below a number, except some.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// Database transactions from this number on have not been read.
    at: i64,
    /// Those below it that were open, in ascending order.
    open: Vec<i64>,
}

/// The most open database transactions in the text of a position: more than PostgreSQL has sessions. What they have
/// changed is read at once.
const MAX_OPEN: usize = 2_000;

/// The text does not have the form of a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("must be a position of the change feed, as an earlier answer named it")]
pub struct BadPosition;

impl Position {
    /// The position before every change.
    pub fn beginning() -> Self {
        Self { at: 0, open: Vec::new() }
    }

    /// The position behind everything that is visible in a snapshot, from PostgreSQL's text of it: `xmin:xmax:` and
    /// the numbers of those that are open, separated by commas.
    pub(super) fn of_snapshot(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, ':').skip(1);
        let (at, open) = (parts.next()?, parts.next()?);
        let open = open.split(',').filter(|number| !number.is_empty());
        Some(Self {
            at: at.parse().ok()?,
            open: open.map(str::parse).collect::<Result<_, _>>().ok()?,
        })
    }

    /// The position from its text; `None` if its numbers contradict each other, or are too large or too many.
    fn of_numbers(text: &str) -> Option<Self> {
        let mut parts = text.split('-').map(|part| part.parse::<i64>().ok());
        let at = parts.next()??;
        let mut open = parts.map(|below| Some(at - below?)).collect::<Option<Vec<_>>>()?;
        open.reverse();
        let are_below = open.iter().all(|number| (0..at).contains(number));
        (open.len() <= MAX_OPEN && are_below && open.is_sorted_by(|one, next| one < next))
            .then_some(Self { at, open })
    }

    /// The number from which on nothing has been read.
    pub(super) fn at(&self) -> i64 {
        self.at
    }

    /// The database transactions below that number that have not been read.
    pub(super) fn open(&self) -> &[i64] {
        &self.open
    }

    /// The same position, with nothing read from `at` on.
    pub(super) fn up_to(&self, at: i64) -> Self {
        let open = self.open.iter().copied().filter(|number| *number < at);
        Self { at, open: open.collect() }
    }

    /// This position, or the beginning if it is ahead of `now`: this database cannot have given it, and nobody knows
    /// what its holder has seen.
    pub(super) fn known_at(self, now: &Self) -> Self {
        if self.at > now.at { Self::beginning() } else { self }
    }

    fn has_read(&self, number: i64) -> bool {
        number < self.at && self.open.binary_search(&number).is_err()
    }

    /// Whether everything that was read at `other` was read here, too.
    pub(super) fn covers(&self, other: &Self) -> bool {
        other.at <= self.at && !self.open.iter().any(|number| other.has_read(*number))
    }

    /// The position at which everything has been read that was read at either.
    pub(super) fn joined(&self, other: &Self) -> Self {
        let mut open: Vec<i64> = self.open.iter().chain(&other.open).copied().collect();
        open.retain(|number| !self.has_read(*number) && !other.has_read(*number));
        open.sort_unstable();
        open.dedup();
        Self { at: self.at.max(other.at), open }
    }
}

/// The number, and for each open database transaction how far below it is.
impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.at)?;
        self.open.iter().rev().try_for_each(|number| write!(f, "-{}", self.at - number))
    }
}

/// A text of this form whose numbers no database can have given is the beginning: its holder then receives too much
/// rather than too little.
impl FromStr for Position {
    type Err = BadPosition;

    fn from_str(text: &str) -> Result<Self, BadPosition> {
        let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        match text.split('-').all(is_number) {
            true => Ok(Self::of_numbers(text).unwrap_or_else(Self::beginning)),
            false => Err(BadPosition),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(text: &str) -> Position {
        text.parse().unwrap()
    }

    #[test]
    fn a_position_is_the_same_after_its_text_is_parsed() {
        for (snapshot, text) in [
            ("100:100:", "100"),
            ("91:100:91,97,99", "100-1-3-9"),
            ("3:9223372036854775807:", "9223372036854775807"),
        ] {
            let position = Position::of_snapshot(snapshot).unwrap();
            assert_eq!(position.to_string(), text);
            assert_eq!(text.parse(), Ok(position));
        }
        for text in ["", "-1", "a", "+1", "10-", "10--1", "10-+1", " 10", "1\u{660}"] {
            assert_eq!(text.parse::<Position>(), Err(BadPosition), "{text}");
        }
        for snapshot in ["", "1", "1:2", "1:x:", "1:2:x"] {
            assert_eq!(Position::of_snapshot(snapshot), None, "{snapshot}");
        }
    }

    #[test]
    fn a_position_with_impossible_numbers_is_the_beginning() {
        let too_many = (1..=MAX_OPEN + 1).fold("9999".to_owned(), |text, n| format!("{text}-{n}"));
        for text in ["10-0", "10-11", "10-3-1", "10-1-1", "0-1", "99999999999999999999", &too_many]
        {
            assert_eq!(text.parse(), Ok(Position::beginning()), "{text}");
        }
    }

    #[test]
    fn a_position_covers_what_was_read_at_another() {
        let all = ["10", "10-1", "10-1-5", "12-3-7", "12", "9", "5"].map(position);
        for one in &all {
            for other in &all {
                let read =
                    |position: &Position| (0..13).filter(|n| position.has_read(*n)).collect();
                let (of_one, of_other): (Vec<i64>, Vec<i64>) = (read(one), read(other));
                let contains = of_other.iter().all(|number| of_one.contains(number));
                // Between two numbers there may be nothing but open ones.
                assert!(!one.covers(other) || contains, "{one} covers {other}");
                assert!(one.covers(other) || !contains || one.at < other.at, "{one}, {other}");
                let joined = one.joined(other);
                let mut of_both = [of_one, of_other].concat();
                of_both.sort_unstable();
                of_both.dedup();
                assert_eq!(read(&joined), of_both, "{one} joined with {other}");
                assert!(joined.covers(one) && joined.covers(other));
            }
        }
    }
}
