//! Medians and quantiles.

use std::time::Duration;

use serde::Serialize;

/// Repetitions of one measurement: the median is reported, minimum and maximum show the spread.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Repeats {
    pub median: f64,
    pub min: f64,
    pub max: f64,
}

impl Repeats {
    /// `None` without any value.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let (lower, upper) = (values[(values.len() - 1) / 2], values[values.len() / 2]);
        Some(Self { median: f64::midpoint(lower, upper), min, max })
    }
}

/// The reported quantiles of durations, in milliseconds.
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
    /// All zero without any duration.
    pub fn of(mut durations: Vec<Duration>) -> Self {
        durations.sort_unstable();
        // Exact (nearest rank): there are few enough durations to keep them all.
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
    fn the_median_of_an_even_number_of_values_is_between_the_two_middle_ones() {
        let repeats = Repeats::of([4.0, 1.0, 2.0, 9.0]).unwrap();
        assert_eq!((repeats.median, repeats.min, repeats.max), (3.0, 1.0, 9.0));
        assert!(Repeats::of([]).is_none());
    }

    #[test]
    fn a_quantile_is_one_of_the_measured_durations() {
        let quantiles = Quantiles::of((1..=200).rev().map(Duration::from_millis).collect());
        assert_eq!((quantiles.p50_ms, quantiles.p90_ms, quantiles.p99_ms), (100.0, 180.0, 198.0));
        assert_eq!((quantiles.p999_ms, quantiles.max_ms), (200.0, 200.0));
        assert_eq!(Quantiles::of(vec![]).max_ms, 0.0);
    }
}
