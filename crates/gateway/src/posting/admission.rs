//! The way to the posting service, shared by all turns of a process: how many requests at once, how
//! many a second, and whether any may leave at all. Whoever has to wait waits here, with nothing
//! claimed, so that another process can take it up meanwhile.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use domain::{
    Circuit, Outcome,
    breaker::{self, Breaker},
};
use tokio::{
    sync::{Notify, Semaphore, SemaphorePermit},
    time::{sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;

use crate::monitoring::last_minute::{Attempts, LastMinute};

/// How much may be asked of the posting service.
#[derive(Debug, Clone, Copy)]
pub struct AdmissionLimits {
    /// POSTs under way at once.
    pub posts: usize,
    /// Verifications of earlier attempts under way at once.
    pub verifications: usize,
    /// Requests a second of either kind; `None` for no limit.
    pub requests_per_second: Option<f64>,
}

/// The gate of one process.
pub struct Admission {
    posts: Semaphore,
    verifications: Semaphore,
    pace: Option<Pace>,
    breaker: Mutex<Breaker>,
    last_minute: Mutex<LastMinute>,
    paused: AtomicBool,
    /// Told when the breaker or the pause changes.
    changed: Notify,
    closing: CancellationToken,
}

/// Leave to make one POST. Dropped without [`Pass::ended`], it tells nothing about the service.
pub struct Pass<'a> {
    gate: &'a Admission,
    pass: Option<breaker::Pass>,
    _slot: SemaphorePermit<'a>,
}

impl Admission {
    /// A gate that lets nothing through any more once `closing` is cancelled.
    pub fn new(limits: AdmissionLimits, closing: CancellationToken) -> Self {
        tell(Circuit::Closed);
        Self {
            posts: Semaphore::new(limits.posts),
            verifications: Semaphore::new(limits.verifications),
            pace: limits.requests_per_second.map(Pace::new),
            breaker: Mutex::default(),
            last_minute: Mutex::new(LastMinute::new(Instant::now())),
            paused: AtomicBool::new(false),
            changed: Notify::new(),
            closing,
        }
    }

    /// Where the circuit breaker stands.
    pub fn circuit(&self) -> Circuit {
        self.breaker().circuit()
    }

    /// What came of the attempts of the last minute.
    pub(crate) fn attempts(&self) -> Attempts {
        self.last_minute().attempts(Instant::now())
    }

    /// Stops POSTs, or lets them go on. Those under way are not touched.
    pub fn set_paused(&self, paused: bool) {
        if self.paused.swap(paused, Ordering::AcqRel) != paused {
            tracing::info!(paused, "posting");
            self.changed.notify_waiters();
        }
    }

    /// Waits for a slot and the pace. `None` where no POST may leave: the breaker is open, posting is
    /// paused, or the process is stopping.
    pub async fn pass(&self) -> Option<Pass<'_>> {
        let slot = self.unless_closing(self.posts.acquire()).await?.ok()?;
        if let Some(pace) = &self.pace {
            self.unless_closing(pace.post()).await?;
        }
        if self.paused.load(Ordering::Acquire) {
            return None;
        }
        let pass = self.breaker().pass(Instant::now())?;
        Some(Pass { gate: self, pass: Some(pass), _slot: slot })
    }

    /// Waits for a slot to verify an earlier attempt in. `None` where the process is stopping.
    pub async fn verification_permit(&self) -> Option<SemaphorePermit<'_>> {
        self.unless_closing(self.verifications.acquire()).await?.ok()
    }

    /// Waits until a verification may leave by the pace.
    pub async fn wait_for_verification_rate(&self) {
        if let Some(pace) = &self.pace {
            pace.next().await;
        }
    }

    /// Waits until a POST is worth trying: posting is not paused, and the breaker is closed or wants a
    /// probe.
    pub async fn opened(&self) {
        loop {
            let changed = self.changed.notified();
            let (circuit, probe_at) = {
                let breaker = self.breaker();
                (breaker.circuit(), breaker.probe_at())
            };
            let probe_in = probe_at.map(|at| at.saturating_duration_since(Instant::now()));
            match (self.paused.load(Ordering::Acquire), circuit, probe_in) {
                (false, Circuit::Closed, _) => return,
                (false, Circuit::Open, Some(Duration::ZERO) | None) => return,
                (false, Circuit::Open, Some(time)) => tokio::select! {
                    () = changed => {}
                    () = sleep(time) => {}
                },
                _ => changed.await,
            }
        }
    }

    async fn unless_closing<T>(&self, waiting: impl Future<Output = T>) -> Option<T> {
        self.closing.run_until_cancelled(waiting).await.filter(|_| !self.closing.is_cancelled())
    }

    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn last_minute(&self) -> MutexGuard<'_, LastMinute> {
        self.last_minute.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ended(&self, pass: breaker::Pass, outcome: Option<Outcome>) {
        if let Some(outcome) = outcome {
            self.last_minute().count(outcome == Outcome::Posted, Instant::now());
        }
        let (before, after) = {
            let mut breaker = self.breaker();
            let before = breaker.circuit();
            breaker.ended(pass, outcome, Instant::now(), rand::random());
            (before, breaker.circuit())
        };
        if before == after {
            return;
        }
        match (before, after) {
            (Circuit::Closed, _) => tracing::warn!("nothing gets through: the circuit is open"),
            (_, Circuit::Closed) => tracing::info!("a probe got through: the circuit is closed"),
            _ => tracing::debug!("a probe did not get through"),
        }
        tell(after);
        self.changed.notify_waiters();
    }
}

fn tell(circuit: Circuit) {
    metrics::gauge!("onceward_circuit_open").set(f64::from(circuit != Circuit::Closed));
}

impl Pass<'_> {
    /// Takes note of what the attempt came to.
    pub fn ended(&mut self, outcome: Outcome) {
        if let Some(pass) = self.pass.take() {
            self.gate.ended(pass, Some(outcome));
        }
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if let Some(pass) = self.pass.take() {
            self.gate.ended(pass, None);
        }
    }
}

/// Lets requests go one by one, evenly.
struct Pace {
    interval: Duration,
    /// When the next may go. NotAdmitted while waiting for it: those behind wait in the order of their coming.
    next: tokio::sync::Mutex<tokio::time::Instant>,
    /// Of the POSTs only one waits among the verifications, which hold a claim while they wait.
    posts: tokio::sync::Mutex<()>,
}

impl Pace {
    fn new(per_second: f64) -> Self {
        Self {
            interval: Duration::from_secs_f64(1.0 / per_second),
            next: tokio::sync::Mutex::new(tokio::time::Instant::now()),
            posts: tokio::sync::Mutex::default(),
        }
    }

    async fn post(&self) {
        let _first = self.posts.lock().await;
        self.next().await;
    }

    async fn next(&self) {
        let mut next = self.next.lock().await;
        sleep_until(*next).await;
        *next = (*next).max(tokio::time::Instant::now()) + self.interval;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(limits: AdmissionLimits) -> (Admission, CancellationToken) {
        let closing = CancellationToken::new();
        (Admission::new(limits, closing.clone()), closing)
    }

    const LIMITS: AdmissionLimits =
        AdmissionLimits { posts: 1, verifications: 1, requests_per_second: None };

    async fn break_it(gate: &Admission) {
        while gate.circuit() == Circuit::Closed {
            gate.pass().await.unwrap().ended(Outcome::NotSent);
        }
    }

    #[tokio::test]
    async fn verification_has_slots_of_its_own_and_goes_on_while_nothing_is_posted() {
        let (gate, _) = gate(LIMITS);
        break_it(&gate).await;
        assert!(gate.pass().await.is_none());
        gate.set_paused(true);
        assert!(gate.verification_permit().await.is_some());
    }

    #[tokio::test]
    async fn a_pause_stops_posts_and_its_end_tells_those_who_wait() {
        let (gate, _) = gate(LIMITS);
        gate.opened().await;
        gate.set_paused(true);
        assert!(gate.pass().await.is_none());
        let opened = gate.opened();
        tokio::pin!(opened);
        assert!(futures::poll!(&mut opened).is_pending());
        gate.set_paused(false);
        opened.await;
        assert!(gate.pass().await.is_some());
    }

    #[tokio::test]
    async fn a_probe_that_is_dropped_gives_the_next_one_its_turn() {
        let (gate, _) = gate(LIMITS);
        break_it(&gate).await;
        gate.opened().await; // when a probe is due
        drop(gate.pass().await.unwrap());
        let mut probe = gate.pass().await.unwrap();
        assert_eq!(gate.circuit(), Circuit::HalfOpen);
        probe.ended(Outcome::Posted);
        assert_eq!(gate.circuit(), Circuit::Closed);
    }

    #[tokio::test]
    async fn who_waits_for_a_slot_when_the_process_stops_gets_none() {
        let (gate, closing) = gate(LIMITS);
        let held = gate.pass().await.unwrap();
        let waiting = gate.pass();
        tokio::pin!(waiting);
        assert!(futures::poll!(&mut waiting).is_pending());
        closing.cancel();
        assert!(waiting.await.is_none());
        drop(held);
        assert!(gate.pass().await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn requests_keep_their_distance_and_verifications_do_not_queue_behind_posts() {
        let limits =
            AdmissionLimits { posts: 50, verifications: 1, requests_per_second: Some(10.0) };
        let (gate, _) = gate(limits);
        let gate = std::sync::Arc::new(gate);
        let start = tokio::time::Instant::now();
        let posts: Vec<_> = (0..20)
            .map(|_| {
                let gate = gate.clone();
                tokio::spawn(async move { gate.pass().await.map(drop) })
            })
            .collect();
        tokio::task::yield_now().await;
        gate.wait_for_verification_rate().await;
        assert!(start.elapsed() <= Duration::from_millis(300), "{:?}", start.elapsed());
        for post in posts {
            assert!(post.await.unwrap().is_some());
        }
        // Twenty-one requests have twenty intervals between them.
        assert!(start.elapsed() >= Duration::from_millis(2000), "{:?}", start.elapsed());
    }
}
