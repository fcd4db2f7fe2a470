//! A writer that neither blocks nor fails: a thread of its own writes the lines. A line that finds the queue full, or
//! that cannot be written, is lost and counted.
//!
//! `tracing-appender` has one too, but it does not count what it could not write, and it prints.

use std::{
    collections::VecDeque,
    io::{self, Write},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use metrics::counter;

/// The bytes that may wait to be written.
const MAX_QUEUED_BYTES: usize = 1 << 20;

/// The lines that this process has lost.
static LOST: AtomicU64 = AtomicU64::new(0);

/// Counts a line as lost.
pub fn count_lost() {
    LOST.fetch_add(1, Relaxed);
    report_lost();
}

/// Sets the metric of the lost lines. Lines may be lost before metrics are recorded.
pub fn report_lost() {
    counter!("onceward_log_lines_lost_total").absolute(LOST.load(Relaxed));
}

/// Queues lines for a thread that writes them. Cheap to clone.
#[derive(Clone)]
pub struct LossyWriter(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    /// A line was queued, or everything was written.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    lines: VecDeque<Vec<u8>>,
    bytes: usize,
    is_writing: bool,
}

impl LossyWriter {
    /// Starts the thread, which writes to `target` for as long as the process lives.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub fn start(target: impl Write + Send + 'static) -> io::Result<Self> {
        let writer = Self(Arc::new(Shared { state: Mutex::default(), changed: Condvar::new() }));
        let shared = writer.0.clone();
        thread::Builder::new().name("log".to_owned()).spawn(move || shared.write_to(target))?;
        Ok(writer)
    }

    /// Waits until everything is written, for this long at most.
    pub fn flush_within(&self, longest: Duration) {
        let state = self.0.state();
        let is_busy = |state: &mut State| state.is_writing || !state.lines.is_empty();
        drop(self.0.changed.wait_timeout_while(state, longest, is_busy));
    }
}

impl Write for LossyWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut state = self.0.state();
        if state.bytes + line.len() > MAX_QUEUED_BYTES {
            drop(state);
            count_lost();
        } else {
            state.bytes += line.len();
            state.lines.push_back(line.to_vec());
            self.0.changed.notify_all();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_to(&self, mut target: impl Write) {
        let mut reported = 0;
        loop {
            let line = self.next();
            let is_written = target.write_all(&line).and_then(|()| target.flush()).is_ok();
            if !is_written {
                count_lost();
            }
            let is_idle = {
                let mut state = self.state();
                state.is_writing = false;
                state.bytes -= line.len();
                self.changed.notify_all();
                state.lines.is_empty()
            };
            let lost = LOST.load(Relaxed);
            if is_written && is_idle && lost > reported {
                tracing::warn!(lines = lost - reported, "lines of the log were lost");
                reported = lost;
            }
        }
    }

    /// Waits for the next line.
    fn next(&self) -> Vec<u8> {
        let mut state = self.state();
        loop {
            if let Some(line) = state.lines.pop_front() {
                state.is_writing = true;
                return line;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Read, sync::mpsc};

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    /// Passes every line on, and fails as long as it has no permission.
    struct Target {
        may_write: mpsc::Receiver<bool>,
        written: mpsc::Sender<String>,
    }

    impl Write for Target {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            match self.may_write.recv() {
                Ok(true) => {
                    let _ = self.written.send(String::from_utf8_lossy(line).into_owned());
                    Ok(line.len())
                }
                _ => Err(io::ErrorKind::StorageFull.into()),
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_that_cannot_be_written_are_lost_and_later_ones_are_written() {
        let (allow, may_write) = mpsc::channel();
        let (written, lines) = mpsc::channel();
        let mut writer = LossyWriter::start(Target { may_write, written }).unwrap();
        let before = LOST.load(Relaxed);
        for line in ["first", "second", "third"] {
            writer.write_all(line.as_bytes()).unwrap();
        }
        for may_write in [true, false, true] {
            allow.send(may_write).unwrap();
        }
        writer.flush_within(LONG);
        assert_eq!(lines.try_iter().collect::<Vec<_>>(), ["first", "third"]);
        assert!(LOST.load(Relaxed) > before);
    }

    #[test]
    fn a_target_that_takes_nothing_blocks_nobody_and_the_queue_stays_bounded() {
        let (mut reader, stuck) = io::pipe().unwrap();
        let mut writer = LossyWriter::start(stuck).unwrap();
        let before = LOST.load(Relaxed);
        // More than the queue and the pipe take.
        for _ in 0..64 {
            writer.write_all(&[b'x'; 64 * 1024]).unwrap();
        }
        assert!(LOST.load(Relaxed) > before);
        assert!(writer.0.state().bytes <= MAX_QUEUED_BYTES);
        // Its reader reads again.
        thread::spawn(move || io::copy(&mut reader.by_ref(), &mut io::sink()));
        writer.flush_within(LONG);
        assert_eq!(writer.0.state().bytes, 0);
    }
}
