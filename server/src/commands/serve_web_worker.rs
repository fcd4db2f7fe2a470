//! `onceward serve`, `web` and `worker`: one run in three roles. It starts the parts that a role needs, waits
//! for the signal, and stops the parts in order.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use ::simulator::Simulator;
use app::Setting;
use axum::Router;
use gateway::{
    AdmissionLimits, Gateway, HttpPostingClient, WakeUps, Worker, WorkerSettings,
    database::{self, WEB_ACQUIRE_TIMEOUT, WORKER_ACQUIRE_TIMEOUT},
};
use sqlx::PgPool;
use tokio::{net::TcpListener, time::sleep};
use tokio_util::sync::CancellationToken;

use super::{
    fatal::Fatal, leptos_options, loopback::refuse_beyond_loopback, role::Role, settings::Settings,
    simulator, stop_signal::stop_signal,
};
use crate::{
    http,
    listener::{self, open_files},
    own_postgres::{OwnPostgres, OwnPostgresStatus},
    telemetry::metrics,
};

/// Connections for submissions and queries.
const WEB_CONNECTIONS: u32 = 16;
/// Connections for executions.
const WORKER_CONNECTIONS: u32 = 16;
/// Connections for heartbeats and housekeeping.
const HOUSEKEEPING_CONNECTIONS: u32 = 2;
/// Connections for apalis's fetches and heartbeats.
const APALIS_CONNECTIONS: u32 = 4;

/// Runs a role until SIGTERM or Ctrl-C.
///
/// # Errors
/// If it cannot start.
pub async fn run(role: Role, settings: Settings) -> Result<(), Fatal> {
    let simulated = settings.posting_url.is_none() && role == Role::Both;
    let listens = match role {
        Role::Both | Role::Web => Some(("LEPTOS_SITE_ADDR", settings.site_addr)),
        Role::Worker { metrics_addr } => metrics_addr.map(|addr| ("METRICS_ADDR", addr)),
    };
    if let Some((setting, addr)) = listens {
        refuse_beyond_loopback(setting, addr)?;
    }
    if simulated {
        refuse_beyond_loopback("SIMULATOR_ADDR", settings.simulator_addr)?;
    }
    if matches!(role, Role::Worker { .. }) && settings.posting_url.is_none() {
        return Err("a worker needs POSTING_URL: the simulator runs only inside `serve`".into());
    }
    // Bound before anything else starts: a port in use is the commonest failure.
    let listener = match listens {
        Some((setting, addr)) => Some(bind(setting, addr)?),
        None => None,
    };
    let stop = stop_signal()?;
    open_files::warn_if_too_few(settings.posting.max_requests_in_flight(role));

    if let Some(url) = &settings.database_url {
        let status = OwnPostgresStatus::none();
        return with_database(role, &settings, simulated, listener, stop, url, status).await;
    }
    let Some(own_postgres) = OwnPostgres::start(&settings.data, &stop).await? else {
        return Ok(());
    };
    let (url, status) = (own_postgres.url(), own_postgres.status());
    let ended = CancellationToken::new();
    let program = async {
        let _ended = ended.clone().drop_guard();
        with_database(role, &settings, simulated, listener, stop.clone(), &url, status).await
    };
    let (result, supervised) = tokio::join!(program, own_postgres.supervise(&stop, &ended));
    supervised.map_err(|error| format!("Onceward's own PostgreSQL: {error}"))?;
    result
}

async fn with_database(
    role: Role,
    settings: &Settings,
    simulated: bool,
    listener: Option<TcpListener>,
    stop: CancellationToken,
    url: &str,
    own_postgres: OwnPostgresStatus,
) -> Result<(), Fatal> {
    let pool = |connections, acquire_timeout| {
        database::pool(url, connections, acquire_timeout)
            .map_err(|error| format!("DATABASE_URL: {error}"))
    };
    // A pool of its own: a migration has no statement timeout.
    let migrating = pool(2, WORKER_ACQUIRE_TIMEOUT)?;
    if !migrate(url, &migrating, &stop).await? {
        return Ok(());
    }
    migrating.close().await;

    let simulator = match simulated {
        true => Some(simulator::start(&settings.data, settings.simulator_addr, 1).await?),
        false => None,
    };
    let posting_url = match (&settings.posting_url, &simulator) {
        (Some(url), _) => Some(url.clone()),
        (None, Some(simulator)) => Some(format!("http://{}", simulator.addr())),
        (None, None) => None,
    };
    let metrics = metrics::start()?;
    let web_pool = database::for_clients(&pool(WEB_CONNECTIONS, WEB_ACQUIRE_TIMEOUT)?);
    let wake_ups = WakeUps::announced(&web_pool);
    let gateway = Gateway::new(web_pool, wake_ups.clone());

    let policy = settings.posting.policy();
    let worker = match (role, posting_url) {
        (Role::Both | Role::Worker { .. }, Some(posting_url)) => Some(Worker {
            pool: database::for_execution(&pool(WORKER_CONNECTIONS, WORKER_ACQUIRE_TIMEOUT)?),
            heartbeat_pool: database::for_heartbeat(&pool(
                HOUSEKEEPING_CONNECTIONS,
                WEB_ACQUIRE_TIMEOUT,
            )?),
            apalis_pool: database::for_dispatch(&pool(APALIS_CONNECTIONS, WORKER_ACQUIRE_TIMEOUT)?),
            posting: Arc::new(
                HttpPostingClient::new(&posting_url, policy.timeout)?
                    .requiring(settings.posting.required_fields()),
            ),
            settings: WorkerSettings {
                policy,
                limits: AdmissionLimits {
                    posts: settings.posting.posting_concurrency.into(),
                    verifications: settings.posting.verification_concurrency.into(),
                    requests_per_second: settings.posting.posting_rate_limit,
                },
                grace: settings.shutdown_grace(),
            },
            wake_ups,
        }),
        _ => None,
    };
    let posting = async {
        if let Some(worker) = worker {
            worker.run(stop.clone()).await;
            stop.cancel();
        }
    };
    let serving = async {
        let Some(listener) = listener else {
            println!("An Onceward worker is posting.");
            return Ok(());
        };
        let files = open_files::left_for_clients(settings.posting.max_requests_in_flight(role));
        let limits = listener::ConnectionLimits::for_open_files(files);
        let addr = listener.local_addr()?;
        if let Role::Worker { .. } = role {
            println!("An Onceward worker is posting; its metrics are at http://{addr}");
            let router = http::worker_router(gateway, metrics);
            serve(listener, router, &stop, settings.shutdown_grace(), limits).await;
            return Ok(());
        }
        let mut options = leptos_options::options(addr)?;
        let page_files = http::PageFiles::read(&mut options).map_err(|error| {
            format!("{}: cannot read the page's files: {error}", options.site_root)
        })?;
        let web = http::WebState {
            gateway,
            options,
            page_files,
            setting: Setting {
                simulator: simulator.as_ref().map(|simulator| simulator.addr().to_string()),
                max_attempts: settings.posting.posting_max_attempts,
            },
            webhook_signatures: http::WebhookSignatures {
                secrets: settings.webhooks.webhook_secrets.clone(),
                tolerance_seconds: settings.webhooks.webhook_tolerance_seconds,
            },
            key_required: http::KeyRequired(settings.idempotency_key_required),
            metrics,
            own_postgres,
            simulator: simulator.as_ref().map(Simulator::handle),
            stop: stop.clone(),
        };
        println!("Onceward is at http://{addr}");
        serve(listener, http::router(web), &stop, settings.shutdown_grace(), limits).await;
        Ok::<_, Fatal>(())
    };
    // Either side ends the other, whether by the signal or by an error.
    let serving = async { serving.await.inspect_err(|_| stop.cancel()) };
    let (served, ()) = tokio::join!(serving, posting);
    if let Some(simulator) = simulator {
        simulator.shutdown().await;
    }
    served
}

/// Serves until it is stopped, and then finishes requests in flight within the grace period.
async fn serve(
    listener: TcpListener,
    router: Router,
    stop: &CancellationToken,
    grace: Duration,
    limits: listener::ConnectionLimits,
) {
    let grace = async {
        stop.cancelled().await;
        sleep(grace).await;
    };
    tokio::select! {
        () = listener::serve(listener, router, stop, limits) => {}
        () = grace => tracing::warn!("the grace period ended with requests still in flight"),
    }
}

/// Migrates, and waits for a database that is still starting. Returns false if the signal comes first.
async fn migrate(url: &str, pool: &PgPool, stop: &CancellationToken) -> Result<bool, Fatal> {
    loop {
        // A connection of its own says why it fails; a pool would say only that it timed out.
        let (error, retryable): (Fatal, bool) = match database::probe(url).await {
            Err(error) => {
                let retryable = error.retryable();
                (format!("DATABASE_URL: {error}").into(), retryable)
            }
            Ok(()) => match database::migrate(pool).await {
                Ok(()) => return Ok(true),
                Err(error) => {
                    let retryable = error.retryable();
                    (error.into(), retryable)
                }
            },
        };
        if !retryable {
            return Err(error);
        }
        tracing::warn!(%error, "waiting for the database");
        tokio::select! {
            () = stop.cancelled() => return Ok(false),
            () = sleep(Duration::from_secs(1)) => {}
        }
    }
}

fn bind(setting: &str, addr: SocketAddr) -> Result<TcpListener, Fatal> {
    Ok(listener::listen(addr)
        .map_err(|error| format!("{setting}: cannot listen on {addr}: {error}"))?)
}
