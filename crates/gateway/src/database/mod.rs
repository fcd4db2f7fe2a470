//! PostgreSQL as the engine uses it: pools, time limits, the batcher, migrations. No statement about
//! transactions is here.

pub(crate) mod batcher;
pub(crate) mod bounded_pool;
mod migrate;
mod pools;

pub use migrate::{MigrateError, migrate};
pub(crate) use pools::interval;
pub use pools::{
    WEB_ACQUIRE_TIMEOUT, WORKER_ACQUIRE_TIMEOUT, for_clients, for_dispatch, for_execution,
    for_heartbeat, pool,
};
