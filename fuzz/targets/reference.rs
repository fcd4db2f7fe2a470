//! References: a reference has one form, which names itself.
#![no_main]

use domain::Reference;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let reference = Reference::of(text);
    assert_eq!(reference.as_sent(), text);
    let again = Reference::of(reference.as_str());
    assert_eq!((again.as_str(), again.sent_otherwise()), (reference.as_str(), None));
});
