//! Live updates: the change feed that the server sends, and what of it the page keeps.
//!
//! What a page does with a change is in the page's folder.

pub mod live;
