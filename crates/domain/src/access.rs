//! Who calls, and what the caller may do: roles, permissions, and what of the transactions a caller sees.
//!
//! Credentials, sessions and the database are in the crate `access`; which request needs which permission is
//! in `server`.

use std::{fmt, net::IpAddr, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::Principal;

/// What a principal is for. Each has exactly one role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Role {
    /// Reads everything but users and clients.
    Viewer,
    /// Submits transactions, and reads its own only.
    Submitter,
    /// A viewer who also cancels, retries, resolves and pauses.
    Operator,
    /// A viewer who also decides about transactions that are held.
    Approver,
    /// May do everything, but does not approve its own.
    Admin,
}

/// What a request may need. [`Role::may`] says which roles have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Permission {
    /// Read transactions: all of them, or those that the caller submitted.
    Read,
    /// Read what concerns no single principal: the audit, posting as a whole.
    ReadAll,
    /// Submit transactions.
    Submit,
    /// Cancel, retry, resolve, pause, retry many at once.
    Operate,
    /// Approve or reject what is held.
    Decide,
    /// Manage users, clients and keys.
    Administer,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 5] =
        [Self::Viewer, Self::Submitter, Self::Operator, Self::Approver, Self::Admin];

    /// The name on the wire and in the table.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Submitter => "submitter",
            Self::Operator => "operator",
            Self::Approver => "approver",
            Self::Admin => "admin",
        }
    }

    /// Whether this role has a permission.
    pub fn may(self, permission: Permission) -> bool {
        use Permission::*;
        match self {
            Self::Viewer => matches!(permission, Read | ReadAll),
            Self::Submitter => matches!(permission, Read | Submit),
            Self::Operator => matches!(permission, Read | ReadAll | Operate),
            Self::Approver => matches!(permission, Read | ReadAll | Decide),
            Self::Admin => true,
        }
    }
}

impl Permission {
    /// Every permission.
    pub const ALL: [Self; 6] =
        [Self::Read, Self::ReadAll, Self::Submit, Self::Operate, Self::Decide, Self::Administer];

    /// The name on the wire and in the documents.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::ReadAll => "read_all",
            Self::Submit => "submit",
            Self::Operate => "operate",
            Self::Decide => "decide",
            Self::Administer => "administer",
        }
    }
}

/// The text is not the name of a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("must be one of viewer, submitter, operator, approver, admin")]
pub struct UnknownRole;

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        Self::ALL.into_iter().find(|role| role.as_str() == text).ok_or(UnknownRole)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What kind of principal it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum PrincipalKind {
    /// Everyone, where authentication is off.
    Anonymous,
    /// A program's account.
    Client,
    /// A person.
    User,
    /// The subject of a token that another issuer signed.
    External,
    /// Someone at the command line of the machine.
    CommandLine,
}

impl PrincipalKind {
    /// The name on the wire and in the table.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Anonymous => "anonymous",
            Self::Client => "client",
            Self::User => "user",
            Self::External => "external",
            Self::CommandLine => "command_line",
        }
    }
}

/// Who acts, as the audit records it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Actor {
    /// The principal.
    pub principal: Principal,
    /// What kind of principal it is.
    pub kind: PrincipalKind,
    /// The credential, never a secret: `key:<id>`, `session:<handle>` or `token:<jti>`. `None` where
    /// authentication is off.
    pub credential: Option<String>,
    /// The client's address.
    pub address: Option<IpAddr>,
    /// The id of the request.
    pub request_id: Option<String>,
}

impl Actor {
    /// Someone at the command line of the machine.
    pub fn command_line() -> Self {
        Self {
            principal: Principal::named("command-line".to_owned()),
            kind: PrincipalKind::CommandLine,
            ..Self::anonymous()
        }
    }

    /// The actor where authentication is off and no request is known, such as in tests.
    pub fn anonymous() -> Self {
        Self {
            principal: Principal::anonymous(),
            kind: PrincipalKind::Anonymous,
            credential: None,
            address: None,
            request_id: None,
        }
    }

    /// The client's address as text.
    pub fn address_text(&self) -> Option<String> {
        self.address.map(|address| address.to_string())
    }
}

/// Who calls, and in which role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Caller {
    /// Who acts.
    pub actor: Actor,
    /// The role.
    pub role: Role,
}

/// Which transactions a caller sees. Everything that is read about transactions is limited to them: lists,
/// counts, exports, streams.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// All of them.
    All,
    /// Those that this principal submitted. For this caller the others do not exist.
    Own(Principal),
}

impl Caller {
    /// Everyone, where authentication is off.
    pub fn anonymous() -> Self {
        Self { actor: Actor::anonymous(), role: Role::Admin }
    }

    /// The principal.
    pub fn principal(&self) -> &Principal {
        &self.actor.principal
    }

    /// Whether the caller has a permission.
    pub fn may(&self, permission: Permission) -> bool {
        self.role.may(permission)
    }

    /// Which transactions the caller sees.
    pub fn scope(&self) -> Scope {
        match self.may(Permission::ReadAll) {
            true => Scope::All,
            false => Scope::Own(self.actor.principal.clone()),
        }
    }
}

impl Scope {
    /// The principal to which it is limited, if it is.
    pub fn owner(&self) -> Option<&str> {
        match self {
            Self::All => None,
            Self::Own(principal) => Some(principal.as_str()),
        }
    }

    /// Whether a transaction of this principal is in it.
    pub fn includes(&self, principal: &str) -> bool {
        self.owner().is_none_or(|owner| owner == principal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_the_same_after_its_text_is_parsed() {
        for role in Role::ALL {
            assert_eq!(role.as_str().parse(), Ok(role));
        }
        assert_eq!("Admin".parse::<Role>(), Err(UnknownRole));
    }

    #[test]
    fn only_a_submitter_sees_no_more_than_its_own() {
        for role in Role::ALL {
            let caller = Caller { role, ..Caller::anonymous() };
            assert_eq!(caller.scope() != Scope::All, role == Role::Submitter, "{role}");
            assert!(caller.may(Permission::Read), "{role}");
        }
    }

    #[test]
    fn only_a_submitter_and_an_admin_submit() {
        let submits = Role::ALL.into_iter().filter(|role| role.may(Permission::Submit));
        assert_eq!(submits.collect::<Vec<_>>(), [Role::Submitter, Role::Admin]);
    }
}
