//! The rows of the tables, and the input and output of their statements.

use domain::{
    Finding, Outcome, State, Window,
    protocol::{Doubt, Progress},
};

use crate::world::{Run, Time};

/// A transaction's row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    pub state: State,
    pub fence: u32,
    pub attempts: u32,
    pub verifications: u32,
    pub lost_claims: u32,
    pub doubt: Option<Doubt>,
    /// When its latest verification failed, by its worker's clock, if the last change recorded that; the engine
    /// has no need of it.
    pub verification_failed_at: Option<Time>,
    pub claimed_by: Option<Run>,
    pub next_attempt_at: Option<Time>,
    pub completed_at: Option<Time>,
    /// How many interventions changed it; the engine records each.
    pub interventions: u32,
}

/// A POST's row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    pub fence: u32,
    pub outcome: Option<Outcome>,
    /// Whether a later retry by an operator renewed the transaction's attempts.
    pub forgiven: bool,
}

impl Attempt {
    /// Whether it counts against the limit of attempts.
    pub fn counts(&self) -> bool {
        !self.forgiven && self.outcome != Some(Outcome::NotSent)
    }
}

/// What an execution is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    Post,
    Verify,
}

/// The result of a claim.
#[derive(Debug, Clone, Copy)]
pub struct Claimed {
    pub fence: u32,
    pub progress: Progress,
    pub at: Time,
}

/// What has been learned since the last change.
#[derive(Debug, Clone, Copy)]
pub enum Evidence {
    None,
    Attempt { outcome: Outcome, window: Option<Window> },
    Verification { finding: Finding, ended_at: Time },
}
