//! An entry to write.

use domain::{Action, Actor, AuditOutcome};
use serde_json::Value;

/// The most characters of a text in an entry. Some come from requests that were refused, and may be anything.
const MAX_CHARS: usize = 500;

/// An entry to write: who did what, or was refused what.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    pub(super) actor: Actor,
    pub(super) action: Action,
    pub(super) object: String,
    pub(super) outcome: AuditOutcome,
    pub(super) before: Option<Value>,
    pub(super) after: Option<Value>,
    pub(super) reason: Option<String>,
}

impl Entry {
    /// Something that was done to `object`, such as `client:<name>`.
    pub fn done(actor: &Actor, action: Action, object: impl Into<String>) -> Self {
        Self {
            actor: actor.clone(),
            action,
            object: object.into(),
            outcome: AuditOutcome::Done,
            before: None,
            after: None,
            reason: None,
        }
    }

    /// Something that was refused, and why.
    pub fn refused(
        actor: &Actor,
        action: Action,
        object: impl Into<String>,
        reason: impl Into<String>,
    ) -> Self {
        let outcome = AuditOutcome::Refused;
        Self { outcome, reason: Some(reason.into()), ..Self::done(actor, action, object) }
    }

    /// With texts that are no longer than what is stored of them: many entries may wait.
    pub(super) fn shortened(mut self) -> Self {
        self.object = stored(&self.object);
        self.reason = self.reason.as_deref().map(stored);
        self.actor.request_id = self.actor.request_id.as_deref().map(stored);
        self
    }

    /// With what of the object has changed, as it was. Never a secret.
    pub fn before(self, before: Value) -> Self {
        Self { before: Some(before), ..self }
    }

    /// With what of the object has changed, as it is now. Never a secret.
    pub fn after(self, after: Value) -> Self {
        Self { after: Some(after), ..self }
    }

    /// With the reason, in the actor's words.
    pub fn reason(self, reason: Option<String>) -> Self {
        Self { reason, ..self }
    }
}

/// A text as it is stored: not longer than [`MAX_CHARS`], and without U+0000, which PostgreSQL cannot store.
pub(super) fn stored(text: &str) -> String {
    text.chars().take(MAX_CHARS).map(|c| if c == '\0' { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_of_a_refused_request_is_stored_whatever_it_is() {
        assert_eq!(stored("user:ann\0"), "user:ann\u{fffd}");
        assert_eq!(stored(&"ö".repeat(MAX_CHARS + 1)), "ö".repeat(MAX_CHARS));
    }
}
