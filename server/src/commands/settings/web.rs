//! The settings of the listener and of what stands in front of it.

use std::time::Duration;

use clap::{Args, value_parser};

use crate::http::{Hosts, PathPrefix};

/// How clients reach Onceward.
#[derive(Debug, Clone, Args)]
pub struct WebSettings {
    /// How long a connection may be idle, in milliseconds. A proxy in front must close its idle connections earlier
    #[arg(long, env = "KEEP_ALIVE_MS", value_name = "KEEP_ALIVE_MS", default_value_t = 75_000, value_parser = value_parser!(u64).range(1_000..=3_600_000))]
    pub keep_alive_ms: u64,
    /// The host names, besides those of this machine, under which clients may address Onceward, separated by commas
    #[arg(long, env = "ONCEWARD_HOSTS", value_name = "ONCEWARD_HOSTS", default_value = "")]
    pub hosts: Hosts,
    /// The path under which a proxy serves Onceward, such as /onceward. The proxy may remove it from requests or keep it
    #[arg(
        long,
        env = "ONCEWARD_PATH_PREFIX",
        value_name = "ONCEWARD_PATH_PREFIX",
        default_value = ""
    )]
    pub path_prefix: PathPrefix,
}

impl WebSettings {
    /// How long a connection may be idle.
    pub fn keep_alive(&self) -> Duration {
        Duration::from_millis(self.keep_alive_ms)
    }
}
