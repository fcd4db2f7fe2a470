//! How many connections a listener has.

/// How many connections there are at once. One that rests takes some ten kilobytes.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// A connection takes one of these places at its first request that finds one free, and keeps it.
    pub served: usize,
    /// Beyond these, each request is answered 503 as long as there is no place, but for those that ask how the
    /// program is doing: they need none. Beyond them, too, nothing is accepted: connections wait in the system's
    /// own queue until another one ends.
    pub waiting: usize,
}

/// The most that are served.
const MOST_SERVED: usize = 4096;

impl Bounds {
    /// The program's, where so many files are left for connections. Warns where they are fewer than it would take.
    pub fn within(files: usize) -> Self {
        let served = (files / 3).clamp(16, MOST_SERVED);
        let bounds = Self { served, waiting: 2 * served };
        if served < MOST_SERVED {
            tracing::warn!(
                ?bounds,
                "few files may be open, so fewer connections are served; raise the hard limit (ulimit -Hn)"
            );
        }
        bounds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bounds_stay_within_the_files_and_below_the_most() {
        for (files, served, waiting) in
            [(0, 16, 32), (432, 144, 288), (12_288, 4096, 8192), (1 << 20, 4096, 8192)]
        {
            let bounds = Bounds::within(files);
            assert_eq!((bounds.served, bounds.waiting), (served, waiting), "{files}");
        }
    }
}
