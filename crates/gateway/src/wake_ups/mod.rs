//! How a dispatcher learns at once that there may be a job for it: from its own process, and from others
//! by LISTEN and NOTIFY. What is missed here is found by the look that `posting::heartbeat` takes each second.

mod announcer;
mod listener;
mod process;

pub use listener::listen;
pub use process::WakeUps;

/// The channel on which processes announce new jobs: the announcing process, and the queue.
const JOBS: &str = "onceward_jobs";
/// The channel on which a pause, and the end of one, is announced.
const PAUSE: &str = "onceward_pause";
