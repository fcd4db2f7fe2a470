//! The limit of open files, and how it is shared out: each connection is an open file.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Files for everything but the connections: the listeners, the log, the simulator's ledger, files being sent, the
/// programs of Onceward's own PostgreSQL.
const OTHER_FILES: u64 = 512;
/// The share of each part, and of everything else, if the limit is too low for all.
const PARTS: u64 = 4;

/// Raises the soft limit to the hard limit. The soft limit is low only for the sake of old programs that use `select`.
pub fn raise_limit() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
    if let Err(error) = raised {
        tracing::warn!(%error, "the limit of open files could not be raised");
    }
}

/// How many files each part of a process may have open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileBudget {
    /// Connections to PostgreSQL.
    pub database: u64,
    /// Requests to the posting service.
    pub posting: u64,
    /// Connections of clients.
    pub clients: usize,
}

impl FileBudget {
    /// Shares the limit out: the database and the posting get what they want, and clients the rest. If the limit is too
    /// low for that, each gets a quarter at most.
    pub fn within_limit(database: u64, posting: u64) -> Self {
        let limit = getrlimit(Resource::RLIMIT_NOFILE).map_or(u64::MAX, |(limit, _)| limit);
        let budget = Self::of(limit, database, posting);
        if (budget.database, budget.posting) != (database, posting) {
            tracing::warn!(
                limit,
                ?budget,
                "the limit of open files is low, so there are fewer connections to the database and to the posting \
                 service than configured; raise the hard limit (ulimit -Hn)"
            );
        }
        budget
    }

    fn of(limit: u64, database: u64, posting: u64) -> Self {
        let wanted = database + posting + OTHER_FILES;
        let part = limit / PARTS;
        let (database, posting, clients) = match limit > wanted + part {
            true => (database, posting, limit - wanted),
            false => (database.min(part), posting.min(part), part),
        };
        Self { database, posting, clients: clients.try_into().unwrap_or(usize::MAX) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_fit_into_the_limit_however_low_it_is() {
        for limit in [16, 64, 256, 630, 840, 1024, 4096, 1 << 20] {
            let FileBudget { database, posting, clients } = FileBudget::of(limit, 38, 80);
            assert!(database > 0 && posting > 0 && clients > 0, "{limit}");
            let others = limit - database - posting - clients as u64;
            assert!(others >= (limit / PARTS).min(OTHER_FILES), "{limit}");
        }
        let plenty = FileBudget { database: 38, posting: 80, clients: 65_536 - 630 };
        assert_eq!(FileBudget::of(65_536, 38, 80), plenty);
    }
}
