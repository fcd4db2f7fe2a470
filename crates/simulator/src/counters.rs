//! Counters of requests and of injected faults.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

/// A kind of fault that a request met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FaultKind {
    Outage,
    TokenExpired,
    RateLimit,
    Refusal,
    ResetBeforeWrite,
    PreWriteFailure,
    Hang,
    LateWrite,
    Accepted,
    AcceptedLost,
    WrongSuccess,
    ResetAfterWrite,
    PostWriteFailure,
    Garbage,
    VerificationFailure,
    VerificationGarbage,
    VisibilityLag,
}

impl FaultKind {
    const ALL: [(Self, &'static str); 17] = [
        (Self::Outage, "outage"),
        (Self::TokenExpired, "tokenExpired"),
        (Self::RateLimit, "rateLimit"),
        (Self::Refusal, "refusal"),
        (Self::ResetBeforeWrite, "resetBeforeWrite"),
        (Self::PreWriteFailure, "preWriteFailure"),
        (Self::Hang, "hang"),
        (Self::LateWrite, "lateWrite"),
        (Self::Accepted, "accepted"),
        (Self::AcceptedLost, "acceptedLost"),
        (Self::WrongSuccess, "wrongSuccess"),
        (Self::ResetAfterWrite, "resetAfterWrite"),
        (Self::PostWriteFailure, "postWriteFailure"),
        (Self::Garbage, "garbage"),
        (Self::VerificationFailure, "verificationFailure"),
        (Self::VerificationGarbage, "verificationGarbage"),
        (Self::VisibilityLag, "visibilityLag"),
    ];
}

/// How many requests have come in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RequestCounts {
    /// Valid POSTs.
    pub post: u64,
    /// GETs by id.
    pub get: u64,
    /// POSTs answered with 400.
    pub invalid: u64,
}

/// The counters behind the audit.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    posts: AtomicU64,
    gets: AtomicU64,
    invalid: AtomicU64,
    faults: [AtomicU64; FaultKind::ALL.len()],
    late_writes_pending: AtomicU64,
}

// The counters are independent and order nothing else, hence `Relaxed` throughout.
impl Counters {
    pub(crate) fn count_post(&self) {
        self.posts.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_get(&self) {
        self.gets.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_invalid(&self) {
        self.invalid.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_fault(&self, kind: FaultKind) {
        self.faults[kind as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn requests(&self) -> RequestCounts {
        RequestCounts {
            post: self.posts.load(Ordering::Relaxed),
            get: self.gets.load(Ordering::Relaxed),
            invalid: self.invalid.load(Ordering::Relaxed),
        }
    }

    pub(crate) fn faults_injected(&self) -> BTreeMap<String, u64> {
        FaultKind::ALL
            .iter()
            .map(|(kind, name)| {
                let count = self.faults[*kind as usize].load(Ordering::Relaxed);
                ((*name).to_owned(), count)
            })
            .collect()
    }

    pub(crate) fn late_writes_pending(&self) -> u64 {
        self.late_writes_pending.load(Ordering::Relaxed)
    }

    /// Counts a late write as pending until the returned guard is dropped.
    pub(crate) fn late_write(self: &Arc<Self>) -> LateWrite {
        self.late_writes_pending.fetch_add(1, Ordering::Relaxed);
        LateWrite(Arc::clone(self))
    }

    /// Resets all counters to 0, except the number of pending late writes.
    pub(crate) fn reset(&self) {
        let counters = [&self.posts, &self.gets, &self.invalid];
        for counter in counters.into_iter().chain(&self.faults) {
            counter.store(0, Ordering::Relaxed);
        }
    }
}

/// A late write that is pending.
#[derive(Debug)]
pub(crate) struct LateWrite(Arc<Counters>);

impl Drop for LateWrite {
    fn drop(&mut self) {
        self.0.late_writes_pending.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_kind_is_counted_under_its_own_name() {
        for (position, (kind, name)) in FaultKind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, position, "{name}");
            let counters = Counters::default();
            counters.count_fault(kind);
            let injected = counters.faults_injected();
            assert_eq!(injected.len(), FaultKind::ALL.len());
            assert_eq!(injected[name], 1);
            assert_eq!(injected.values().sum::<u64>(), 1);
        }
    }

    #[test]
    fn a_reset_keeps_the_number_of_pending_late_writes() {
        let counters = Arc::new(Counters::default());
        let pending = counters.late_write();
        counters.count_post();
        counters.reset();
        assert_eq!(counters.requests(), RequestCounts::default());
        assert_eq!(counters.late_writes_pending(), 1);
        drop(pending);
        assert_eq!(counters.late_writes_pending(), 0);
    }
}
