//! What is in the table, and what goes in and out of its statements.

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
    pub claimed_by: Option<Run>,
    pub next_attempt_at: Option<Time>,
    pub completed_at: Option<Time>,
    /// How often an operator changed it; the engine keeps a record of each.
    pub interventions: u32,
}

/// A POST's row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    pub fence: u32,
    pub outcome: Option<Outcome>,
    /// Before an operator gave the transaction all its attempts anew.
    pub forgiven: bool,
}

impl Attempt {
    /// Whether it is one of those that the transaction gets.
    pub fn counts(&self) -> bool {
        !self.forgiven && self.outcome != Some(Outcome::NotSent)
    }
}

/// What a turn is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    Post,
    Verify,
}

/// What a claim gives.
#[derive(Debug, Clone, Copy)]
pub struct Claimed {
    pub fence: u32,
    pub progress: Progress,
    pub at: Time,
}

/// What has been learnt since the last change.
#[derive(Debug, Clone, Copy)]
pub enum Evidence {
    None,
    Attempt { outcome: Outcome, window: Option<Window> },
    Verification { finding: Finding },
}
