//! PostgreSQL as the engine uses it: pools, timeouts, the batcher, migrations. No statement about
//! transactions is here.

mod batcher;
mod bounded_pool;
mod commit_fault;
mod connect;
mod migrate;
mod pools;

pub(crate) use batcher::{Batcher, BatcherError, BatcherLimits, is_caused_by_one_row};
pub(crate) use bounded_pool::BoundedPool;
pub use commit_fault::CommitFault;
pub use connect::{ConnectError, probe, read_url};
pub use migrate::{MigrateError, migrate};
pub(crate) use pools::{COMMIT_TIMEOUT, WEB_STATEMENT_TIMEOUT, WORKER_STATEMENT_TIMEOUT, interval};
pub use pools::{
    WEB_ACQUIRE_TIMEOUT, WORKER_ACQUIRE_TIMEOUT, for_clients, for_dispatch, for_execution,
    for_heartbeat, pool,
};
