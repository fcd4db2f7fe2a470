//! The limit of open files: each connection is an open file.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Files for everything but requests to the posting service and client connections: listeners, the database, files
/// being sent.
const OTHER_FILES: u64 = 512;

/// Raises the soft limit to the hard limit. The soft limit is low only for the sake of old programs that use `select`.
pub fn raise_limit() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
    if let Err(error) = raised {
        tracing::warn!(%error, "the limit of open files could not be raised");
    }
}

/// How many files are left for client connections, besides these requests to the posting service.
pub fn left_for_clients(posting_requests: u64) -> usize {
    let limit = getrlimit(Resource::RLIMIT_NOFILE).map_or(0, |(limit, _)| limit);
    limit.saturating_sub(posting_requests + OTHER_FILES).try_into().unwrap_or(usize::MAX)
}

/// Logs a warning if the hard limit is too low for these requests to the posting service.
pub fn warn_if_too_few(posting_requests: u64) {
    if left_for_clients(posting_requests) == 0 {
        let needed = posting_requests + OTHER_FILES;
        tracing::warn!(
            "POSTING_CONCURRENCY and VERIFICATION_CONCURRENCY need about {needed} open files; raise the \
             hard limit (ulimit -Hn)"
        );
    }
}
