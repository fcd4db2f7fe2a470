//! The header `tracestate` of W3C Trace Context: what the vendors of a trace keep in it. Onceward has no entry of its own,
//! and passes on what came.

use std::{collections::HashSet, fmt, str::FromStr};

use thiserror::Error;

/// The most entries (W3C Trace Context, 3.3.1.1).
const MAX_ENTRIES: usize = 32;
/// The most characters that are kept (3.3.1.5).
const MAX_CHARS: usize = 512;
/// Entries that are longer are dropped first.
const LONG_ENTRY_CHARS: usize = 128;

/// At least one entry, in the order in which they came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceState(String);

/// The text is not a `tracestate`, or has no entry. Such a header is ignored; its request is not refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("is not a tracestate of W3C Trace Context")]
pub struct BadTraceState;

impl TraceState {
    /// The entries, as they are sent and stored.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TraceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for TraceState {
    type Err = BadTraceState;

    /// Several headers are read as one, joined by commas. What does not fit is dropped by whole entries: long ones
    /// first, then from the end, where the oldest are.
    fn from_str(text: &str) -> Result<Self, BadTraceState> {
        let trimmed = text.split(',').map(|entry| entry.trim_matches([' ', '\t']));
        let mut entries: Vec<&str> = trimmed.filter(|entry| !entry.is_empty()).collect();
        let mut keys = HashSet::new();
        let are_valid = entries.iter().all(|entry| {
            entry
                .split_once('=')
                .is_some_and(|(key, value)| is_key(key) && is_value(value) && keys.insert(key))
        });
        if !are_valid || entries.len() > MAX_ENTRIES {
            return Err(BadTraceState);
        }
        while joined_chars(&entries) > MAX_CHARS {
            let long = entries.iter().rposition(|entry| entry.len() > LONG_ENTRY_CHARS);
            entries.remove(long.unwrap_or(entries.len() - 1));
        }
        match entries.is_empty() {
            true => Err(BadTraceState),
            false => Ok(Self(entries.join(","))),
        }
    }
}

fn joined_chars(entries: &[&str]) -> usize {
    entries.iter().map(|entry| entry.len() + 1).sum::<usize>().saturating_sub(1)
}

fn is_key(key: &str) -> bool {
    let is_first = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    (1..=256).contains(&key.len())
        && key.bytes().next().is_some_and(is_first)
        && key.bytes().all(|byte| is_first(byte) || b"_-*/@".contains(&byte))
}

fn is_value(value: &str) -> bool {
    (1..=256).contains(&value.len())
        && value.bytes().all(|byte| byte == b' ' || (byte.is_ascii_graphic() && byte != b'='))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Option<String> {
        text.parse::<TraceState>().ok().map(|state| state.to_string())
    }

    #[test]
    fn entries_are_kept_in_their_order() {
        assert_eq!(
            read("rojo=00f067aa0ba902b7,congo=t61rcWkgMzE").unwrap(),
            "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"
        );
        assert_eq!(read(" a=1 ,\t, 1t@s=x y:z/,,").unwrap(), "a=1,1t@s=x y:z/");
    }

    #[test]
    fn a_text_that_the_specification_does_not_allow_is_not_read() {
        let many: Vec<_> = (0..33).map(|number| format!("k{number}=v")).collect();
        for text in [
            "",
            " , ",
            "a",
            "a=",
            "=1",
            "A=1",
            "a=1,a=2",
            "a=b=c",
            "a=\u{7f}",
            "a=ü",
            "@a=1",
            &many.join(","),
        ] {
            assert_eq!(read(text), None, "{text}");
        }
        assert!(read(&many[..32].join(",")).is_some());
    }

    #[test]
    fn what_is_beyond_512_characters_is_dropped_by_whole_entries_long_ones_first() {
        let long = format!("long={}", "x".repeat(200));
        let short: Vec<_> = (0..10).map(|number| format!("k{number}={}", "x".repeat(45))).collect();
        let kept = read(&format!("{long},{}", short.join(","))).unwrap();
        assert_eq!(kept, short.join(","));
        let more: Vec<_> =
            (0..20).map(|number| format!("k{number:02}={}", "x".repeat(45))).collect();
        assert_eq!(read(&more.join(",")).unwrap(), more[..10].join(","));
    }

    proptest! {
        #[test]
        fn what_is_read_is_within_the_limits_and_read_again(text in "([a-z@]{0,3}=?[ -~]{0,150},?){0,40}") {
            if let Ok(state) = text.parse::<TraceState>() {
                prop_assert!((1..=MAX_CHARS).contains(&state.as_str().len()));
                prop_assert_eq!(state.as_str().parse(), Ok(state.clone()));
            }
        }
    }
}
