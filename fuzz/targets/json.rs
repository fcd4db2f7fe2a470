//! Bodies of requests: reading JSON, and a submission in it. What is accepted can be written and read again, and is
//! the same submission then.
#![no_main]

use domain::{Fingerprint, Submission, json};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(value) = json::read(bytes) else { return };
    let written = value.to_string();
    assert_eq!(json::read(written.as_bytes()).unwrap(), value);
    let Ok(submission) = Submission::from_json(&value) else { return };
    let again = Submission::from_json(&json::read(written.as_bytes()).unwrap()).unwrap();
    assert_eq!(again, submission);
    assert!(Fingerprint::is_repeated(Fingerprint::of(&submission).as_bytes(), &again));
});
