//! Addresses of the list and its pages.

use domain::State;

use crate::components::address::address;

/// The address of a page of the list.
pub fn list_address(status: Option<State>, cursor: Option<&str>) -> String {
    address(&match (status, cursor) {
        (None, None) => "/".to_owned(),
        (Some(status), None) => format!("/?status={status}"),
        (None, Some(cursor)) => format!("/?cursor={cursor}"),
        (Some(status), Some(cursor)) => format!("/?status={status}&cursor={cursor}"),
    })
}
