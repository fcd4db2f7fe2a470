//! What the handlers share: the state of the router.

use app::Setting;
use axum::extract::FromRef;
use gateway::Gateway;
use leptos::config::LeptosOptions;
use metrics_exporter_prometheus::PrometheusHandle;
use simulator::SimulatorHandle;
use tokio_util::sync::CancellationToken;

use super::webhook_secrets::WebhookSecrets;

/// What the handlers share.
#[derive(Clone, FromRef)]
pub struct Web {
    /// The engine.
    pub gateway: Gateway,
    /// Leptos's options.
    pub options: LeptosOptions,
    /// What the pages tell of how this process is set up.
    pub setting: Setting,
    /// How inbound webhooks are to be signed.
    pub webhook_signatures: WebhookSignatures,
    /// Whether submissions must have an idempotency key.
    pub key_required: KeyRequired,
    /// What this process has counted.
    pub metrics: PrometheusHandle,
    /// The simulator, where it runs inside.
    pub simulator: Option<SimulatorHandle>,
    /// Cancelled when the program stops: a stream would hold the shutdown otherwise.
    pub stop: CancellationToken,
}

/// How webhooks are to be signed.
#[derive(Debug, Clone)]
pub struct WebhookSignatures {
    /// With one of these. Without any, signatures are not looked at.
    pub secrets: Option<WebhookSecrets>,
    /// How far the timestamp may be from our clock, either way.
    pub tolerance_seconds: u64,
}

/// Whether every submission must have a key.
#[derive(Debug, Clone, Copy)]
pub struct KeyRequired(pub bool);
