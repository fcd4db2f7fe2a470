//! The rows in memory, and the counts by which a client is audited.

use std::collections::HashMap;
use std::sync::Arc;

use crate::entry::Entry;

/// Every row, in the order of writing, with an index by id.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    entries: Vec<Arc<Entry>>,
    by_id: HashMap<Box<str>, RowsOfId>,
    /// The ids with more than one row, in the order in which they got their second row.
    duplicated: Vec<Box<str>>,
}

#[derive(Debug)]
struct RowsOfId {
    first: Arc<Entry>,
    count: usize,
}

/// The counts by which a client is audited.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct LedgerSummary {
    pub(crate) entries: usize,
    pub(crate) distinct_ids: usize,
    pub(crate) duplicated_count: usize,
    pub(crate) duplicated_ids: Vec<String>,
}

impl Rows {
    pub(crate) fn push(&mut self, entry: Arc<Entry>) {
        match self.by_id.get_mut(&entry.id) {
            Some(rows_of_id) => {
                rows_of_id.count += 1;
                if rows_of_id.count == 2 {
                    self.duplicated.push(entry.id.clone());
                }
            }
            None => {
                let only = RowsOfId { first: Arc::clone(&entry), count: 1 };
                self.by_id.insert(entry.id.clone(), only);
            }
        }
        self.entries.push(entry);
    }

    /// Removes every row and returns how many there were.
    pub(crate) fn clear(&mut self) -> usize {
        let count = self.entries.len();
        *self = Self::default();
        count
    }

    /// The number of the next row.
    pub(crate) fn next_row(&self) -> u64 {
        self.entries.last().map_or(1, |last| last.row + 1)
    }

    pub(crate) fn first(&self, id: &str) -> Option<Arc<Entry>> {
        self.by_id.get(id).map(|rows_of_id| Arc::clone(&rows_of_id.first))
    }

    pub(crate) fn entries(&self) -> Vec<Arc<Entry>> {
        self.entries.clone()
    }

    pub(crate) fn summary(&self, duplicates_limit: usize) -> LedgerSummary {
        LedgerSummary {
            entries: self.entries.len(),
            distinct_ids: self.by_id.len(),
            duplicated_count: self.duplicated.len(),
            duplicated_ids: self
                .duplicated
                .iter()
                .take(duplicates_limit)
                .map(|id| id.to_string())
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::Submission;

    fn rows(ids: &[&str]) -> Rows {
        let mut rows = Rows::default();
        for id in ids {
            let body = format!(r#"{{"id":"{id}","amount":1,"currency":"USD"}}"#);
            let submission = Submission::from_json(body.as_bytes()).unwrap();
            rows.push(Arc::new(Entry::new(rows.next_row(), &submission).unwrap()));
        }
        rows
    }

    #[test]
    fn an_id_with_three_rows_is_one_duplicated_id() {
        let summary = rows(&["a", "b", "a", "c", "a", "c"]).summary(100);
        let expected = LedgerSummary {
            entries: 6,
            distinct_ids: 3,
            duplicated_count: 2,
            duplicated_ids: vec!["a".to_owned(), "c".to_owned()],
        };
        assert_eq!(summary, expected);
    }

    #[test]
    fn the_list_of_duplicates_is_limited_and_their_count_is_not() {
        let summary = rows(&["a", "a", "b", "b"]).summary(1);
        assert_eq!((summary.duplicated_count, summary.duplicated_ids.len()), (2, 1));
    }

    #[test]
    fn a_lookup_finds_the_first_row_of_an_id() {
        let rows = rows(&["a", "b", "b"]);
        assert_eq!(rows.first("b").map(|entry| entry.row), Some(2));
        assert!(rows.first("c").is_none());
    }

    #[test]
    fn nothing_is_left_after_clearing() {
        let mut rows = rows(&["a", "a"]);
        assert_eq!(rows.clear(), 2);
        assert_eq!(rows.summary(100).entries, 0);
        assert_eq!(rows.summary(100).duplicated_count, 0);
        assert!(rows.first("a").is_none());
    }
}
