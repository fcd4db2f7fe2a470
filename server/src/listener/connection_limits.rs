//! How many connections a listener serves and accepts.

/// The limits of open connections. An idle connection takes some ten kilobytes.
#[derive(Debug, Clone, Copy)]
pub struct ConnectionLimits {
    /// Connections with a permit. A connection takes a permit at its first request that finds one free, and keeps it.
    pub served: usize,
    /// Connections without a permit. Their requests are answered 503 as long as no permit is free, except for probes,
    /// which need none. Beyond these, nothing is accepted: connections wait in the system's own queue until another
    /// connection ends.
    pub waiting: usize,
}

/// The largest number of connections with a permit.
const MAX_SERVED: usize = 4096;

impl ConnectionLimits {
    /// The limits for this many open files. Logs a warning if the files are too few for the largest limits.
    pub fn for_open_files(files: usize) -> Self {
        let served = (files / 3).clamp(16, MAX_SERVED);
        let limits = Self { served, waiting: 2 * served };
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
        for (files, served, waiting) in
            [(0, 16, 32), (432, 144, 288), (12_288, 4096, 8192), (1 << 20, 4096, 8192)]
        {
            let limits = ConnectionLimits::for_open_files(files);
            assert_eq!((limits.served, limits.waiting), (served, waiting), "{files}");
        }
    }
}
