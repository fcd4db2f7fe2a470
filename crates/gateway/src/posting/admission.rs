//! Admission control for requests to the posting service, shared by all executions of a process: the
//! number of requests in flight, the rate, the circuit breaker and the pause. An execution that is to post
//! waits here before it claims its transaction, so that another process can claim it meanwhile.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use domain::{
    Circuit, Finding,
    breaker::{self, Breaker, Report, Signal},
};
use tokio::{
    sync::{Notify, Semaphore, SemaphorePermit},
    time::sleep,
};
use tokio_util::sync::CancellationToken;

use super::{
    rate_limiter::RateLimiter,
    service::{CredentialError, LookupAnswer, PostAnswer},
    verification_pace::VerificationPace,
};
use crate::monitoring::{LastMinute, Requests};

/// Limits on the requests to the posting service.
#[derive(Debug, Clone, Copy)]
pub struct AdmissionLimits {
    /// POSTs in flight.
    pub posts: usize,
    /// Verifications of earlier attempts in flight.
    pub verifications: usize,
    /// Requests a second of either kind; `None` for no limit.
    pub requests_per_second: Option<f64>,
}

/// The admission control of one process.
pub struct Admission {
    posts: Semaphore,
    verifications: Semaphore,
    rate_limiter: Option<RateLimiter>,
    verification_pace: VerificationPace,
    breaker: Mutex<Breaker>,
    last_minute: Mutex<LastMinute>,
    paused: AtomicBool,
    /// Notified when the breaker or the pause changes.
    changed: Notify,
    shutdown: CancellationToken,
}

/// A permit for one POST. If it is dropped without [`PostPermit::report`], the circuit breaker learns
/// nothing about the service.
pub struct PostPermit<'a> {
    admission: &'a Admission,
    breaker_permit: Option<breaker::Permit>,
    _permit: SemaphorePermit<'a>,
}

impl Admission {
    /// Admission control that grants no permits once `shutdown` is cancelled.
    pub fn new(limits: AdmissionLimits, shutdown: CancellationToken) -> Self {
        set_circuit_gauge(Circuit::Closed);
        Self {
            posts: Semaphore::new(limits.posts),
            verifications: Semaphore::new(limits.verifications),
            rate_limiter: limits.requests_per_second.map(RateLimiter::new),
            verification_pace: VerificationPace::default(),
            breaker: Mutex::default(),
            last_minute: Mutex::new(LastMinute::new(Instant::now())),
            paused: AtomicBool::new(false),
            changed: Notify::new(),
            shutdown,
        }
    }

    /// The state of the circuit breaker.
    pub fn circuit(&self) -> Circuit {
        self.breaker().circuit()
    }

    /// The state of the circuit breaker and the reason for it.
    pub fn breaker_report(&self) -> Report {
        self.breaker().report()
    }

    /// The requests that ended in the last minute.
    pub(crate) fn requests(&self) -> Requests {
        self.last_minute().requests(Instant::now())
    }

    /// Pauses or resumes POSTs. Those in flight are not affected.
    pub fn set_paused(&self, paused: bool) {
        if self.paused.swap(paused, Ordering::AcqRel) != paused {
            tracing::info!(paused, "posting was paused or resumed");
            self.changed.notify_waiters();
        }
    }

    /// Waits for a permit and for the rate limiter. `None` if no POST may be sent: the breaker is open,
    /// posting is paused, or the process is stopping.
    pub async fn acquire_post(&self) -> Option<PostPermit<'_>> {
        let permit = self.unless_stopping(self.posts.acquire()).await?.ok()?;
        if let Some(rate_limiter) = &self.rate_limiter {
            self.unless_stopping(rate_limiter.wait_to_post()).await?;
        }
        if self.paused.load(Ordering::Acquire) {
            return None;
        }
        let breaker_permit = self.breaker().acquire(Instant::now())?;
        Some(PostPermit { admission: self, breaker_permit: Some(breaker_permit), _permit: permit })
    }

    /// Waits for a permit to verify an earlier attempt, and for the pace of verifications. `None` if the process
    /// is stopping.
    pub async fn acquire_verification(&self) -> Option<SemaphorePermit<'_>> {
        let permit = self.unless_stopping(self.verifications.acquire()).await?.ok()?;
        self.unless_stopping(self.verification_pace.wait()).await?;
        Some(permit)
    }

    /// Whether an execution that has just posted may verify at once. Not while most verifications fail: it would
    /// hold its claim, and the permit to post, for a request that is likely to fail.
    pub fn may_verify_at_once(&self) -> bool {
        !self.verification_pace.is_slow()
    }

    /// Reports the end of a verification. The circuit breaker learns of it only if our credentials were refused.
    pub fn report_verification(&self, lookup: &LookupAnswer) {
        let failed = lookup.finding == Finding::Failed;
        self.verification_pace.report(failed);
        self.last_minute().count_verification(failed, Instant::now());
        if lookup.refuses_credentials() {
            let draw = rand::random();
            self.change_breaker(|it| it.record_refused_verification(Instant::now(), draw));
        }
    }

    /// Waits until the rate limiter lets a verification through.
    pub async fn wait_for_verification_rate(&self) {
        if let Some(rate_limiter) = &self.rate_limiter {
            rate_limiter.wait().await;
        }
    }

    /// Waits until a POST may be admitted: posting is not paused, and the breaker is closed or a probe
    /// is due.
    pub async fn wait_until_open(&self) {
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

    async fn unless_stopping<T>(&self, waiting: impl Future<Output = T>) -> Option<T> {
        self.shutdown.run_until_cancelled(waiting).await.filter(|_| !self.shutdown.is_cancelled())
    }

    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn last_minute(&self) -> MutexGuard<'_, LastMinute> {
        self.last_minute.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn report(&self, permit: breaker::Permit, signal: Option<Signal>) {
        self.change_breaker(|it| it.record(permit, signal, Instant::now(), rand::random()));
    }

    fn change_breaker(&self, change: impl FnOnce(&mut Breaker)) {
        let (before, after) = {
            let mut breaker = self.breaker();
            let before = breaker.report();
            change(&mut breaker);
            (before, breaker.report())
        };
        if after.credentials_refused && !before.credentials_refused {
            tracing::error!("the posting service refuses our credentials: the circuit is open");
        }
        if before.circuit == after.circuit {
            return;
        }
        match (before.circuit, after.circuit) {
            (Circuit::Closed, _) if after.credentials_refused => {}
            (Circuit::Closed, _) => tracing::warn!("nothing gets through: the circuit is open"),
            (_, Circuit::Closed) => tracing::info!("a probe succeeded: the circuit is closed"),
            _ => tracing::debug!("a probe failed"),
        }
        set_circuit_gauge(after.circuit);
        self.changed.notify_waiters();
    }
}

fn set_circuit_gauge(circuit: Circuit) {
    metrics::gauge!("onceward_circuit_open").set(f64::from(circuit != Circuit::Closed));
}

impl PostPermit<'_> {
    /// Reports how the attempt ended to the circuit breaker and the statistics. A success that is yet to be
    /// verified counts as posted: the posting service works.
    pub fn report(&mut self, answer: &PostAnswer) {
        let Some(permit) = self.breaker_permit.take() else { return };
        let posted = answer.ending.is_success();
        self.admission.last_minute().count_attempt(posted, Instant::now());
        // Credentials that were refused and replaced say nothing about the next attempt.
        let signal = (!answer.credentials_renewed).then(|| answer.ending.signal());
        self.admission.report(permit, signal);
    }

    /// Reports to the circuit breaker that no attempt can be made for want of a credential.
    pub fn report_no_credential(&mut self, error: &CredentialError) {
        if self.admission.circuit() == Circuit::Closed {
            tracing::warn!(%error, "no attempt can be made");
        }
        if let Some(permit) = self.breaker_permit.take() {
            self.admission.report(permit, Some(error.signal()));
        }
    }
}

impl Drop for PostPermit<'_> {
    fn drop(&mut self) {
        if let Some(permit) = self.breaker_permit.take() {
            self.admission.report(permit, None);
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::{AnswerBody, Ending};

    use super::*;

    fn admission(limits: AdmissionLimits) -> (Admission, CancellationToken) {
        let shutdown = CancellationToken::new();
        (Admission::new(limits, shutdown.clone()), shutdown)
    }

    const LIMITS: AdmissionLimits =
        AdmissionLimits { posts: 1, verifications: 1, requests_per_second: None };

    fn not_written() -> PostAnswer {
        PostAnswer::without_answer(Ending::NotWritten, "no connection".to_owned())
    }

    fn answered(status: u16) -> PostAnswer {
        let ending = Ending::Answered { status, body: AnswerBody::Unclear, retry_after: None };
        PostAnswer { ending, ..not_written() }
    }

    async fn open_circuit(admission: &Admission) {
        while admission.circuit() == Circuit::Closed {
            admission.acquire_post().await.unwrap().report(&not_written());
        }
    }

    #[tokio::test]
    async fn credentials_that_were_renewed_leave_the_circuit_closed_and_others_open_it_at_once() {
        let (admission, _) = admission(LIMITS);
        let renewed = PostAnswer { credentials_renewed: true, ..answered(401) };
        for _ in 0..50 {
            admission.acquire_post().await.unwrap().report(&renewed);
        }
        assert_eq!(admission.breaker_report(), Report::default());
        admission.acquire_post().await.unwrap().report(&answered(401));
        let refused = Report { circuit: Circuit::Open, credentials_refused: true };
        assert_eq!(admission.breaker_report(), refused);
    }

    #[tokio::test]
    async fn without_a_credential_the_circuit_opens_at_once() {
        for (error, credentials_refused) in [
            (CredentialError::NoToken("no answer in time".to_owned()), false),
            (CredentialError::TokenRefused("401 Unauthorized".to_owned()), true),
        ] {
            let (admission, _) = admission(LIMITS);
            admission.acquire_post().await.unwrap().report_no_credential(&error);
            assert_eq!(admission.circuit(), Circuit::Open);
            assert_eq!(admission.breaker_report().credentials_refused, credentials_refused);
        }
    }

    #[tokio::test]
    async fn verifications_have_their_own_permits_and_continue_while_nothing_is_posted() {
        let (admission, _) = admission(LIMITS);
        open_circuit(&admission).await;
        assert!(admission.acquire_post().await.is_none());
        admission.set_paused(true);
        assert!(admission.acquire_verification().await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn while_most_verifications_fail_they_are_sent_slowly_and_never_right_after_a_post() {
        let (admission, _) = admission(LIMITS);
        let verify = async |finding| {
            let permit = admission.acquire_verification().await;
            let failed = LookupAnswer::failed(String::new());
            admission.report_verification(&LookupAnswer { finding, ..failed });
            drop(permit);
        };
        let start = tokio::time::Instant::now();
        for _ in 0..20 {
            assert!(admission.may_verify_at_once());
            verify(Finding::Failed).await;
        }
        assert_eq!(start.elapsed(), Duration::ZERO);
        assert!(!admission.may_verify_at_once());
        for _ in 0..11 {
            verify(Finding::Failed).await;
        }
        assert!(start.elapsed() >= Duration::from_secs(1), "{:?}", start.elapsed());
        for _ in 0..10 {
            verify(Finding::Absent).await;
        }
        assert!(admission.may_verify_at_once());
        assert_eq!(admission.requests().failed_verifications, 31);
    }

    #[tokio::test]
    async fn a_pause_stops_posts_and_its_end_notifies_the_callers_that_wait() {
        let (admission, _) = admission(LIMITS);
        admission.wait_until_open().await;
        admission.set_paused(true);
        assert!(admission.acquire_post().await.is_none());
        let opened = admission.wait_until_open();
        tokio::pin!(opened);
        assert!(futures::poll!(&mut opened).is_pending());
        admission.set_paused(false);
        opened.await;
        assert!(admission.acquire_post().await.is_some());
    }

    #[tokio::test]
    async fn a_dropped_probe_lets_the_next_caller_probe() {
        let (admission, _) = admission(LIMITS);
        open_circuit(&admission).await;
        admission.wait_until_open().await; // a probe is due
        drop(admission.acquire_post().await.unwrap());
        let mut probe = admission.acquire_post().await.unwrap();
        assert_eq!(admission.circuit(), Circuit::HalfOpen);
        // A 202 is not known to be posted, but the posting service works.
        probe.report(&answered(202));
        assert_eq!(admission.circuit(), Circuit::Closed);
    }

    #[tokio::test]
    async fn a_caller_waiting_for_a_permit_gets_none_when_the_process_stops() {
        let (admission, shutdown) = admission(LIMITS);
        let held = admission.acquire_post().await.unwrap();
        let waiting = admission.acquire_post();
        tokio::pin!(waiting);
        assert!(futures::poll!(&mut waiting).is_pending());
        shutdown.cancel();
        assert!(waiting.await.is_none());
        drop(held);
        assert!(admission.acquire_post().await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn requests_are_spaced_evenly_and_verifications_do_not_queue_behind_posts() {
        let limits =
            AdmissionLimits { posts: 50, verifications: 1, requests_per_second: Some(10.0) };
        let (admission, _) = admission(limits);
        let admission = std::sync::Arc::new(admission);
        let start = tokio::time::Instant::now();
        let posts: Vec<_> = (0..20)
            .map(|_| {
                let admission = admission.clone();
                tokio::spawn(async move { admission.acquire_post().await.map(drop) })
            })
            .collect();
        tokio::task::yield_now().await;
        admission.wait_for_verification_rate().await;
        assert!(start.elapsed() <= Duration::from_millis(300), "{:?}", start.elapsed());
        for post in posts {
            assert!(post.await.unwrap().is_some());
        }
        // There are twenty intervals between twenty-one requests.
        assert!(start.elapsed() >= Duration::from_millis(2000), "{:?}", start.elapsed());
    }
}
