//! The settings of the listener and of what stands in front of it.

use std::{path::PathBuf, time::Duration};

use clap::{Args, value_parser};

use crate::{
    http::{Hosts, PathPrefix, TrustedProxies},
    listener::CertificateFiles,
};

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
    /// The proxies in front, as addresses or networks separated by commas: what they say about a client in Forwarded or
    /// X-Forwarded-For and X-Forwarded-Proto is believed
    #[arg(
        long,
        env = "ONCEWARD_TRUSTED_PROXIES",
        value_name = "ONCEWARD_TRUSTED_PROXIES",
        default_value = ""
    )]
    pub trusted_proxies: TrustedProxies,
    /// The file of the listener's certificate in PEM, followed by those that lead to its authority. It is read again when
    /// it changes. Unset: plain HTTP
    #[arg(long, env = "TLS_CERT", value_name = "TLS_CERT", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// The file of the certificate's private key in PEM
    #[arg(long, env = "TLS_KEY", value_name = "TLS_KEY", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
}

impl WebSettings {
    /// How long a connection may be idle.
    pub fn keep_alive(&self) -> Duration {
        Duration::from_millis(self.keep_alive_ms)
    }

    /// The listener's certificate.
    pub fn certificate(&self) -> Option<CertificateFiles> {
        let (certificate, key) = (self.tls_cert.clone()?, self.tls_key.clone()?);
        Some(CertificateFiles { certificate, key })
    }
}
