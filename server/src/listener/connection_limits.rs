//! How many connections a listener serves and accepts, and for how long they may be idle.

use std::time::Duration;

/// The limits of open connections. An idle connection takes some ten kilobytes.
#[derive(Debug, Clone, Copy)]
pub struct ConnectionLimits {
    /// Connections with a permit. A connection takes a permit at its first request that finds one free, and keeps it.
    pub served: usize,
    /// Connections without a permit. Their requests are answered 503 as long as no permit is free, except for probes,
    /// which need none.
    pub waiting: usize,
    /// Connections beyond these, each of which lasts for one request, which is answered 503 unless it is a probe, and
    /// for two seconds at most. Beyond them, connections wait in the system's own queue for those seconds.
    pub brief: usize,
    /// How long a connection may be idle, including the time that the headers of its next request take.
    pub keep_alive: Duration,
}

/// The largest number of connections with a permit.
const MAX_SERVED: usize = 4096;
/// The largest number of brief connections.
const MAX_BRIEF: usize = 128;

impl ConnectionLimits {
    /// The limits for this many open files, and for this long. Logs a warning if the files are too few for the largest limits.
    pub fn for_open_files(files: usize, keep_alive: Duration) -> Self {
        let brief = (files / 4).clamp(1, MAX_BRIEF);
        let served = (files.saturating_sub(brief) / 3).clamp(1, MAX_SERVED);
        let limits = Self { served, waiting: 2 * served, brief, keep_alive };
        if served < MAX_SERVED {
            tracing::warn!(
                ?limits,
                "the limit of open files is low, so fewer connections are served; raise the hard limit (ulimit -Hn)"
            );
        }
        limits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limits_stay_within_the_open_files_and_below_the_maximum() {
        for (files, served, waiting, brief) in [
            (4, 1, 2, 1),
            (16, 4, 8, 4),
            (432, 108, 216, 108),
            (12_416, 4096, 8192, 128),
            (1 << 20, 4096, 8192, 128),
        ] {
            let limits = ConnectionLimits::for_open_files(files, Duration::from_secs(75));
            let found = (limits.served, limits.waiting, limits.brief);
            assert_eq!(found, (served, waiting, brief), "{files}");
            assert!(served + waiting + brief <= files);
        }
    }
}
