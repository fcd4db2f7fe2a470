//! A time in a stored row. PostgreSQL's range is larger than chrono's, and has infinities; sqlx panics at those.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{
    Decode, Postgres, Type,
    error::BoxDynError,
    postgres::{PgTypeInfo, PgValueFormat, PgValueRef},
};

/// PostgreSQL counts microseconds from 2000 on, and this is its epoch, in microseconds from 1970 on.
const EPOCH_MICROS: i64 = 946_684_800_000_000;
/// The earliest time that PostgreSQL can hold, in microseconds from 1970 on.
const EARLIEST_MICROS: i64 = -210_866_803_200_000_000;

/// A `timestamptz` as it is stored: microseconds in PostgreSQL's count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredTime(i64);

impl StoredTime {
    /// The time; `None` if it is infinite, or too far away.
    pub fn read(self) -> Option<DateTime<Utc>> {
        DateTime::from_timestamp_micros(self.0.checked_add(EPOCH_MICROS)?)
    }

    /// The time, or the nearest that both can hold: where the row is in an order by time.
    pub fn nearest(self) -> DateTime<Utc> {
        let earliest = DateTime::from_timestamp_micros(EARLIEST_MICROS);
        let bound =
            if self.0 > 0 { DateTime::<Utc>::MAX_UTC } else { earliest.unwrap_or_default() };
        self.read().unwrap_or(bound)
    }
}

impl Type<Postgres> for StoredTime {
    fn type_info() -> PgTypeInfo {
        <DateTime<Utc> as Type<Postgres>>::type_info()
    }
}

impl<'r> Decode<'r, Postgres> for StoredTime {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        match value.format() {
            PgValueFormat::Binary => Ok(Self(<i64 as Decode<Postgres>>::decode(value)?)),
            PgValueFormat::Text => {
                let time = <DateTime<Utc> as Decode<Postgres>>::decode(value)?;
                Ok(Self((time - TimeDelta::microseconds(EPOCH_MICROS)).timestamp_micros()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_and_one_beyond_all_bounds_is_near_one() {
        assert_eq!(StoredTime(0).read().unwrap().to_rfc3339(), "2000-01-01T00:00:00+00:00");
        assert_eq!(StoredTime(1).nearest(), StoredTime(1).read().unwrap());
        for (infinite, sign) in [(i64::MAX, 1), (i64::MIN, -1)] {
            assert_eq!(StoredTime(infinite).read(), None);
            assert_eq!(StoredTime(infinite).nearest().timestamp().signum(), sign);
        }
    }
}
