//! Amounts and other numbers. An amount that is accepted keeps its value wherever it is read.
#![no_main]

use domain::{Amount, number::ExactNumber};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Some(number) = ExactNumber::parse(text) {
        assert_eq!(ExactNumber::parse(&number.to_string()), Some(number.clone()));
        let _ = number.as_u64();
    }
    let stored = Amount::from_stored(text);
    let _ = serde_json::from_str::<Amount>(text);
    let Ok(amount) = Amount::parse(text) else { return };
    assert_eq!(amount.has_value(text), Some(true));
    assert!(stored.is_none_or(|stored| stored == amount));
    let written = amount.to_string();
    assert_eq!(Amount::parse(&written), Ok(amount));
    assert_eq!(Amount::from_stored(&written), Some(amount));
    assert_eq!(serde_json::from_str::<Amount>(&written).unwrap(), amount);
});
