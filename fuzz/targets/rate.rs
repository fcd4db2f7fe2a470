//! Rates. A rate is the same after its text is parsed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rate::Rate;

#[path = "../../crates/access/src/limits/rate.rs"]
mod rate;

fuzz_target!(|text: &str| {
    let Ok(rate) = text.parse::<Rate>() else { return };
    assert_eq!(rate.to_string().parse(), Ok(rate));
    assert!(rate.requests().get() <= 1_000_000 && rate.period().as_secs() > 0);
});
