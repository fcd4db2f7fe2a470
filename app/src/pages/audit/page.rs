//! The page of the audit. It is read once, and does not follow changes.

use domain::AuditPage;
use leptos::prelude::*;

use crate::pages::{
    audit::{AuditQuery, filters::AuditFilters, list::AuditList},
    people::Frame,
};

/// Who did what, and who was refused what, newest first.
#[derive(Debug, Clone)]
pub struct Audit {
    /// The filter in the address.
    pub query: AuditQuery,
    /// The entries, or what is wrong with the filter, as a sentence.
    pub page: Result<AuditPage, String>,
}

impl Audit {
    /// The whole document.
    pub fn document(self, frame: Frame) -> String {
        let Self { query, page } = self;
        let list = match page {
            Ok(page) => view! { <AuditList query=query.clone() page/> }.into_any(),
            Err(wrong) => view! { <p role="alert" class="empty">{wrong}</p> }.into_any(),
        };
        let content = view! {
            <AuditFilters query/>
            {list}
        };
        frame.document("Audit", content)
    }
}
