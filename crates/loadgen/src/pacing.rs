//! When each request is due.

use std::thread;
use std::time::Duration;
use std::{io, time};

use tokio::sync::mpsc;
use tokio::time::Instant;

/// Sends each due time at that time: the first at `start`, then `rate` of them per second.
///
/// A separate thread keeps the time, since tokio's timers have a resolution of a millisecond, and a
/// delay in the generator would count as the server's. The thread ends after the last request, or
/// when the receiver is dropped.
pub(crate) fn due_times(
    start: Instant,
    rate: f64,
    total: usize,
) -> io::Result<mpsc::UnboundedReceiver<Instant>> {
    let (due_now, received) = mpsc::unbounded_channel();
    let pace = move || {
        for number in 0..total {
            let due = start + offset(number, rate);
            thread::sleep(due.into_std().saturating_duration_since(time::Instant::now()));
            if due_now.send(due).is_err() {
                return;
            }
        }
    };
    thread::Builder::new().name("load-pacing".to_owned()).spawn(pace)?;
    Ok(received)
}

#[expect(clippy::cast_precision_loss, reason = "a run has ten million requests at most")]
fn offset(number: usize, rate: f64) -> Duration {
    Duration::from_secs_f64(number as f64 / rate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn due_times_follow_the_schedule_and_none_is_sent_early() {
        let start = Instant::now();
        let mut due_times = due_times(start, 500.0, 20).unwrap();
        for number in 0..20 {
            let due = due_times.recv().await.unwrap();
            assert_eq!(due, start + Duration::from_millis(2) * number);
            assert!(due <= Instant::now(), "request {number}");
        }
        assert!(due_times.recv().await.is_none());
    }
}
