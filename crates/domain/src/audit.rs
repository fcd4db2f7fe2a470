//! The audit: what people and programs did, and what they were refused. The database's table and its chain of hashes are
//! in the migration `audit`, and what reads and verifies them is in the crate `access`.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What was done, or refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// A person began a session, or gave a wrong password or code.
    SignIn,
    /// A person ended a session.
    SignOut,
    /// A program exchanged its key for a token.
    IssueToken,
    /// A credential was refused.
    Authenticate,
    /// A request was refused for lack of a permission.
    Authorize,
    /// A transaction was cancelled.
    Cancel,
    /// A transaction was retried.
    Retry,
    /// A transaction's outcome was stated.
    Resolve,
    /// Many transactions are to be retried.
    BulkRetry,
    /// Posting was paused.
    Pause,
    /// Posting was resumed.
    Resume,
    /// Everything was deleted.
    Cleanup,
    /// An export began.
    Export,
    /// A user, client or key was created.
    Create,
    /// A user or client was disabled.
    Disable,
    /// A user or client was enabled again.
    Enable,
    /// A key, a session or a link was revoked.
    Revoke,
    /// A user or client has another role.
    SetRole,
    /// A client has another rate limit.
    SetRateLimit,
    /// A user's password was taken away, and a one-time link made.
    ResetPassword,
    /// A user set a password.
    ChangePassword,
    /// A user's second factor was set up.
    EnableTotp,
    /// A user's second factor was removed.
    DisableTotp,
    /// A user has new recovery codes.
    RenewRecoveryCodes,
    /// Entries were lost, because more were refused than could be written; `after` says how many.
    LoseEntries,
}

impl Action {
    /// All of them.
    pub const ALL: [Self; 25] = [
        Self::SignIn,
        Self::SignOut,
        Self::IssueToken,
        Self::Authenticate,
        Self::Authorize,
        Self::Cancel,
        Self::Retry,
        Self::Resolve,
        Self::BulkRetry,
        Self::Pause,
        Self::Resume,
        Self::Cleanup,
        Self::Export,
        Self::Create,
        Self::Disable,
        Self::Enable,
        Self::Revoke,
        Self::SetRole,
        Self::SetRateLimit,
        Self::ResetPassword,
        Self::ChangePassword,
        Self::EnableTotp,
        Self::DisableTotp,
        Self::RenewRecoveryCodes,
        Self::LoseEntries,
    ];

    /// The name on the wire and in the table.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SignIn => "sign_in",
            Self::SignOut => "sign_out",
            Self::IssueToken => "issue_token",
            Self::Authenticate => "authenticate",
            Self::Authorize => "authorize",
            Self::Cancel => "cancel",
            Self::Retry => "retry",
            Self::Resolve => "resolve",
            Self::BulkRetry => "bulk_retry",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Cleanup => "cleanup",
            Self::Export => "export",
            Self::Create => "create",
            Self::Disable => "disable",
            Self::Enable => "enable",
            Self::Revoke => "revoke",
            Self::SetRole => "set_role",
            Self::SetRateLimit => "set_rate_limit",
            Self::ResetPassword => "reset_password",
            Self::ChangePassword => "change_password",
            Self::EnableTotp => "enable_totp",
            Self::DisableTotp => "disable_totp",
            Self::RenewRecoveryCodes => "renew_recovery_codes",
            Self::LoseEntries => "lose_entries",
        }
    }

    /// Whether a text is the name of an action.
    pub fn is_name(text: &str) -> bool {
        Self::ALL.into_iter().any(|action| action.as_str() == text)
    }
}

/// How an act ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum AuditOutcome {
    /// It was done.
    Done,
    /// It was refused.
    Refused,
}

impl AuditOutcome {
    /// The name on the wire and in the table.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused => "refused",
        }
    }
}

/// An entry of the audit as the API and the page show it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AuditEntry {
    /// Its id. Ids grow, and have gaps.
    pub id: i64,
    /// When it happened.
    pub at: DateTime<Utc>,
    /// Who acted.
    pub principal: String,
    /// What kind of principal it is.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::PrincipalKind))]
    pub kind: String,
    /// With which credential: `key:<id>`, `session:<handle>` or `token:<jti>`.
    pub credential: Option<String>,
    /// The client's address.
    pub address: Option<String>,
    /// The id of the request.
    pub request_id: Option<String>,
    /// The action, such as `cancel` or `sign_in`.
    pub action: String,
    /// What it was done to, such as `transaction:<id>`, `client:<name>`, `user:<name>`, `key:<id>` or `posting`.
    pub object: String,
    /// Whether it was done or refused.
    #[cfg_attr(feature = "openapi", schema(value_type = AuditOutcome))]
    pub outcome: String,
    /// What of the object has changed, as it was.
    pub before: Option<Value>,
    /// What of the object has changed, as it is now.
    pub after: Option<Value>,
    /// The reason: in the principal's words, or why it was refused.
    pub reason: Option<String>,
    /// The act of which this is a part, such as `bulk_retry:<id>`.
    pub part_of: Option<String>,
}

/// One page of the audit, newest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AuditPage {
    /// The entries.
    pub data: Vec<AuditEntry>,
    /// The `cursor` of the next page; absent on the last page.
    pub next_cursor: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_action_has_a_name_of_its_own() {
        let mut names: Vec<_> = Action::ALL.into_iter().map(Action::as_str).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Action::ALL.len());
        assert!(names.iter().all(|name| Action::is_name(name)));
        assert!(!Action::is_name("Cancel"));
    }
}
