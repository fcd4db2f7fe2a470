//! Cursors of the list. A cursor is the same after its text is parsed, and has a time that PostgreSQL has.
#![no_main]

use cursor::Cursor;
use libfuzzer_sys::fuzz_target;

#[allow(dead_code)]
#[path = "../../crates/gateway/src/queries/cursor.rs"]
mod cursor;

fuzz_target!(|text: &str| {
    let Ok(cursor) = text.parse::<Cursor>() else { return };
    assert_eq!(cursor.to_string().parse(), Ok(cursor));
});
