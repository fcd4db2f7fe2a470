//! `onceward serve`, `web` and `worker`: one run in three roles. It starts the parts that a role needs, waits
//! for the signal, and stops the parts in order.

use std::{panic::AssertUnwindSafe, process::ExitCode, sync::Arc};

use ::simulator::Simulator;
use access::{Access, Tokens};
use app::Setting;
use futures::FutureExt;
use gateway::{
    AdmissionLimits, Gateway, HttpPostingClient, WakeUps, Worker, WorkerSettings,
    database::{self, WEB_ACQUIRE_TIMEOUT, WORKER_ACQUIRE_TIMEOUT},
};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio_util::sync::CancellationToken;

use super::{
    fatal::Fatal,
    first_admin, leptos_options,
    listening::{Listening, bind},
    loopback::{refuse_beyond_loopback, warn_in_the_clear, warn_without_authentication},
    people_tidier,
    prepare::prepare,
    resources::Resources,
    role::Role,
    settings::Settings,
    simulator,
    stop_signal::{ENDED_AT_ONCE, StopSignals},
};
use crate::{
    http::{self, MetricsAccess},
    listener::{ConnectionLimits, Front, Tls},
    own_postgres::{self, OwnPostgres, OwnPostgresStatus},
    telemetry::{log::announce, metrics},
};

/// A run, once its settings are checked and its listener is bound.
struct Run<'a> {
    role: Role,
    settings: &'a Settings,
    simulated: bool,
    /// Whether callers must authenticate.
    auth_required: bool,
    /// Towards POSTING_URL, if the role posts and it is set.
    posting: Option<HttpPostingClient>,
    resources: Resources,
    metrics: PrometheusHandle,
    metrics_access: MetricsAccess,
    /// The listener, if the role has one.
    listening: Option<Listening>,
    stop: CancellationToken,
}

/// Runs a role until a signal stops it. A second signal ends it without its grace period.
///
/// # Errors
/// If it cannot start, or a part of it ends.
pub async fn run(role: Role, settings: Settings) -> Result<ExitCode, Fatal> {
    let simulated = settings.posting_url.is_none() && role == Role::Both;
    let listens = match role {
        Role::Both | Role::Web => Some(("LEPTOS_SITE_ADDR", settings.site_addr)),
        Role::Worker { metrics_addr } => metrics_addr.map(|addr| ("METRICS_ADDR", addr)),
    };
    let auth_required = match listens {
        Some((setting, addr)) => settings.access.is_required(setting, addr)?,
        None => false,
    };
    if simulated {
        if let Some((setting, addr)) = listens.filter(|(_, addr)| !addr.ip().is_loopback()) {
            return Err(format!(
                "POSTING_URL: is required while {setting} is {addr}, which is not a loopback address: nobody \
                 should post money into the simulator by mistake"
            )
            .into());
        }
        refuse_beyond_loopback("SIMULATOR_ADDR", settings.simulator_addr)?;
    }
    if matches!(role, Role::Worker { .. }) && settings.posting_url.is_none() {
        return Err("a worker needs POSTING_URL: the simulator runs only inside `serve`".into());
    }
    let posting = match (role, &settings.posting_url) {
        (Role::Web, _) | (_, None) => None,
        (_, Some(url)) => Some(settings.posting.client(url)?),
    };
    let metrics_access =
        settings.metrics.read(listens.is_none_or(|(_, addr)| addr.ip().is_loopback()))?;
    let certificate = listens.and(settings.web.certificate());
    // With a certificate, SIGHUP reads it again.
    let StopSignals { stop, at_once } = StopSignals::listen(certificate.is_none())?;
    let resources = Resources::share_out(role, simulated, &settings.posting);
    let metrics = metrics::start()?;
    // Bound before anything else starts: a port in use is the commonest failure.
    let listening = match listens {
        Some((setting, addr)) => {
            let listener = bind(setting, addr)?;
            let limits =
                ConnectionLimits::for_open_files(resources.client_files, settings.web.keep_alive());
            warn_in_the_clear(addr, &settings.web);
            if !auth_required {
                warn_without_authentication(&settings);
            }
            let front = Front {
                path_prefix: settings.web.path_prefix.clone(),
                proxies: settings.web.trusted_proxies.clone(),
                tls: certificate.map(Tls::read).transpose()?,
            };
            Some(Listening::start(listener, front, limits, &settings, &stop)?)
        }
        None => None,
    };
    let run = Run {
        role,
        settings: &settings,
        simulated,
        auth_required,
        posting,
        resources,
        metrics,
        metrics_access,
        listening,
        stop: stop.clone(),
    };
    if let Some(url) = &settings.database_url {
        return run.until_at_once(url, None, OwnPostgresStatus::none(), &at_once).await;
    }
    run.report("its own PostgreSQL starts");
    let Some(own_postgres) = OwnPostgres::start(&settings.data, &stop).await? else {
        return Ok(ExitCode::SUCCESS);
    };
    let (url, status) = (own_postgres.url(), own_postgres.status());
    let serving_url = own_postgres.serving_url();
    let ended = CancellationToken::new();
    let program = async {
        // Its own PostgreSQL must not be left running, whatever happens.
        let _ended = ended.clone().drop_guard();
        run.until_at_once(&url, Some(&serving_url), status, &at_once).await
    };
    let (result, supervised) = tokio::join!(program, own_postgres.supervise(&stop, &ended));
    supervised.map_err(|error| format!("Onceward's own PostgreSQL: {error}"))?;
    result
}

impl Run<'_> {
    /// Tells clients what the start waits for.
    fn report(&self, reason: &str) {
        self.listening.iter().for_each(|listening| listening.wait_for(reason));
    }

    /// Runs until it ends, or is to end at once. A panic is an error.
    async fn until_at_once(
        self,
        url: &str,
        serving_url: Option<&str>,
        own_postgres: OwnPostgresStatus,
        at_once: &CancellationToken,
    ) -> Result<ExitCode, Fatal> {
        tokio::select! {
            result = AssertUnwindSafe(self.with_database(url, serving_url, own_postgres)).catch_unwind() => match result {
                Ok(result) => result.map(|()| ExitCode::SUCCESS),
                Err(_) => Err("a part of the program panicked; the log says where".into()),
            },
            () = at_once.cancelled() => Ok(ExitCode::from(ENDED_AT_ONCE)),
        }
    }

    /// Migrates the database at `url`, and serves. With a `serving_url`, it serves as that role, which gets its rights.
    async fn with_database(
        self,
        url: &str,
        serving_url: Option<&str>,
        own_postgres: OwnPostgresStatus,
    ) -> Result<(), Fatal> {
        let schema = self.settings.schema.as_ref();
        if !prepare(url, schema, &self.stop, |reason| self.report(&reason)).await? {
            return Ok(());
        }
        if serving_url.is_some() {
            let options = database::options(url)?;
            let role = own_postgres::SERVING_ROLE.parse()?;
            // Only Onceward is in this database, and a cleanup empties tables.
            database::grant_serving(&options, schema, &role, true).await?;
        }
        let url = serving_url.unwrap_or(url);
        let Self {
            role,
            settings,
            simulated,
            auth_required,
            posting,
            resources,
            metrics,
            metrics_access,
            listening,
            stop,
        } = self;
        let pool = |connections, acquire_timeout| {
            database::pool(url, schema, connections, acquire_timeout)
                .map_err(|error| format!("DATABASE_URL: {error}"))
        };
        let mut simulator = match simulated {
            true => Some(simulator::start(&settings.data, settings.simulator_addr, 1).await?),
            false => None,
        };
        let policy = settings.posting.policy();
        let posting = match (posting, &simulator) {
            (Some(posting), _) => Some(posting),
            // Of this process, so no proxy is on the way.
            (None, Some(simulator)) => {
                let url = format!("http://{}", simulator.addr());
                Some(settings.posting.client_of_own_simulator(&url)?)
            }
            (None, None) => None,
        };
        let web_pool = database::for_clients(&pool(resources.web, WEB_ACQUIRE_TIMEOUT)?, schema);
        let wake_ups = WakeUps::announced(&web_pool);
        let access = Access::new(web_pool.clone()).with_sessions(settings.access.people.sessions());
        let gateway = Gateway::new(web_pool, wake_ups.clone());

        let worker = match (role, posting) {
            (Role::Both | Role::Worker { .. }, Some(posting)) => Some(Worker {
                pool: database::for_execution(
                    &pool(resources.worker, WORKER_ACQUIRE_TIMEOUT)?,
                    schema,
                ),
                heartbeat_pool: database::for_heartbeat(
                    &pool(resources.housekeeping, WEB_ACQUIRE_TIMEOUT)?,
                    schema,
                ),
                apalis_pool: database::for_dispatch(
                    &pool(resources.apalis, WORKER_ACQUIRE_TIMEOUT)?,
                    schema,
                ),
                posting: Arc::new(posting),
                settings: WorkerSettings {
                    policy,
                    limits: AdmissionLimits {
                        posts: resources.posts,
                        verifications: resources.verifications,
                        requests_per_second: settings.posting.posting_rate_limit,
                    },
                    grace: settings.shutdown_grace(),
                },
                wake_ups,
            }),
            _ => None,
        };
        match (&listening, role) {
            (None, _) => announce("An Onceward worker is posting.".to_owned()),
            (Some(listening), Role::Worker { .. }) => {
                listening.serve(http::worker_router(
                    gateway,
                    metrics,
                    metrics_access,
                    settings.web.hosts.clone(),
                ));
                let (scheme, addr) = (listening.scheme, listening.addr);
                announce(format!(
                    "An Onceward worker is posting; its metrics are at {scheme}://{addr}"
                ));
            }
            (Some(listening), Role::Both | Role::Web) => {
                let mut options = leptos_options::options(listening.addr)?;
                let page_files = http::PageFiles::read(&mut options).map_err(|error| {
                    format!("{}: cannot read the page's files: {error}", options.site_root)
                })?;
                let tokens = Tokens::new(&access, settings.tokens.tokens())
                    .map_err(|(setting, error)| format!("{setting}: {error}"))?;
                let (scheme, addr) = (listening.scheme, listening.addr);
                let prefix = &settings.web.path_prefix;
                let url = format!("{scheme}://{addr}{prefix}");
                let notice = match auth_required {
                    true => first_admin::ensure(&access, &settings.access, &url).await?,
                    false => None,
                };
                people_tidier::spawn(access.clone(), stop.clone());
                let web = http::WebState {
                    gateway,
                    authentication: http::Authentication {
                        required: auth_required,
                        path_prefix: settings.web.path_prefix.clone(),
                        access: access.clone(),
                        tokens: tokens.clone(),
                    },
                    tokens,
                    access: access.clone(),
                    hosts: settings.web.hosts.clone(),
                    path_prefix: settings.web.path_prefix.clone(),
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
                    limits: settings.limits.rates(),
                    streams: settings.limits.streams(),
                    metrics_access,
                    metrics,
                    own_postgres,
                    simulator: simulator.as_ref().map(Simulator::handle),
                    stop: stop.clone(),
                };
                listening.serve(http::router(web));
                // In one piece: lines that are announced one by one may change places.
                let lines = std::iter::once(format!("Onceward is at {url}")).chain(notice);
                announce(lines.collect::<Vec<_>>().join("\n"));
            }
        }
        // Whichever part ends, the others end too.
        let posting = async {
            match worker {
                Some(worker) => worker.run(stop.clone()).await,
                None => stop.cancelled().await,
            }
            stop.cancel();
        };
        let serving = async {
            match listening {
                Some(listening) => listening.serving.await,
                None => Ok(()),
            }
        };
        let simulating = async {
            let Some(simulator) = &mut simulator else { return };
            if stop.run_until_cancelled(simulator.wait()).await.is_some() {
                tracing::error!("the simulator has ended, so nothing can be posted");
                stop.cancel();
            }
        };
        // Until no request is left that could be refused.
        let served = CancellationToken::new();
        let serving = async {
            let _served = served.clone().drop_guard();
            serving.await
        };
        let auditing = access.write_noted(served.cancelled());
        let ((), served, (), ()) = tokio::join!(posting, serving, simulating, auditing);
        if let Some(simulator) = simulator {
            simulator.shutdown().await;
        }
        Ok(served?)
    }
}
