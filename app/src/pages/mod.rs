//! The pages, one folder or file for each: the page and all that only it uses.
//!
//! What several pages use is in [`components`](crate::components); what the server does for them is
//! in [`server_functions`](crate::server_functions).

#[cfg(feature = "ssr")]
pub mod audit;
pub mod not_found;
#[cfg(feature = "ssr")]
pub mod people;
pub mod transaction;
pub mod transactions;
