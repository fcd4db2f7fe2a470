//! Addresses of the audit, its pages and its export: the filter is in them.

use leptos_router::params::ParamsMap;

use crate::{components::address::address, pages::audit::AuditQuery};

/// The address of the page of the audit that begins at `cursor`, or of its newest page.
pub fn audit_address(query: &AuditQuery, cursor: Option<&str>) -> String {
    with_query("/audit", query, cursor.map(|cursor| ("cursor", cursor)))
}

/// The address of all entries as a file.
pub fn export_address(query: &AuditQuery, format: &str) -> String {
    with_query("/api/audit/export", query, Some(("format", format)))
}

fn with_query(path: &str, query: &AuditQuery, more: Option<(&str, &str)>) -> String {
    let mut params = ParamsMap::new();
    let fields = [
        ("principal", &query.principal),
        ("action", &query.action),
        ("object", &query.object),
        ("from", &query.from),
        ("to", &query.to),
    ];
    for (name, value) in fields {
        if !value.trim().is_empty() {
            params.insert(name.to_owned(), value.trim().to_owned());
        }
    }
    if let Some((name, value)) = more {
        params.insert(name.to_owned(), value.to_owned());
    }
    address(&format!("{path}{}", params.to_query_string()))
}

#[cfg(all(test, feature = "ssr"))]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_what_filters_and_no_more() {
        let query = AuditQuery { object: " client:a&b ".to_owned(), ..AuditQuery::default() };
        assert_eq!(audit_address(&query, None), "/audit?object=client%3Aa%26b");
        assert_eq!(audit_address(&AuditQuery::default(), Some("1_2")), "/audit?cursor=1%5F2");
        assert_eq!(audit_address(&AuditQuery::default(), None), "/audit");
    }
}
