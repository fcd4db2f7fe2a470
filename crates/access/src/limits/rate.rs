//! A rate: so many requests in a period.

use std::{fmt, num::NonZeroU32, str::FromStr, time::Duration};

use thiserror::Error;

/// The most requests in a period.
const MAX_REQUESTS: u32 = 1_000_000;

/// So many requests in a period: `100/s`, `6000/m` or `100000/h`. All of them may come at once; then they come back
/// evenly over the period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rate {
    requests: NonZeroU32,
    unit: Unit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Unit {
    Second,
    Minute,
    Hour,
}

/// The text is not a rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "must be a number of requests from 1 to 1000000 in a second, minute or hour, such as 100/s, 6000/m or 100000/h"
)]
pub struct InvalidRate;

impl Rate {
    /// The requests.
    pub fn requests(self) -> NonZeroU32 {
        self.requests
    }

    /// The period.
    pub fn period(self) -> Duration {
        Duration::from_secs(match self.unit {
            Unit::Second => 1,
            Unit::Minute => 60,
            Unit::Hour => 3600,
        })
    }
}

impl FromStr for Rate {
    type Err = InvalidRate;

    fn from_str(text: &str) -> Result<Self, InvalidRate> {
        let (requests, unit) = text.trim().split_once('/').ok_or(InvalidRate)?;
        let unit = match unit {
            "s" => Unit::Second,
            "m" => Unit::Minute,
            "h" => Unit::Hour,
            _ => return Err(InvalidRate),
        };
        let is_plain = requests.bytes().all(|byte| byte.is_ascii_digit());
        let requests = requests
            .parse()
            .ok()
            .filter(|requests: &NonZeroU32| is_plain && requests.get() <= MAX_REQUESTS);
        Ok(Self { requests: requests.ok_or(InvalidRate)?, unit })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.unit {
            Unit::Second => 's',
            Unit::Minute => 'm',
            Unit::Hour => 'h',
        };
        write!(f, "{}/{unit}", self.requests)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_the_same_after_its_text_is_parsed() {
        for text in ["100/s", "6000/m", "1/h", "1000000/s"] {
            assert_eq!(text.parse::<Rate>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_text_without_a_number_or_a_period_is_no_rate() {
        for text in
            ["", "100", "/s", "0/s", "-1/s", "+1/s", "1.5/s", "1/d", "100 /s", "1000001/s", "1/s/s"]
        {
            assert_eq!(text.parse::<Rate>(), Err(InvalidRate), "{text}");
        }
    }
}
