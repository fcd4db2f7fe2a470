//! The settings of how much a caller may ask for.

use access::limits::{Rate, RateLimits, RatePerRole};
use clap::{Args, value_parser};

use crate::http::StreamSlots;

/// How much a caller may ask for. Each process counts for itself.
#[derive(Debug, Clone, Args)]
pub struct LimitSettings {
    /// Requests of a principal, such as 100/s or 6000/m, or for each role, such as viewer=50/s,submitter=2000/s. Unset: no
    /// limit
    #[arg(long, env = "RATE_LIMIT_PER_PRINCIPAL", value_name = "RATE_LIMIT_PER_PRINCIPAL")]
    pub rate_limit_per_principal: Option<RatePerRole>,
    /// Requests from an address, such as 1000/s, whoever sends them. Unset: no limit
    #[arg(long, env = "RATE_LIMIT_PER_ADDRESS", value_name = "RATE_LIMIT_PER_ADDRESS")]
    pub rate_limit_per_address: Option<Rate>,
    /// Streams that a principal may have open
    #[arg(long, env = "STREAMS_PER_PRINCIPAL", value_name = "STREAMS_PER_PRINCIPAL", default_value_t = 100, value_parser = value_parser!(u16).range(1..=4096))]
    pub streams_per_principal: u16,
}

impl LimitSettings {
    /// The limits of requests.
    pub fn rates(&self) -> RateLimits {
        let per_principal = self.rate_limit_per_principal.unwrap_or_default();
        RateLimits::new(per_principal, self.rate_limit_per_address)
    }

    /// The limits of streams.
    pub fn streams(&self) -> StreamSlots {
        StreamSlots::new(self.streams_per_principal.into())
    }
}
