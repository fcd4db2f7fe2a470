//! Dates and times. One that is accepted can be written and read again.
#![no_main]

use domain::date_time::read_date_time;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(at) = read_date_time(text) else { return };
    assert_eq!(read_date_time(&at.to_rfc3339()), Ok(at));
});
