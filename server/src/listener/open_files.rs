//! How many files the system lets this process have open: each connection is one.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// For everything but requests to the posting service and connections of clients: listeners, the database, files that
/// are sent.
const OTHERS: u64 = 512;

/// Raises the soft limit, which is low for the sake of programs from the days of `select`, to the hard
/// one.
pub fn allow_most() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
    if let Err(error) = raised {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
}

/// How many are left for clients beside so many requests to the posting service.
pub fn left_beside(requests: u64) -> usize {
    let limit = getrlimit(Resource::RLIMIT_NOFILE).map_or(0, |(limit, _)| limit);
    limit.saturating_sub(requests + OTHERS).try_into().unwrap_or(usize::MAX)
}

/// Warns where the hard limit is too low for so many requests to the posting service.
pub fn warn_below(requests: u64) {
    if left_beside(requests) == 0 {
        let needed = requests + OTHERS;
        tracing::warn!(
            "POSTING_CONCURRENCY and VERIFICATION_CONCURRENCY need some {needed} open files; raise the hard \
             limit (ulimit -Hn)"
        );
    }
}
