//! Reading the ledger back from its file.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::sync::Arc;

use super::error::OpenError;
use super::rows::Rows;
use crate::entry::Entry;

/// The contents of a file.
#[derive(Debug)]
pub(super) struct Replayed {
    pub(super) rows: Rows,
    /// How many bytes of it are complete lines.
    pub(super) length: u64,
    /// How many bytes follow them: the start of a line that a crash cut short.
    pub(super) torn_bytes: u64,
}

/// Reads every line. An incomplete last line was never acknowledged and does not count. Anywhere
/// else, a line that is not an entry means that another program wrote into the file, and an audit
/// must not rest on guesses.
pub(super) fn replay(file: &File) -> Result<Replayed, OpenError> {
    let mut reader = BufReader::new(file);
    let mut rows = Rows::default();
    let mut length = 0_u64;
    let mut line = Vec::new();
    let mut number = 0;
    loop {
        line.clear();
        let read = reader.read_until(b'\n', &mut line)? as u64;
        number += 1;
        if read == 0 {
            return Ok(Replayed { rows, length, torn_bytes: 0 });
        }
        let is_complete = line.ends_with(b"\n");
        match Entry::from_line(&line) {
            Ok(entry) if is_complete => rows.push(Arc::new(entry)),
            Err(error) if is_complete && !reader.fill_buf()?.is_empty() => {
                return Err(OpenError::Corrupt { line: number, reason: error.to_string() });
            }
            Ok(_) | Err(_) => {
                return Ok(Replayed { rows, length, torn_bytes: read });
            }
        }
        length += read;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Seek, Write};

    const LINE: &str = concat!(
        r#"{"_id":1,"id":"a","amount":100.50,"currency":"USD","description":null,"#,
        r#""timestamp":null,"metadata":null,"createdAt":"2026-01-01T00:00:00Z"}"#,
        "\n"
    );

    fn replay_text(text: &str) -> Result<Replayed, OpenError> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file.rewind().unwrap();
        replay(&file)
    }

    #[test]
    fn all_complete_lines_count() {
        let replayed = replay_text(&LINE.repeat(3)).unwrap();
        assert_eq!(replayed.rows.summary(0).entries, 3);
        assert_eq!(replayed.length, 3 * LINE.len() as u64);
        assert_eq!(replayed.torn_bytes, 0);
    }

    #[test]
    fn a_torn_last_line_does_not_count_wherever_it_is_torn() {
        for cut in 1..LINE.len() {
            let replayed = replay_text(&format!("{LINE}{}", &LINE[..cut])).unwrap();
            assert_eq!(replayed.rows.summary(0).entries, 1, "cut at {cut}");
            assert_eq!(replayed.length, LINE.len() as u64, "cut at {cut}");
            assert_eq!(replayed.torn_bytes, cut as u64, "cut at {cut}");
        }
    }

    #[test]
    fn a_broken_line_in_the_middle_is_an_error_that_names_it() {
        let error = replay_text(&format!("{LINE}nonsense\n{LINE}")).unwrap_err();
        assert!(matches!(error, OpenError::Corrupt { line: 2, .. }), "{error}");
    }

    #[test]
    fn an_empty_file_is_an_empty_ledger() {
        assert_eq!(replay_text("").unwrap().rows.summary(0).entries, 0);
    }
}
