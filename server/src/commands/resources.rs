//! How many connections each part of a process has, within the limit of open files.

use super::{role::Role, settings::posting::PostingSettings};
use crate::listener::open_files::FileBudget;

/// Connections for submissions and queries.
const WEB_DATABASE_CONNECTIONS: u32 = 16;
/// Connections for executions.
const WORKER_CONNECTIONS: u32 = 16;
/// Connections for heartbeats and housekeeping.
const HOUSEKEEPING_CONNECTIONS: u32 = 2;
/// Connections for fetches.
const APALIS_CONNECTIONS: u32 = 4;
/// The connection over which a process announces jobs to others.
const ANNOUNCING_CONNECTIONS: u32 = 1;
/// The connection over which a worker hears what others announce.
const LISTENING_CONNECTIONS: u32 = 1;

/// What each part of a process may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resources {
    /// Connections for submissions and queries.
    pub web: u32,
    /// Connections for executions.
    pub worker: u32,
    /// Connections for heartbeats and housekeeping.
    pub housekeeping: u32,
    /// Connections for apalis.
    pub apalis: u32,
    /// POSTs in flight.
    pub posts: usize,
    /// Verifications in flight.
    pub verifications: usize,
    /// Files for the connections of clients.
    pub client_files: usize,
}

impl Resources {
    /// Shares out what the limit of open files allows. The least of everything is one.
    pub fn share_out(role: Role, simulated: bool, posting: &PostingSettings) -> Self {
        let posts = u64::from(posting.posting_concurrency);
        let verifications = u64::from(posting.verification_concurrency);
        let has_worker = role != Role::Web;
        let worker_connections = WORKER_CONNECTIONS
            + HOUSEKEEPING_CONNECTIONS
            + APALIS_CONNECTIONS
            + LISTENING_CONNECTIONS;
        let web_connections = WEB_DATABASE_CONNECTIONS + ANNOUNCING_CONNECTIONS;
        let connections =
            u64::from(web_connections + if has_worker { worker_connections } else { 0 });
        // The simulator inside is the other end of each request.
        let files_per_request = if simulated { 2 } else { 1 };
        let requests = if has_worker { (posts + verifications) * files_per_request } else { 0 };
        let budget = FileBudget::within_limit(connections, requests);
        let of_database = |wanted: u32| {
            let share = u64::from(wanted) * budget.database / connections;
            u32::try_from(share).unwrap_or(wanted).max(1)
        };
        let of_posting = |wanted: u64| {
            let share = (wanted * budget.posting).checked_div(requests).unwrap_or(wanted);
            usize::try_from(share).unwrap_or(usize::MAX).max(1)
        };
        Self {
            web: of_database(WEB_DATABASE_CONNECTIONS),
            worker: of_database(WORKER_CONNECTIONS),
            housekeeping: of_database(HOUSEKEEPING_CONNECTIONS),
            apalis: of_database(APALIS_CONNECTIONS),
            posts: of_posting(posts),
            verifications: of_posting(verifications),
            client_files: budget.clients,
        }
    }
}
