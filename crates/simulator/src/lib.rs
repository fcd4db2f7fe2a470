//! A posting service that misbehaves on demand and keeps the ledger by which its clients are
//! audited.
//!
//! It speaks the posting service's interface: `POST /transactions` (201 with the stored entry),
//! `GET /transactions/{id}`, `GET /transactions`, `POST /cleanup`, `GET /health`. An id is any
//! string and is *not* unique: a second POST adds a second row, which the ledger shows.
//!
//! Its admin interface is `GET /admin/faults`, `PUT /admin/faults` and `GET /admin/audit`. A PUT
//! takes the whole object or a part of it; omitted fields keep their value. An unknown field or a
//! value out of range is answered with 422, which names the field, and changes nothing.
//!
//! `POST /oauth/token` issues access tokens by the client credentials grant, to any client. They are needed while
//! [`Faults::token_lifetime_ms`] is not 0.
//!
//! [`Faults`] sets what goes wrong. The seed, the id and the number of earlier requests for the id
//! decide which requests are hit, so a run can be repeated. Two things hold however a request ends:
//! work that has begun continues after its client disconnects, and a row is with the operating
//! system before its answer is sent, so the ledger survives a `kill -9`.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod audit;
mod counters;
mod entry;
mod fault_draw;
mod faults;
mod http;
mod ledger;
mod service;
mod tokens;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub use audit::Audit;
pub use counters::RequestCounts;
pub use faults::{Faults, FaultsError};
use ledger::Ledger;
pub use ledger::LedgerOpenError;
use service::Service;

/// How long a shutdown waits for clients that are slow to send a request or to read an answer.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(3);

/// The settings of a simulator.
#[derive(Debug, Clone)]
pub struct SimulatorConfig {
    /// Where to listen; port 0 takes a free one.
    pub addr: SocketAddr,
    /// The ledger's file. It is created, with its folder, if it does not exist, and read back if
    /// it does.
    pub ledger_path: PathBuf,
    /// The faults at the start.
    pub faults: Faults,
    /// Decides which requests are hit.
    pub seed: u64,
}

/// A running simulator. Dropping it acts as a crash: connections break and late writes are lost.
#[derive(Debug)]
pub struct Simulator {
    addr: SocketAddr,
    service: Arc<Service>,
    serving: JoinHandle<()>,
}

impl Simulator {
    /// Binds, reads the ledger back, and serves.
    ///
    /// # Errors
    /// The faults are out of range, the address cannot be bound, or the ledger cannot be
    /// read or is in use.
    pub async fn start(config: SimulatorConfig) -> Result<Self, StartError> {
        config.faults.validate()?;
        let bind_error = |source| StartError::Bind { addr: config.addr, source };
        let listener = TcpListener::bind(config.addr).await.map_err(bind_error)?;
        let addr = listener.local_addr().map_err(bind_error)?;
        let path = config.ledger_path.clone();
        let ledger = tokio::task::spawn_blocking(move || Ledger::open(&path))
            .await
            .map_err(io::Error::other)
            .unwrap_or_else(|panicked| Err(panicked.into()))
            .map_err(|source| LedgerOpenError::new(config.ledger_path, source))?;
        let service = Arc::new(Service::new(config.seed, ledger, config.faults));
        let serving = tokio::spawn(http::serve(listener, Arc::clone(&service)));
        tracing::info!(%addr, seed = config.seed, "the posting service is simulated");
        Ok(Self { addr, service, serving })
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// A handle to watch and control it from within the program.
    #[must_use]
    pub fn handle(&self) -> SimulatorHandle {
        SimulatorHandle { service: Arc::clone(&self.service) }
    }

    /// Waits until it no longer serves; it never stops on its own. Cancel-safe.
    pub async fn wait(&mut self) {
        if !self.serving.is_finished()
            && let Err(error) = (&mut self.serving).await
        {
            tracing::error!(%error, "the simulator's server ended");
        }
    }

    /// Stops gracefully, within seconds: no new connections, no more delays. Requests in flight are
    /// finished, and late writes are written at once, since the service has received them.
    pub async fn shutdown(mut self) {
        self.service.drain.cancel();
        self.service.work.close();
        let work = self.service.work.clone();
        let drained = async {
            self.wait().await;
            work.wait().await;
        };
        if tokio::time::timeout(SHUTDOWN_GRACE, drained).await.is_err() {
            tracing::warn!("the simulator stops although clients still have connections open");
            self.service.stop.cancel();
            self.service.work.wait().await;
        }
        if let Err(error) = self.service.ledger.close().await {
            tracing::error!(%error, "the ledger was not closed");
        }
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        // `stop` first: `drain` alone makes waiting work continue at once instead of ending.
        self.service.stop.cancel();
        self.service.drain.cancel();
        // Queued: the ledger's thread carries it out after this.
        drop(self.service.ledger.close());
    }
}

/// Watches and controls a simulator from within the program. It does not keep it running.
#[derive(Debug, Clone)]
pub struct SimulatorHandle {
    service: Arc<Service>,
}

impl SimulatorHandle {
    /// The faults in effect.
    #[must_use]
    pub fn faults(&self) -> Faults {
        self.service.faults()
    }

    /// Changes the faults, from the next request on.
    ///
    /// # Errors
    /// A field is out of its range; then nothing is changed.
    pub fn set_faults(&self, faults: Faults) -> Result<(), FaultsError> {
        self.service.set_faults(faults)
    }

    /// What the ledger and the counters show.
    #[must_use]
    pub fn audit(&self) -> Audit {
        self.service.audit()
    }

    /// Empties the ledger, its file and the counters, cancels late writes, and returns how many
    /// rows there were. The faults stay as they are.
    ///
    /// # Errors
    /// The file cannot be truncated, or the simulator has stopped.
    pub async fn cleanup(&self) -> Result<usize, CleanupError> {
        self.service.cleanup().await.map_err(|error| CleanupError(error.to_string()))
    }
}

/// Why a simulator did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The faults are out of range.
    #[error("the simulator's faults: {0}")]
    Faults(#[from] FaultsError),
    /// The ledger's file cannot be opened.
    #[error(transparent)]
    Ledger(#[from] LedgerOpenError),
    /// The simulator cannot listen on the address.
    #[error("the simulator cannot listen on {addr}: {source}")]
    Bind {
        /// The address.
        addr: SocketAddr,
        /// Why not.
        source: io::Error,
    },
}

/// Why the ledger was not emptied.
#[derive(Debug, thiserror::Error)]
#[error("the ledger was not emptied: {0}")]
pub struct CleanupError(String);
