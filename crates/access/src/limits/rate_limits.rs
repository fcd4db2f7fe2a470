//! The limits of a process.

use std::{net::IpAddr, str::FromStr, sync::Arc};

use domain::{Principal, Role};
use governor::clock::DefaultClock;

use super::{Decision, Rate, limiter::Limiter};

/// The rate of each role, if it has one. The text is one rate for all roles, or one for each that is to have one, as in
/// `viewer=50/s,submitter=2000/s`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RatePerRole([Option<Rate>; Role::ALL.len()]);

impl RatePerRole {
    fn of(&self, role: Role) -> Option<Rate> {
        self.0[place(role)]
    }
}

fn place(role: Role) -> usize {
    Role::ALL.iter().position(|each| *each == role).unwrap_or_default()
}

impl FromStr for RatePerRole {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if !text.contains('=') {
            let rate = text.parse::<Rate>().map_err(|error| error.to_string())?;
            return Ok(Self([Some(rate); Role::ALL.len()]));
        }
        let mut rates = Self::default();
        for part in text.split(',') {
            let (role, rate) = part.split_once('=').ok_or_else(|| {
                format!("{part}: must be a role and its rate, such as viewer=50/s")
            })?;
            let role: Role = role.trim().parse().map_err(|error| format!("{role}: {error}"))?;
            let rate = rate.parse().map_err(|error| format!("{rate}: {error}"))?;
            if rates.0[place(role)].replace(rate).is_some() {
                return Err(format!("{role} has two rates"));
            }
        }
        Ok(rates)
    }
}

/// The limits of a process, and what was counted towards them. Cheap to clone.
#[derive(Clone)]
pub struct RateLimits(Arc<Limits>);

struct Limits {
    per_principal: RatePerRole,
    per_address: Option<Rate>,
    principals: Limiter<Principal>,
    addresses: Limiter<IpAddr>,
}

impl RateLimits {
    /// Limits with these rates. Without a rate there is no limit.
    pub fn new(per_principal: RatePerRole, per_address: Option<Rate>) -> Self {
        let clock = DefaultClock::default();
        let (principals, addresses) = (Limiter::new(clock.clone()), Limiter::new(clock));
        Self(Arc::new(Limits { per_principal, per_address, principals, addresses }))
    }

    /// Counts a request of a principal. Its `own` rate takes the place of its role's. `None` if it has no limit.
    pub fn check(&self, principal: &Principal, role: Role, own: Option<Rate>) -> Option<Decision> {
        let rate = own.or_else(|| self.0.per_principal.of(role))?;
        Some(self.0.principals.check(principal, rate))
    }

    /// Counts a request from an address. `None` if addresses have no limit.
    pub fn check_address(&self, address: IpAddr) -> Option<Decision> {
        let rate = self.0.per_address?;
        Some(self.0.addresses.check(&network(address), rate))
    }
}

/// What is counted as one address: a customer of a provider has at least 2^64 addresses of IPv6.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let network = u128::from(address) & !u128::from(u64::MAX);
            IpAddr::V6(network.into())
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(per_principal: &str, per_address: &str) -> RateLimits {
        RateLimits::new(per_principal.parse().unwrap(), Some(per_address.parse().unwrap()))
    }

    fn principal(name: &str) -> Principal {
        Principal::named(name.to_owned())
    }

    #[test]
    fn each_principal_has_the_rate_of_its_role_or_its_own() {
        let limits = limits("viewer=1/h,submitter=2/h", "1/h");
        let remaining = |name, role, own: Option<&str>| {
            let own = own.map(|own| own.parse().unwrap());
            limits.check(&principal(name), role, own).map(|decision| decision.remaining)
        };
        assert_eq!(remaining("a", Role::Submitter, None), Some(1));
        assert_eq!(remaining("b", Role::Submitter, None), Some(1));
        assert_eq!(remaining("c", Role::Viewer, None), Some(0));
        assert_eq!(remaining("d", Role::Viewer, Some("10/h")), Some(9));
        assert_eq!(remaining("e", Role::Admin, None), None);
        let refused = limits.check(&principal("c"), Role::Viewer, None).unwrap();
        assert!(refused.refused_for.is_some());
    }

    #[test]
    fn one_rate_is_for_all_roles_and_a_wrong_text_is_refused() {
        let one: RatePerRole = "100/s".parse().unwrap();
        assert!(Role::ALL.iter().all(|role| one.of(*role).is_some()));
        for text in
            ["", "nobody=1/s", "viewer=1", "viewer=1/s,", "viewer=1/s,2/s", "viewer=1/s,viewer=2/s"]
        {
            assert!(text.parse::<RatePerRole>().is_err(), "{text}");
        }
    }

    #[test]
    fn addresses_of_ipv6_count_by_network_and_those_of_ipv4_alone() {
        let limits = limits("1/s", "2/h");
        let is_refused = |address: &str| {
            limits.check_address(address.parse().unwrap()).unwrap().refused_for.is_some()
        };
        assert!(!is_refused("2001:db8::1") && !is_refused("2001:db8::2"));
        assert!(is_refused("2001:db8::ffff:ffff:ffff:ffff"));
        assert!(!is_refused("2001:db8:0:1::1"));
        assert!(!is_refused("192.0.2.1") && !is_refused("::ffff:192.0.2.1"));
        assert!(is_refused("192.0.2.1") && !is_refused("192.0.2.2"));
    }
}
