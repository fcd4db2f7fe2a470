//! Positions of the change feed: `since`, and `Last-Event-ID`. A position is the same after its text is parsed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use position::Position;

#[allow(dead_code)]
#[path = "../../crates/gateway/src/monitoring/position.rs"]
mod position;

fuzz_target!(|text: &str| {
    let Ok(position) = text.parse::<Position>() else { return };
    assert_eq!(position.to_string().parse(), Ok(position));
});
