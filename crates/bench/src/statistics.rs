//! Medians and quantiles of what was measured.

use std::time::Duration;

use serde::Serialize;

/// The repeats of one number: the median is quoted, the others say how far they lie apart.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Repeats {
    pub median: f64,
    pub min: f64,
    pub max: f64,
}

impl Repeats {
    /// None where nothing was measured.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let (lower, upper) = (values[(values.len() - 1) / 2], values[values.len() / 2]);
        Some(Self { median: f64::midpoint(lower, upper), min, max })
    }
}

/// Durations in milliseconds, at the shares that are quoted.
#[derive(Debug, Clone, Copy, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Quantiles {
    pub count: usize,
    pub p50_ms: f64,
    pub p90_ms: f64,
    pub p99_ms: f64,
    pub p999_ms: f64,
    pub max_ms: f64,
}

impl Quantiles {
    /// All zero where there are none.
    pub fn of(mut durations: Vec<Duration>) -> Self {
        durations.sort_unstable();
        // The smallest that at least this share stays within, exactly: there are few enough to keep.
        let at = |per_mille: usize| {
            let rank = (durations.len() * per_mille).div_ceil(1000).max(1);
            durations.get(rank - 1).map_or(0.0, |duration| duration.as_micros() as f64 / 1000.0)
        };
        Self {
            count: durations.len(),
            p50_ms: at(500),
            p90_ms: at(900),
            p99_ms: at(990),
            p999_ms: at(999),
            max_ms: at(1000),
        }
    }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "whole milliseconds are exact")]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_lies_between_the_two_in_the_middle() {
        let repeats = Repeats::of([4.0, 1.0, 2.0, 9.0]).unwrap();
        assert_eq!((repeats.median, repeats.min, repeats.max), (3.0, 1.0, 9.0));
        assert!(Repeats::of([]).is_none());
    }

    #[test]
    fn a_quantile_is_a_duration_that_was_measured() {
        let quantiles = Quantiles::of((1..=200).rev().map(Duration::from_millis).collect());
        assert_eq!((quantiles.p50_ms, quantiles.p90_ms, quantiles.p99_ms), (100.0, 180.0, 198.0));
        assert_eq!((quantiles.p999_ms, quantiles.max_ms), (200.0, 200.0));
        assert_eq!(Quantiles::of(vec![]).max_ms, 0.0);
    }
}
