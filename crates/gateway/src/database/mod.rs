//! PostgreSQL as the engine uses it: pools, timeouts, the batcher, what it must offer, migrations. No
//! statement about transactions is here.

mod batcher;
mod bounded_pool;
mod commit_fault;
mod connect;
mod migrate;
mod pools;
mod requirements;
mod schema;
mod serving_role;
mod stored_time;

pub(crate) use batcher::{Batcher, BatcherError, BatcherLimits, is_caused_by_one_row};
pub use bounded_pool::BoundedPool;
pub use commit_fault::CommitFault;
pub use connect::ConnectError;
pub use migrate::{PrepareError, migrate, prepare};
pub(crate) use pools::{COMMIT_TIMEOUT, WORKER_STATEMENT_TIMEOUT, interval};
pub use pools::{
    WEB_ACQUIRE_TIMEOUT, WEB_STATEMENT_TIMEOUT, WORKER_ACQUIRE_TIMEOUT, for_clients, for_dispatch,
    for_execution, for_heartbeat, options, pool,
};
pub use requirements::Unsuitable;
pub use schema::{BadSchema, Schema};
pub use serving_role::{BadRole, ServingRole, UnfitRole, grant_serving};
pub(crate) use stored_time::StoredTime;
