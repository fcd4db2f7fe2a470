//! Formats times and durations. The text is always in UTC and relative to an explicit `now`, so
//! that the server and the browser render the same and hydration finds what it expects.

use chrono::{DateTime, Datelike, TimeDelta, Timelike, Utc};

/// The date and the time to the second: `2026-01-31 12:00:05 UTC`.
pub fn absolute(at: DateTime<Utc>) -> String {
    format!("{} {:02}:{:02}:{:02} UTC", date(at), at.hour(), at.minute(), at.second())
}

/// The date and the time to the millisecond: `2026-01-31 12:00:05.123 UTC`.
pub fn absolute_millis(at: DateTime<Utc>) -> String {
    format!("{} {} UTC", date(at), time_of_day(at))
}

/// The time of day to the millisecond: `12:00:05.123`.
pub fn time_of_day(at: DateTime<Utc>) -> String {
    let millis = at.timestamp_subsec_millis();
    format!("{:02}:{:02}:{:02}.{millis:03}", at.hour(), at.minute(), at.second())
}

/// The value of the `datetime` attribute of `<time>`.
pub fn datetime_attribute(at: DateTime<Utc>) -> String {
    format!("{}T{}Z", date(at), time_of_day(at))
}

/// How long ago, in one unit. Below a minute it is in steps of five seconds: fifty rows that change
/// every second would distract.
pub fn ago(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    match (now - at).num_seconds() {
        ..5 => "just now".to_owned(),
        seconds @ 5..60 => format!("{} s ago", seconds / 5 * 5),
        seconds @ 60..3_600 => format!("{} min ago", seconds / 60),
        seconds @ 3_600..86_400 => format!("{} h ago", seconds / 3_600),
        seconds @ 86_400..2_592_000 => format!("{} d ago", seconds / 86_400),
        _ => date(at),
    }
}

/// How long until then, rounded up, so that it says "now" only once the time has come.
pub fn until(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let millis = (at - now).num_milliseconds();
    match millis.saturating_add(999) / 1_000 {
        ..=0 => "now".to_owned(),
        seconds @ 1..=90 => format!("in {seconds} s"),
        seconds @ 91..=5_400 => format!("in {} min", (seconds + 59) / 60),
        seconds => format!("in {} h", (seconds + 3_599) / 3_600),
    }
}

/// A duration to about three digits: `45 ms`, `1.24 s`, `12.5 s`, `3 min 5 s`.
pub fn duration(duration: TimeDelta) -> String {
    let millis = duration.num_milliseconds().max(0);
    match millis {
        ..1_000 => format!("{millis} ms"),
        1_000..10_000 => format!("{}.{:02} s", millis / 1_000, millis % 1_000 / 10),
        10_000..60_000 => format!("{}.{} s", millis / 1_000, millis % 1_000 / 100),
        60_000..3_600_000 => format!("{} min {} s", millis / 60_000, millis % 60_000 / 1_000),
        _ => format!("{} h {} min", millis / 3_600_000, millis % 3_600_000 / 60_000),
    }
}

fn date(at: DateTime<Utc>) -> String {
    format!("{:04}-{:02}-{:02}", at.year(), at.month(), at.day())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(1_790_000_000_000 + millis).unwrap()
    }

    #[test]
    fn a_point_in_time_is_shown_in_utc() {
        assert_eq!(absolute(at(42)), "2026-09-21 14:13:20 UTC");
        assert_eq!(absolute_millis(at(42)), "2026-09-21 14:13:20.042 UTC");
        assert_eq!(datetime_attribute(at(42)).parse::<DateTime<Utc>>(), Ok(at(42)));
    }

    #[test]
    fn the_time_since_has_one_unit() {
        let shown = |seconds: i64| ago(at(0), at(seconds * 1_000));
        assert_eq!(shown(-3), "just now");
        assert_eq!(shown(4), "just now");
        assert_eq!(shown(59), "55 s ago");
        assert_eq!(shown(60), "1 min ago");
        assert_eq!(shown(7_199), "1 h ago");
        assert_eq!(shown(86_400), "1 d ago");
        assert_eq!(shown(40 * 86_400), "2026-09-21");
    }

    #[test]
    fn a_countdown_is_rounded_up_and_ends_in_now() {
        let shown = |millis: i64| until(at(millis), at(0));
        assert_eq!(shown(-5), "now");
        assert_eq!(shown(0), "now");
        assert_eq!(shown(1), "in 1 s");
        assert_eq!(shown(2_001), "in 3 s");
        assert_eq!(shown(91_000), "in 2 min");
        assert_eq!(shown(5_400_001), "in 2 h");
    }

    #[test]
    fn a_duration_has_about_three_digits() {
        let shown = |millis: i64| duration(TimeDelta::milliseconds(millis));
        assert_eq!(shown(-1), "0 ms");
        assert_eq!(shown(999), "999 ms");
        assert_eq!(shown(1_249), "1.24 s");
        assert_eq!(shown(12_549), "12.5 s");
        assert_eq!(shown(185_000), "3 min 5 s");
        assert_eq!(shown(3_660_000), "1 h 1 min");
    }
}
