//! The state that the handlers share, and the settings in it.

use access::{Access, Tokens, limits::RateLimits};
use app::Setting;
use axum::extract::FromRef;
use gateway::Gateway;
use leptos::config::LeptosOptions;
use metrics_exporter_prometheus::PrometheusHandle;
use simulator::SimulatorHandle;
use tokio_util::sync::CancellationToken;

use super::{
    Authentication, Hosts, MetricsAccess, PathPrefix, StreamSlots, page_files::PageFiles,
    webhook_secrets::WebhookSignatures,
};
use crate::own_postgres::OwnPostgresStatus;

/// The state that the handlers share.
#[derive(Clone, FromRef)]
pub struct WebState {
    /// The engine.
    pub gateway: Gateway,
    /// Principals and their credentials.
    pub access: Access,
    /// Tokens: those that are accepted, and those that are issued.
    pub tokens: Tokens,
    /// How callers are recognised.
    pub authentication: Authentication,
    /// The names under which clients may address this process.
    pub hosts: Hosts,
    /// The path under which a proxy serves this process.
    pub path_prefix: PathPrefix,
    /// Leptos's options.
    pub options: LeptosOptions,
    /// The files of the page.
    pub page_files: PageFiles,
    /// The setup of this process, as the pages show it.
    pub setting: Setting,
    /// How inbound webhooks must be signed.
    pub webhook_signatures: WebhookSignatures,
    /// Whether a submission needs an idempotency key.
    pub key_required: KeyRequired,
    /// How many requests callers may send.
    pub limits: RateLimits,
    /// How many streams callers may have open.
    pub streams: StreamSlots,
    /// Who may read the metrics.
    pub metrics_access: MetricsAccess,
    /// The metrics of this process.
    pub metrics: PrometheusHandle,
    /// Whether Onceward's own PostgreSQL is down.
    pub own_postgres: OwnPostgresStatus,
    /// The simulator, if it runs inside.
    pub simulator: Option<SimulatorHandle>,
    /// Cancelled when the program stops; otherwise open streams would delay the shutdown.
    pub stop: CancellationToken,
}

/// Whether every submission needs an idempotency key.
#[derive(Debug, Clone, Copy)]
pub struct KeyRequired(pub bool);
