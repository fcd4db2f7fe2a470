//! What a token of another issuer must say, and which of its claims say who it is for.

use std::{collections::BTreeMap, convert::Infallible, str::FromStr};

use domain::Role;
use serde_json::{Map, Value};
use thiserror::Error;

/// What tokens of another issuer must say.
#[derive(Debug, Clone)]
pub struct TokenRules {
    /// The issuer that they must name. None: any.
    pub issuer: Option<String>,
    /// The audience that they must name. None: they may name none.
    pub audience: Option<String>,
    /// The claim that is the principal.
    pub principal: ClaimName,
    /// The claim that says the role.
    pub role: ClaimName,
    /// Which of its values stand for which role.
    pub roles: RoleMap,
}

/// The name of a claim, or a JSON pointer to one inside another, such as `/realm_access/roles`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimName(String);

impl FromStr for ClaimName {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.to_owned()))
    }
}

impl ClaimName {
    /// The claim's value.
    pub(super) fn of<'c>(&self, claims: &'c Map<String, Value>) -> Option<&'c Value> {
        let Some(path) = self.0.strip_prefix('/') else { return claims.get(&self.0) };
        match path.split_once('/') {
            None => claims.get(&unescaped(path)),
            Some((first, rest)) => claims.get(&unescaped(first))?.pointer(&format!("/{rest}")),
        }
    }
}

/// A step of a JSON pointer as it is meant (RFC 6901, section 4).
fn unescaped(step: &str) -> String {
    step.replace("~1", "/").replace("~0", "~")
}

/// Which values of the claim stand for which role. Empty: each role for itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RoleMap(BTreeMap<String, Role>);

/// Why a text maps no values to roles.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BadRoleMap {
    /// A pair is not of the form `value=role`.
    #[error("must be pairs of the form value=role, separated by commas")]
    Pair,
    /// It is not a role.
    #[error("a role {0}")]
    Role(<Role as FromStr>::Err),
    /// A value stands twice.
    #[error("each value may stand only once")]
    Twice,
}

impl FromStr for RoleMap {
    type Err = BadRoleMap;

    fn from_str(text: &str) -> Result<Self, BadRoleMap> {
        let mut roles = BTreeMap::new();
        for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
            let (value, role) = pair.rsplit_once('=').ok_or(BadRoleMap::Pair)?;
            let role = role.trim().parse().map_err(BadRoleMap::Role)?;
            if roles.insert(value.trim().to_owned(), role).is_some() {
                return Err(BadRoleMap::Twice);
            }
        }
        Ok(Self(roles))
    }
}

impl RoleMap {
    /// The role that a claim stands for: a text, or a list in which exactly one role is named and other texts mean
    /// nothing here.
    pub(super) fn role(&self, claim: &Value) -> Option<Role> {
        let texts = match claim {
            Value::Array(texts) => texts.as_slice(),
            text => std::slice::from_ref(text),
        };
        let mut roles = texts.iter().filter_map(Value::as_str).filter_map(|text| self.named(text));
        let role = roles.next()?;
        // Of several roles, neither is less than the others.
        roles.all(|other| other == role).then_some(role)
    }

    fn named(&self, text: &str) -> Option<Role> {
        match self.0.is_empty() {
            true => text.parse().ok(),
            false => self.0.get(text).copied(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_claim_is_found_by_its_name_or_inside_another() {
        let claims = json!({"https://x/role": 1, "a.b": 2, "a": {"b": {"c": 3}, "d/e": 4}, "/": 5});
        let claims = claims.as_object().unwrap();
        for (name, value) in [
            ("https://x/role", Some(1)),
            ("a.b", Some(2)),
            ("/a/b/c", Some(3)),
            ("/a/d~1e", Some(4)),
            ("/https:~1~1x~1role", Some(1)),
            ("b", None),
            ("/a/c", None),
            ("", None),
        ] {
            let found = name.parse::<ClaimName>().unwrap().of(claims).and_then(Value::as_i64);
            assert_eq!(found, value, "{name}");
        }
    }

    #[test]
    fn a_value_stands_for_itself_unless_values_are_mapped() {
        let (plain, mapped) = (RoleMap::default(), "pay/ops=operator, x=y=admin".parse());
        let mapped: RoleMap = mapped.unwrap();
        assert_eq!(plain.role(&json!("viewer")), Some(Role::Viewer));
        assert_eq!(plain.role(&json!("Viewer")), None);
        assert_eq!(mapped.role(&json!("pay/ops")), Some(Role::Operator));
        assert_eq!(mapped.role(&json!("x=y")), Some(Role::Admin));
        assert_eq!(mapped.role(&json!("admin")), None);
    }

    #[test]
    fn a_list_names_exactly_one_role() {
        let roles = RoleMap::default();
        assert_eq!(roles.role(&json!(["offline", 7, "viewer", "viewer"])), Some(Role::Viewer));
        for none in [json!([]), json!(["a"]), json!(["viewer", "admin"]), json!(7), json!({})] {
            assert_eq!(roles.role(&none), None, "{none}");
        }
    }

    #[test]
    fn a_map_that_cannot_be_meant_is_refused() {
        assert_eq!("".parse(), Ok(RoleMap::default()));
        assert_eq!("a".parse::<RoleMap>(), Err(BadRoleMap::Pair));
        assert!(matches!("a=boss".parse::<RoleMap>(), Err(BadRoleMap::Role(_))));
        assert_eq!("a=admin,a=viewer".parse::<RoleMap>(), Err(BadRoleMap::Twice));
    }
}
