//! A posting service that misbehaves on demand, and keeps the ledger that judges its clients.
//!
//! It speaks the posting service's interface: `POST /transactions` (201 with the stored entry),
//! `GET /transactions/{id}`, `GET /transactions`, `POST /cleanup`, `GET /health`. An id is any
//! string and is *not* unique: a second POST makes a second row, and the ledger shows it.
//!
//! Its own side is `GET /admin/faults`, `PUT /admin/faults` and `GET /admin/audit`. A PUT takes the
//! whole object or a part of it; the fields it leaves out keep their value. An unknown field or a
//! value out of range is answered 422, names the field, and changes nothing.
//!
//! What goes wrong is said by [`Faults`]; whom it hits is decided by the seed, the id and how many
//! requests for this id came before, so a run can be repeated. Two things hold however a request
//! ends: work that has begun goes on when its client has gone, and a row is with the operating
//! system before its answer goes out, so the ledger survives a `kill -9`.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod audit;
mod counters;
mod entry;
mod fault_draw;
mod faults;
mod http;
mod ledger;
mod service;

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

/// How long a shutdown waits for clients that are slow to send or to take what is theirs.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(3);

/// What a simulator needs to start.
#[derive(Debug, Clone)]
pub struct SimulatorConfig {
    /// Where to listen; port 0 takes a free one.
    pub addr: SocketAddr,
    /// The ledger's file. It is made where it does not exist, with its folder, and read back where
    /// it does.
    pub ledger_path: PathBuf,
    /// What goes wrong at first.
    pub faults: Faults,
    /// What decides who is hit.
    pub seed: u64,
}

/// A running simulator. Dropping it is a crash: connections break and late writes are lost.
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
    /// Faults out of range, an address that cannot be bound, a ledger that cannot be read or is in use.
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

    /// A way to watch and steer it from within the program.
    #[must_use]
    pub fn handle(&self) -> SimulatorHandle {
        SimulatorHandle { service: Arc::clone(&self.service) }
    }

    /// Waits until it no longer serves, which by itself it never stops to do. Safe to cancel.
    pub async fn wait(&mut self) {
        if !self.serving.is_finished()
            && let Err(error) = (&mut self.serving).await
        {
            tracing::error!(%error, "the simulator's server ended");
        }
    }

    /// Stops gracefully, within seconds: no new connections, no more waiting. What was under way is
    /// finished and late writes are written at once, since the service has got them.
    pub async fn shutdown(mut self) {
        self.service.drain.cancel();
        self.service.work.close();
        let work = self.service.work.clone();
        let drained = async {
            self.wait().await;
            work.wait().await;
        };
        if tokio::time::timeout(SHUTDOWN_GRACE, drained).await.is_err() {
            tracing::warn!("the simulator stops although clients still hold connections");
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
        // `stop` first: with `drain` alone, waiting work would go on at once instead of ending.
        self.service.stop.cancel();
        self.service.drain.cancel();
        // Queued, and carried out without us.
        drop(self.service.ledger.close());
    }
}

/// Watches and steers a simulator from within the program. It does not keep it running.
#[derive(Debug, Clone)]
pub struct SimulatorHandle {
    service: Arc<Service>,
}

impl SimulatorHandle {
    /// What goes wrong at present.
    #[must_use]
    pub fn faults(&self) -> Faults {
        self.service.faults()
    }

    /// Changes what goes wrong, from the next request on.
    ///
    /// # Errors
    /// A field that is out of its range; nothing is changed then.
    pub fn set_faults(&self, faults: Faults) -> Result<(), FaultsError> {
        self.service.set_faults(faults)
    }

    /// What the ledger and the counters say.
    #[must_use]
    pub fn audit(&self) -> Audit {
        self.service.audit()
    }

    /// Empties the ledger, its file and the counters, cancels late writes, and says how many rows
    /// there were. The faults stay as they are.
    ///
    /// # Errors
    /// The file cannot be emptied, or the simulator has stopped.
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
    /// The ledger's file cannot be taken into use.
    #[error(transparent)]
    Ledger(#[from] LedgerOpenError),
    /// The address cannot be listened on.
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
