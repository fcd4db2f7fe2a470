//! The headers `traceparent` and `tracestate`. What is passed on is read as the same.
#![no_main]

use domain::{TraceParent, TraceState};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(parent) = text.parse::<TraceParent>() {
        assert_eq!(parent.to_string().parse(), Ok(parent));
    }
    if let Ok(state) = text.parse::<TraceState>() {
        assert_eq!(state.as_str().parse::<TraceState>().unwrap().as_str(), state.as_str());
    }
});
