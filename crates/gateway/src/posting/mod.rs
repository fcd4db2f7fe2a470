//! Getting transactions posted: the worker, claims, one execution and the record of its result,
//! admission control, and the HTTP client. What happens after a crash is in `recovery`.

mod admission;
mod boot_instant;
mod claim;
mod client;
mod dispatch;
mod execution;
mod heartbeat;
mod job_queue;
mod rate_limiter;
mod record;
mod service;
mod verification_pace;
mod watchdog;
mod worker;

pub use admission::{Admission, AdmissionLimits};
pub use boot_instant::BootInstant;
pub use client::{
    AuthorizationSettings, ConnectorError, CredentialSettings, FileError, ForwardProxy,
    HttpPostingClient, OAuthSettings, RequiredFields, SettingFile, TlsFiles,
};
pub use execution::{ExecutionResult, Executor};
pub use service::{CredentialError, LookupAnswer, PostAnswer, PostingRequest, PostingService};
pub use worker::{Worker, WorkerSettings};
