//! Addresses of the list and its pages.

use domain::State;

/// The address of a page of the list.
pub fn list_address(status: Option<State>, cursor: Option<&str>) -> String {
    match (status, cursor) {
        (None, None) => "/".to_owned(),
        (Some(status), None) => format!("/?status={status}"),
        (None, Some(cursor)) => format!("/?cursor={cursor}"),
        (Some(status), Some(cursor)) => format!("/?status={status}&cursor={cursor}"),
    }
}
