//! How many files the system lets this process have open: each connection is one.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// For everything but the POSTs under way: listeners, the database, browsers and other clients.
const OTHERS: u64 = 1024;

/// Raises the soft limit, which is low for the sake of programs from the days of `select`, to the hard
/// one.
pub fn allow_most() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
    if let Err(error) = raised {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
}

/// Warns where the hard limit is too low for so many POSTs under way.
pub fn warn_below(posts: u64) {
    let Ok((limit, _)) = getrlimit(Resource::RLIMIT_NOFILE) else { return };
    if limit < posts + OTHERS {
        tracing::warn!(
            limit,
            "POSTING_CONCURRENCY={posts} needs some {} open files; raise the hard limit (ulimit -Hn)",
            posts + OTHERS
        );
    }
}
