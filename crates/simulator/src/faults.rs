//! What can be made to go wrong, and how often.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The longest duration a fault may ask for: a day.
const LONGEST_MS: u64 = 24 * 60 * 60 * 1000;

/// Beyond this the log-normal latency is no longer a latency but noise over many orders of magnitude.
const WIDEST_SIGMA: f64 = 5.0;

/// What can be made to go wrong, and how often.
///
/// Rates are probabilities from 0 to 1, each drawn on its own. Where several hit one request, the
/// first in the order of this list decides, which is the order in which a request meets them:
/// `outage`, `rate_limit`, `refusal`, then after the latency `reset_before_write`,
/// `pre_write_failure`, `hang`, `late_write`, and after the write `reset_after_write`,
/// `post_write_failure`, `garbage`.
///
/// In JSON the names are in camelCase and no others are allowed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Faults {
    /// Every connection is reset as soon as its request line is in, and requests under way lose
    /// theirs; nothing is answered. Only `/admin/…` still answers, for else an outage could not be
    /// ended. (The other kind of outage, where nothing listens, is the process being down.)
    pub outage: bool,
    /// A POST or a GET by id answers 429 with `Retry-After`; nothing is saved.
    pub rate_limit_rate: f64,
    /// What `Retry-After` says on a 429.
    pub retry_after_seconds: u64,
    /// A POST answers 422, for good: the id alone decides, so a refused id is refused every time.
    pub refusal_rate: f64,
    /// The middle of the log-normal time a POST takes before it writes.
    pub latency_median_ms: u64,
    /// The spread of both latencies: the standard deviation of their logarithm.
    pub latency_sigma: f64,
    /// The connection is reset without an answer; nothing is saved.
    pub reset_before_write_rate: f64,
    /// A POST answers 500; nothing is saved.
    pub pre_write_failure_rate: f64,
    /// A POST gets no answer for `hang_ms`, then its connection is reset; nothing is saved.
    pub hang_rate: f64,
    /// How long a hanging POST hangs.
    pub hang_ms: u64,
    /// The connection is reset without an answer, and the write lands `late_write_delay_ms` after
    /// that, whether or not anybody still waits for it. The delay counts from the reset, so it
    /// compares directly with a client's settle window.
    pub late_write_rate: f64,
    /// How long after the reset a late write lands.
    pub late_write_delay_ms: u64,
    /// The entry is saved, then the connection is reset without an answer.
    pub reset_after_write_rate: f64,
    /// The entry is saved, then the POST answers 500, with the same body as before a write.
    pub post_write_failure_rate: f64,
    /// The entry is saved, then the POST answers 200 with a body that is not JSON.
    pub garbage_rate: f64,
    /// The middle of the log-normal time a GET by id takes.
    pub verification_latency_median_ms: u64,
    /// A GET by id answers 500.
    pub verification_failure_rate: f64,
    /// A GET by id answers 200 with a body that is not JSON, whether or not the id is there.
    pub verification_garbage_rate: f64,
    /// A GET by id answers 404 for an entry younger than this.
    pub visibility_lag_ms: u64,
}

impl Default for Faults {
    /// A bad day, not a disaster: 5 % of the posts fail before the write and 5 % after it, and a
    /// post takes 200 ms, a verification 50 ms in the middle.
    fn default() -> Self {
        Self {
            latency_median_ms: 200,
            latency_sigma: 0.5,
            pre_write_failure_rate: 0.05,
            post_write_failure_rate: 0.05,
            verification_latency_median_ms: 50,
            ..Self::none()
        }
    }
}

impl Faults {
    /// No faults and no latency. The durations that only matter together with a rate keep sensible
    /// values, so that turning on the rate alone does something.
    #[must_use]
    pub fn none() -> Self {
        Self {
            outage: false,
            rate_limit_rate: 0.0,
            retry_after_seconds: 1,
            refusal_rate: 0.0,
            latency_median_ms: 0,
            latency_sigma: 0.0,
            reset_before_write_rate: 0.0,
            pre_write_failure_rate: 0.0,
            hang_rate: 0.0,
            hang_ms: 60_000,
            late_write_rate: 0.0,
            late_write_delay_ms: 5_000,
            reset_after_write_rate: 0.0,
            post_write_failure_rate: 0.0,
            garbage_rate: 0.0,
            verification_latency_median_ms: 0,
            verification_failure_rate: 0.0,
            verification_garbage_rate: 0.0,
            visibility_lag_ms: 0,
        }
    }

    /// These faults with the fields of `changes` put in; what `changes` leaves out stays as it is.
    ///
    /// # Errors
    /// A field that does not exist, has the wrong type, or is out of its range; nothing is changed then.
    pub fn with_changes(&self, changes: &Map<String, Value>) -> Result<Self, FaultsError> {
        let mut fields = match serde_json::to_value(self) {
            Ok(Value::Object(fields)) => fields,
            Ok(_) | Err(_) => return Err(FaultsError::Unreadable),
        };
        let mut changed = *self;
        for (field, value) in changes {
            if !fields.contains_key(field) {
                return Err(FaultsError::UnknownField {
                    field: field.clone(),
                    known: fields.keys().cloned().collect::<Vec<_>>().join(", "),
                });
            }
            fields.insert(field.clone(), value.clone());
            // One at a time, so that an error is known to be this field's.
            changed = serde_json::from_value(Value::Object(fields.clone())).map_err(|error| {
                FaultsError::Invalid { field: field.clone(), reason: error.to_string() }
            })?;
        }
        changed.validate()?;
        Ok(changed)
    }

    /// Checks every field against its range.
    ///
    /// # Errors
    /// The first field that is out of its range.
    pub fn validate(&self) -> Result<(), FaultsError> {
        let rates = [
            ("rateLimitRate", self.rate_limit_rate),
            ("refusalRate", self.refusal_rate),
            ("resetBeforeWriteRate", self.reset_before_write_rate),
            ("preWriteFailureRate", self.pre_write_failure_rate),
            ("hangRate", self.hang_rate),
            ("lateWriteRate", self.late_write_rate),
            ("resetAfterWriteRate", self.reset_after_write_rate),
            ("postWriteFailureRate", self.post_write_failure_rate),
            ("garbageRate", self.garbage_rate),
            ("verificationFailureRate", self.verification_failure_rate),
            ("verificationGarbageRate", self.verification_garbage_rate),
        ];
        for (field, rate) in rates {
            if !(0.0..=1.0).contains(&rate) {
                return Err(FaultsError::Invalid {
                    field: field.to_owned(),
                    reason: format!("{rate} is not a rate from 0 to 1"),
                });
            }
        }
        let durations_ms = [
            ("latencyMedianMs", self.latency_median_ms),
            ("hangMs", self.hang_ms),
            ("lateWriteDelayMs", self.late_write_delay_ms),
            ("verificationLatencyMedianMs", self.verification_latency_median_ms),
            ("visibilityLagMs", self.visibility_lag_ms),
            ("retryAfterSeconds", self.retry_after_seconds.saturating_mul(1000)),
        ];
        for (field, duration_ms) in durations_ms {
            if duration_ms > LONGEST_MS {
                return Err(FaultsError::Invalid {
                    field: field.to_owned(),
                    reason: "longer than a day".to_owned(),
                });
            }
        }
        if !(0.0..=WIDEST_SIGMA).contains(&self.latency_sigma) {
            return Err(FaultsError::Invalid {
                field: "latencySigma".to_owned(),
                reason: format!("{} is not from 0 to {WIDEST_SIGMA}", self.latency_sigma),
            });
        }
        Ok(())
    }
}

/// Why faults were not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FaultsError {
    /// There is no such field.
    #[error("`{field}`: there is no such fault; there are {known}")]
    UnknownField {
        /// The field's name as it was given.
        field: String,
        /// The names there are.
        known: String,
    },
    /// The value is of the wrong type or out of its range.
    #[error("`{field}`: {reason}")]
    Invalid {
        /// The field's name in JSON.
        field: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The present faults could not be read back.
    #[error("the present faults cannot be written as JSON")]
    Unreadable,
}

impl FaultsError {
    /// The JSON name of the field that is at fault, where one is.
    #[must_use]
    pub fn field(&self) -> Option<&str> {
        match self {
            Self::UnknownField { field, .. } | Self::Invalid { field, .. } => Some(field),
            Self::Unreadable => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn change(faults: &Faults, changes: &Value) -> Result<Faults, FaultsError> {
        faults.with_changes(changes.as_object().unwrap())
    }

    #[test]
    fn fields_left_out_keep_their_value() {
        let changed =
            change(&Faults::default(), &json!({"hangRate": 0.25, "outage": true})).unwrap();
        let expected = Faults { hang_rate: 0.25, outage: true, ..Faults::default() };
        assert_eq!(changed, expected);
    }

    #[test]
    fn every_field_survives_the_way_through_json() {
        let whole = serde_json::to_value(Faults::default()).unwrap();
        assert_eq!(change(&Faults::none(), &whole).unwrap(), Faults::default());
    }

    #[test]
    fn an_error_names_its_field() {
        for (changes, field) in [
            (json!({"hangrate": 0.1}), "hangrate"),
            (json!({"refusalRate": 1.01}), "refusalRate"),
            (json!({"refusalRate": -0.1}), "refusalRate"),
            (json!({"garbageRate": "often"}), "garbageRate"),
            (json!({"garbageRate": null}), "garbageRate"),
            (json!({"outage": 1}), "outage"),
            (json!({"hangMs": 1.5}), "hangMs"),
            (json!({"hangMs": -1}), "hangMs"),
            (json!({"visibilityLagMs": 86_400_001}), "visibilityLagMs"),
            (json!({"retryAfterSeconds": u64::MAX}), "retryAfterSeconds"),
            (json!({"latencySigma": 6}), "latencySigma"),
        ] {
            let error = change(&Faults::none(), &changes).unwrap_err();
            assert_eq!(error.field(), Some(field), "{changes}");
            assert!(error.to_string().contains(field), "{error}");
        }
    }

    #[test]
    fn no_faults_and_the_default_ones_are_valid_and_nan_is_not() {
        assert_eq!(Faults::none().validate(), Ok(()));
        assert_eq!(Faults::default().validate(), Ok(()));
        let faults = Faults { hang_rate: f64::NAN, ..Faults::none() };
        assert_eq!(faults.validate().unwrap_err().field(), Some("hangRate"));
    }
}
