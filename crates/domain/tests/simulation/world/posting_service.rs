//! The posting service, which is the adversary, and the ledger by which the engine is judged.
//!
//! It keeps only these promises, on which the protocol rests. A 2xx other than 202 that contradicts
//! nothing was applied; a refusal was not, and neither was a request that was turned away. A request
//! that was answered has ended, unless a gateway gave up on it, it was only accepted, or the answer
//! was another's. A request without a known end is applied, if at all, at most
//! `settle` after Onceward has given it up, which happens `timeout` after it left, even if the
//! worker died or stalls meanwhile. And an entry is seen by every verification that is sent
//! `visibility` after it.

use std::time::Duration;

use domain::{AnswerBody, Ending, Finding};

use crate::{
    engine::row::Attempt,
    world::{Id, State, Time, World},
};

/// How a POST may end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Posted,
    NotWritten,
    TimedOut,
    Broken,
    GatewayGaveUp,
    AnsweredError,
    Unreadable,
    Accepted,
    Contradicted,
    TurnedAway,
    Refused,
}

impl Fate {
    pub const ALL: [Self; 11] = [
        Self::Posted,
        Self::NotWritten,
        Self::TimedOut,
        Self::Broken,
        Self::GatewayGaveUp,
        Self::AnsweredError,
        Self::Unreadable,
        Self::Accepted,
        Self::Contradicted,
        Self::TurnedAway,
        Self::Refused,
    ];
}

/// The decision about one POST.
struct Plan {
    ending: Ending,
    ends_at: Time,
    applied_at: Option<Time>,
}

pub struct Service {
    /// By transaction: when each of its entries was written.
    entries: Vec<Vec<Time>>,
    /// By transaction: how many requests are yet to be applied.
    to_come: Vec<usize>,
    /// A POST that arrived without an attempt in the table.
    pub unannounced: Option<Id>,
    changes: u64,
}

impl Service {
    pub fn new(transactions: usize) -> Self {
        Self {
            entries: vec![Vec::new(); transactions],
            to_come: vec![0; transactions],
            unannounced: None,
            changes: 0,
        }
    }

    pub fn entries(&self, id: Id) -> &[Time] {
        &self.entries[id]
    }

    /// Whether a write of this transaction is still to be applied.
    pub fn is_to_come(&self, id: Id) -> bool {
        self.to_come[id] > 0
    }

    /// Increases with each change.
    pub fn changes(&self) -> u64 {
        self.changes
    }
}

/// One POST, from its sending to its end as Onceward sees it. It leaves when this future is first
/// polled.
pub async fn post(world: &World, id: Id, fence: u32) -> Ending {
    let plan = {
        let mut state = world.state();
        let announced = |attempt: &Attempt| attempt.fence == fence;
        if !state.store.attempts(id).iter().any(announced) {
            state.service.unannounced = Some(id);
        }
        let plan = state.plan();
        let now = state.now;
        state.note(|| {
            let seconds = |at: Time| (at - now).as_seconds_f64();
            let applied = plan
                .applied_at
                .map_or("not applied".to_owned(), |at| format!("applied after {:.6}", seconds(at)));
            format!("POST {id}: {:?} after {:.6}, {applied}", plan.ending, seconds(plan.ends_at))
        });
        if let Some(at) = plan.applied_at {
            state.service.to_come[id] += 1;
            state.service.changes += 1;
            if at > plan.ends_at {
                state.observe("a write after the request ended");
            }
            // Before anything else of that moment: the promises include the ends of their windows.
            state.schedule_first(at, move |world| apply(&mut world.state(), id));
        }
        plan
    };
    world.until(plan.ends_at).await;
    plan.ending
}

fn apply(state: &mut State, id: Id) {
    state.service.changes += 1;
    state.service.to_come[id] -= 1;
    state.service.entries[id].push(state.now);
    let entries = state.service.entries[id].len();
    state.note(|| format!("the ledger has {id}: {entries} entry"));
}

/// One verification: its finding, and its `Retry-After`.
pub async fn verify(world: &World, id: Id) -> (Finding, Option<Duration>) {
    let (reads_at, answers_at, delay, fails) = {
        let mut state = world.state();
        let timeout = state.scenario.policy.timeout;
        let (now, failing) = (state.now, state.scenario.failed_verifications);
        let answers_after = state.answers_within(timeout);
        // The sooner it reads, and the later a write becomes visible, the less it sees.
        let (mut reads_after, mut delay) = (Duration::ZERO, state.scenario.policy.visibility);
        if state.rng.one_in(3) {
            reads_after = state.rng.between(Duration::ZERO, answers_after);
            delay = state.rng.between(Duration::ZERO, delay);
        }
        (now + reads_after, now + answers_after, delay, state.fault(failing))
    };
    world.until(answers_at).await;
    let mut state = world.state();
    if fails {
        let retry_after = state.retry_after();
        state.note(|| format!("GET {id}: no finding"));
        return (Finding::Failed, retry_after);
    }
    let ours = state.service.entries[id].iter().any(|at| *at + delay <= reads_at);
    let finding = match (state.scenario.foreign[id], ours) {
        (false, true) => Finding::Found,
        (false, false) => Finding::Absent,
        (true, false) => Finding::Mismatch,
        (true, true) => state.rng.pick(&[Finding::Found, Finding::Mismatch]),
    };
    state.note(|| format!("GET {id}: {finding:?}"));
    (finding, None)
}

impl State {
    /// After the faults have ended, everything succeeds.
    fn plan(&mut self) -> Plan {
        let (now, policy) = (self.now, self.scenario.policy);
        let fate = match self.faults_are_over() {
            true => Fate::Posted,
            false => {
                let below = self.scenario.fates.len();
                self.scenario.fates[self.rng.below(below)]
            }
        };
        let ends_at = now + self.answers_within(policy.timeout);
        let answered = |status, body, retry_after| Ending::Answered { status, body, retry_after };
        match fate {
            Fate::Posted => {
                let ending = answered(self.rng.pick(&[200, 201]), AnswerBody::Agrees, None);
                Plan { ending, ends_at, applied_at: Some(self.moment(now, ends_at)) }
            }
            Fate::NotWritten => Plan { ending: Ending::NotWritten, ends_at, applied_at: None },
            Fate::TimedOut => {
                let ends_at = now + policy.timeout;
                let applied_at = self.perhaps(now, ends_at + policy.settle);
                Plan { ending: Ending::TimedOut, ends_at, applied_at }
            }
            Fate::Broken => {
                let applied_at = self.perhaps(now, ends_at + policy.settle);
                Plan { ending: Ending::Broken, ends_at, applied_at }
            }
            Fate::GatewayGaveUp => {
                let status = self.rng.pick(&[408, 502, 504]);
                let ending = answered(status, self.body(), self.retry_after());
                let applied_at = self.perhaps(now, ends_at + policy.settle);
                Plan { ending, ends_at, applied_at }
            }
            Fate::AnsweredError => {
                let status = self.rng.pick(&[302, 409, 425, 429, 500, 503]);
                let ending = answered(status, self.body(), self.retry_after());
                Plan { ending, ends_at, applied_at: self.perhaps(now, ends_at) }
            }
            Fate::Unreadable => {
                let ending = answered(200, AnswerBody::Unclear, None);
                Plan { ending, ends_at, applied_at: self.perhaps(now, ends_at) }
            }
            Fate::Accepted => {
                let ending = answered(202, self.body(), self.retry_after());
                let applied_at = self.perhaps(now, ends_at + policy.settle);
                Plan { ending, ends_at, applied_at }
            }
            Fate::Contradicted => {
                let ending = answered(200, AnswerBody::Contradicts, None);
                let applied_at = self.perhaps(now, ends_at + policy.settle);
                Plan { ending, ends_at, applied_at }
            }
            Fate::TurnedAway => {
                let status = self.rng.pick(&[401, 403, 404]);
                let ending = answered(status, AnswerBody::Agrees, self.retry_after());
                Plan { ending, ends_at, applied_at: None }
            }
            Fate::Refused => {
                let ending = answered(self.rng.pick(&[400, 422]), AnswerBody::Agrees, None);
                Plan { ending, ends_at, applied_at: None }
            }
        }
    }

    fn body(&mut self) -> AnswerBody {
        self.rng.pick(&[AnswerBody::Agrees, AnswerBody::Contradicts, AnswerBody::Unclear])
    }

    fn answers_within(&mut self, timeout: Duration) -> Duration {
        match self.faults_are_over() {
            true => Duration::from_millis(1),
            false => self.rng.between(Duration::ZERO, timeout),
        }
    }

    fn moment(&mut self, from: Time, to: Time) -> Time {
        from + self.rng.between(Duration::ZERO, (to - from).to_std().unwrap_or_default())
    }

    /// The later the worse, so mostly as late as possible.
    fn perhaps(&mut self, from: Time, to: Time) -> Option<Time> {
        let moment = if self.rng.one_in(2) { to } else { self.moment(from, to) };
        self.rng.one_in(2).then_some(moment)
    }

    /// Mostly none, and rarely one that is too long to be obeyed.
    fn retry_after(&mut self) -> Option<Duration> {
        let seconds = match self.rng.below(400) {
            0 => 86_400,
            1..40 => 1,
            40..80 => 4,
            _ => return None,
        };
        Some(Duration::from_secs(seconds))
    }
}
