//! What can be made to go wrong, and how often.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The longest duration a fault may ask for: a day.
const LONGEST_MS: u64 = 24 * 60 * 60 * 1000;

/// Above this the log-normal latency is only noise over many orders of magnitude.
const WIDEST_SIGMA: f64 = 5.0;

/// What can be made to go wrong, and how often.
///
/// Rates are probabilities from 0 to 1, each drawn independently. If several hit one request, the
/// first in this list decides, which is the order in which a request meets them:
/// `outage`, `token_lifetime`, `rate_limit`, `refusal`, then after the latency `reset_before_write`,
/// `pre_write_failure`, `hang`, `late_write`, `accepted`, `accepted_lost`, `wrong_success`, and after
/// the write `reset_after_write`, `post_write_failure`, `garbage`.
///
/// In JSON the names are in camelCase, and unknown names are refused.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Faults {
    /// Every connection is reset as soon as its request line has arrived, and so are those of
    /// requests in flight; nothing is answered. Only `/admin/…` still answers, because otherwise an
    /// outage could not be ended. (For an outage in which no process listens, stop the process.)
    pub outage: bool,
    /// Unless it is 0, requests need an access token of `POST /oauth/token` that is younger than this, and others are
    /// answered with 401. The token endpoint says that its tokens live for an hour, however long they do.
    pub token_lifetime_ms: u64,
    /// A POST or a GET by id is answered with 429 and `Retry-After`; nothing is saved.
    pub rate_limit_rate: f64,
    /// The value of `Retry-After` on a 429.
    pub retry_after_seconds: u64,
    /// A POST is answered with 422. The id alone decides, so a refused id is refused every time.
    pub refusal_rate: f64,
    /// The median of the log-normal time that a POST takes before it writes.
    pub latency_median_ms: u64,
    /// The spread of both latencies: the standard deviation of their logarithm.
    pub latency_sigma: f64,
    /// The connection is reset without an answer; nothing is saved.
    pub reset_before_write_rate: f64,
    /// A POST is answered with 500; nothing is saved.
    pub pre_write_failure_rate: f64,
    /// A POST gets no answer for `hang_ms`, then its connection is reset; nothing is saved.
    pub hang_rate: f64,
    /// How long a hanging POST hangs.
    pub hang_ms: u64,
    /// The connection is reset without an answer, and the write is applied `late_write_delay_ms`
    /// after that, even if its client has disconnected. The delay counts from the reset, so it
    /// compares directly with a client's settle window.
    pub late_write_rate: f64,
    /// How long after the reset, or after a 202, a late write is applied.
    pub late_write_delay_ms: u64,
    /// A POST is answered with 202, and the write is applied `late_write_delay_ms` after that.
    pub accepted_rate: f64,
    /// A POST is answered with 202; nothing is saved.
    pub accepted_lost_rate: f64,
    /// A POST is answered with 200 and a body that is no confirmation of it: an error, a list,
    /// another id, or another amount, by turns; nothing is saved.
    pub wrong_success_rate: f64,
    /// The entry is saved, then the connection is reset without an answer.
    pub reset_after_write_rate: f64,
    /// The entry is saved, then the POST is answered with 500 and the same body as a failure before
    /// the write.
    pub post_write_failure_rate: f64,
    /// The entry is saved, then the POST is answered with 200 and a body that is not JSON.
    pub garbage_rate: f64,
    /// The median of the log-normal time that a GET by id takes.
    pub verification_latency_median_ms: u64,
    /// A GET by id is answered with 500.
    pub verification_failure_rate: f64,
    /// A GET by id is answered with 200 and a body that is not JSON, whether or not the id exists.
    pub verification_garbage_rate: f64,
    /// A GET by id is answered with 404 if the entry is younger than this.
    pub visibility_lag_ms: u64,
    /// Answers say as little as they can: that to a POST is `{}`, that to a GET by id has the id
    /// alone.
    pub says_little: bool,
}

impl Default for Faults {
    /// A bad day, not a disaster: 5 % of the POSTs fail before the write and 5 % after it, the
    /// median POST takes 200 ms, and the median verification 50 ms.
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
    /// No faults and no latency. Durations that only matter together with a rate keep sensible
    /// values, so that setting the rate alone has an effect.
    #[must_use]
    pub fn none() -> Self {
        Self {
            outage: false,
            token_lifetime_ms: 0,
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
            accepted_rate: 0.0,
            accepted_lost_rate: 0.0,
            wrong_success_rate: 0.0,
            reset_after_write_rate: 0.0,
            post_write_failure_rate: 0.0,
            garbage_rate: 0.0,
            verification_latency_median_ms: 0,
            verification_failure_rate: 0.0,
            verification_garbage_rate: 0.0,
            visibility_lag_ms: 0,
            says_little: false,
        }
    }

    /// These faults with the fields of `changes` applied; fields that `changes` omits stay as they
    /// are.
    ///
    /// # Errors
    /// A field does not exist, has the wrong type, or is out of its range.
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
            // One field at a time, so that an error is known to belong to this field.
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
            ("acceptedRate", self.accepted_rate),
            ("acceptedLostRate", self.accepted_lost_rate),
            ("wrongSuccessRate", self.wrong_success_rate),
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
                    reason: format!("{rate} is not between 0 and 1"),
                });
            }
        }
        let durations_ms = [
            ("tokenLifetimeMs", self.token_lifetime_ms),
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
                    reason: "must not be longer than a day".to_owned(),
                });
            }
        }
        if !(0.0..=WIDEST_SIGMA).contains(&self.latency_sigma) {
            return Err(FaultsError::Invalid {
                field: "latencySigma".to_owned(),
                reason: format!("{} is not between 0 and {WIDEST_SIGMA}", self.latency_sigma),
            });
        }
        Ok(())
    }
}

/// Why faults were refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FaultsError {
    /// There is no such field.
    #[error("`{field}`: no such fault; the faults are {known}")]
    UnknownField {
        /// The name in the request.
        field: String,
        /// The existing names.
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
    /// The current faults could not be converted.
    #[error("the current faults cannot be written as JSON")]
    Unreadable,
}

impl FaultsError {
    /// The JSON name of the field that is wrong, if a field is.
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
    fn omitted_fields_keep_their_value() {
        let changed =
            change(&Faults::default(), &json!({"hangRate": 0.25, "outage": true})).unwrap();
        let expected = Faults { hang_rate: 0.25, outage: true, ..Faults::default() };
        assert_eq!(changed, expected);
    }

    #[test]
    fn every_field_survives_a_round_trip_through_json() {
        let whole = serde_json::to_value(Faults::default()).unwrap();
        assert_eq!(change(&Faults::none(), &whole).unwrap(), Faults::default());
    }

    #[test]
    fn an_error_names_the_wrong_field() {
        for (changes, field) in [
            (json!({"hangrate": 0.1}), "hangrate"),
            (json!({"refusalRate": 1.01}), "refusalRate"),
            (json!({"refusalRate": -0.1}), "refusalRate"),
            (json!({"garbageRate": "often"}), "garbageRate"),
            (json!({"garbageRate": null}), "garbageRate"),
            (json!({"outage": 1}), "outage"),
            (json!({"wrongSuccessRate": 2}), "wrongSuccessRate"),
            (json!({"saysLittle": 0.5}), "saysLittle"),
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
    fn no_faults_and_the_default_faults_are_valid_and_nan_is_not() {
        assert_eq!(Faults::none().validate(), Ok(()));
        assert_eq!(Faults::default().validate(), Ok(()));
        let faults = Faults { hang_rate: f64::NAN, ..Faults::none() };
        assert_eq!(faults.validate().unwrap_err().field(), Some("hangRate"));
    }
}
