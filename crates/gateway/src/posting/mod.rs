//! Getting transactions posted: the worker, claims, one execution and the record of its result,
//! admission control, and the HTTP client. What happens after a crash is in `recovery`.

pub mod admission;
pub mod boot_instant;
pub mod claim;
pub mod deadline_body;
pub mod execution;
pub mod heartbeat;
pub mod http_client;
pub mod pause_watch;
pub mod record;
pub mod service;
pub mod watchdog;
pub mod worker;
