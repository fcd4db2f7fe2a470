//! Dates and times as clients write them.

use chrono::{DateTime, Datelike, Utc};

const NANOS: u32 = 1_000_000_000;

/// Reads a date and time of RFC 3339, or the same without an offset, which then is UTC. A leap second (`:60`) is the
/// second after it, as everywhere else where time is counted without leap seconds: so it is in the table.
///
/// # Errors
/// If it is neither, or in a year that PostgreSQL's `timestamptz` and RFC 3339 do not share.
pub fn read_date_time(text: &str) -> Result<DateTime<Utc>, &'static str> {
    let at = DateTime::parse_from_rfc3339(text)
        .or_else(|_| DateTime::parse_from_rfc3339(&format!("{text}Z")))
        .map_err(|_| {
            "must be a date and time of RFC 3339, such as 2026-01-31T12:00:00Z (without an offset it is UTC)"
        })?
        .to_utc();
    // chrono counts a leap second in the fraction of the second before it.
    let (seconds, nanos) = (at.timestamp(), at.timestamp_subsec_nanos());
    let at =
        DateTime::from_timestamp(seconds + i64::from(nanos / NANOS), nanos % NANOS).unwrap_or(at);
    match (0..=9999).contains(&at.year()) {
        true => Ok(at),
        false => Err("must be in the years 0000 to 9999"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_3339_is_read_and_without_an_offset_it_is_utc() {
        for (text, read) in [
            ("2026-01-31T12:00:00Z", "2026-01-31T12:00:00+00:00"),
            ("2026-01-31T12:00:00", "2026-01-31T12:00:00+00:00"),
            ("2026-01-31 12:00:00.5", "2026-01-31T12:00:00.500+00:00"),
            ("2026-01-31t12:00:00z", "2026-01-31T12:00:00+00:00"),
            ("2026-01-31T12:00:00.123456789+02:00", "2026-01-31T10:00:00.123456789+00:00"),
        ] {
            assert_eq!(read_date_time(text).unwrap().to_rfc3339(), read, "{text}");
        }
    }

    #[test]
    fn a_leap_second_is_the_second_after_it() {
        for (text, read) in [
            ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00+00:00"),
            ("2016-12-31T23:59:60.25", "2017-01-01T00:00:00.250+00:00"),
            ("2017-01-01T00:59:60+01:00", "2017-01-01T00:00:00+00:00"),
            ("2016-12-31T23:59:59.999999999Z", "2016-12-31T23:59:59.999999999+00:00"),
        ] {
            assert_eq!(read_date_time(text).unwrap().to_rfc3339(), read, "{text}");
        }
        assert!(read_date_time("9999-12-31T23:59:60Z").is_err());
    }

    #[test]
    fn nothing_else_is_a_date_and_time() {
        for text in [
            "",
            "yesterday",
            "2026-01-31",
            "2026-01-31T12:00",
            "2026-1-31T12:00:00",
            "2026-01-31T25:00:00Z",
            "2026-02-30T12:00:00Z",
            "2026-01-31T12:00:00 UTC",
            "2026-01-31T12:00:00+0200",
            "+12026-01-31T12:00:00",
            "9999-12-31T23:59:59-01:00",
            "1769860800",
        ] {
            assert!(read_date_time(text).is_err(), "{text}");
        }
    }
}
