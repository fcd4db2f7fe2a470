//! The settings of a run.

use std::time::Duration;

use reqwest::Url;
use secrecy::SecretString;

use crate::error::LoadError;
use crate::interrupts::Interrupts;

/// The settings of a run. [`LoadConfig::new`] sets the usual values.
#[derive(Debug, Clone)]
pub struct LoadConfig {
    /// Onceward's address, such as `http://127.0.0.1:3000`.
    pub target: String,
    /// The posting service's address, such as `http://127.0.0.1:8080`.
    pub ledger: String,
    /// An API key of a client that may submit and read, if Onceward requires one.
    pub key: Option<SecretString>,
    /// Requests per second.
    pub rate: f64,
    /// How long they are offered.
    pub duration: Duration,
    /// How long after that all may take to be accepted and final.
    pub wait: Duration,
    /// Whether to draw a progress bar if standard error is a terminal.
    pub progress: bool,
    /// The seed of amounts and currencies. Ids are new in every run.
    pub seed: u64,
    /// The most transactions in flight at once, including those that wait to be repeated. A run
    /// that reaches this limit reports it, since it then offers less than the rate.
    pub max_in_flight: usize,
    /// The most connections at once. The default is below the usual limit of open files.
    pub max_connections: usize,
    /// How to end the run early.
    pub interrupts: Interrupts,
}

impl LoadConfig {
    /// 200 per second for 30 s, then up to 5 minutes until all are final.
    #[must_use]
    pub fn new(target: impl Into<String>, ledger: impl Into<String>) -> Self {
        Self {
            target: target.into(),
            ledger: ledger.into(),
            key: None,
            rate: 200.0,
            duration: Duration::from_secs(30),
            wait: Duration::from_secs(300),
            progress: false,
            seed: 0,
            max_in_flight: 10_000,
            max_connections: 512,
            interrupts: Interrupts::default(),
        }
    }

    /// The number of requests: at least one.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "`check` limits it to ten million"
    )]
    pub(crate) fn total(&self) -> usize {
        (self.rate * self.duration.as_secs_f64()).round().max(1.0) as usize
    }

    pub(crate) fn check(&self) -> Result<(), LoadError> {
        const MOST_REQUESTS: f64 = 10_000_000.0;
        const LONGEST: Duration = Duration::from_secs(30 * 24 * 60 * 60);
        let refuse =
            |setting, reason: &str| Err(LoadError::Setting { setting, reason: reason.to_owned() });
        if !(self.rate > 0.0 && self.rate.is_finite()) {
            return refuse("rate", "must be a number above 0");
        }
        for (setting, time) in [("duration", self.duration), ("wait", self.wait)] {
            if time > LONGEST {
                return refuse(setting, "must be at most 30 days");
            }
        }
        if self.rate * self.duration.as_secs_f64() > MOST_REQUESTS {
            return refuse("rate", "makes more than ten million requests over the duration");
        }
        let bounds =
            [("max_in_flight", self.max_in_flight), ("max_connections", self.max_connections)];
        for (setting, bound) in bounds {
            // Above the upper limit, the semaphore would panic.
            if !(1..=1_000_000).contains(&bound) {
                return refuse(setting, "must be between 1 and 1,000,000");
            }
        }
        Ok(())
    }
}

/// A base address without a trailing slash, to which paths are appended.
pub(crate) fn base_url(setting: &'static str, url: &str) -> Result<String, LoadError> {
    let refuse = |reason| LoadError::Setting { setting, reason };
    let parsed = Url::parse(url).map_err(|error| refuse(format!("{url}: {error}")))?;
    if !matches!(parsed.scheme(), "http" | "https") {
        return Err(refuse(format!("{url}: the scheme is neither http nor https")));
    }
    Ok(url.trim_end_matches('/').to_owned())
}

/// Whether an address is https.
pub(crate) fn is_secured(url: &str) -> bool {
    Url::parse(url).is_ok_and(|url| url.scheme() == "https")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_requests_is_rate_times_duration_and_at_least_one() {
        let mut config = LoadConfig::new("http://a", "http://b");
        assert_eq!(config.total(), 6000);
        config.rate = 0.5;
        config.duration = Duration::from_millis(100);
        assert_eq!(config.total(), 1);
    }

    #[test]
    fn an_error_names_the_invalid_setting() {
        for rate in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e9] {
            let config = LoadConfig { rate, ..LoadConfig::new("http://a", "http://b") };
            assert!(config.check().unwrap_err().to_string().contains("rate"), "{rate}");
        }
        let good = || LoadConfig::new("http://a", "http://b");
        for (config, setting) in [
            (LoadConfig { duration: Duration::MAX, ..good() }, "duration"),
            (LoadConfig { wait: Duration::MAX, ..good() }, "wait"),
            (LoadConfig { max_in_flight: 0, ..good() }, "max_in_flight"),
            (LoadConfig { max_connections: usize::MAX, ..good() }, "max_connections"),
        ] {
            assert!(config.check().unwrap_err().to_string().contains(setting), "{setting}");
        }
        assert!(good().check().is_ok());
        for url in ["", "localhost:3000", "ftp://a", "http://"] {
            assert!(base_url("target", url).unwrap_err().to_string().contains("target"), "{url}");
        }
        assert_eq!(base_url("target", "http://a:1/").unwrap(), "http://a:1");
    }
}
