//! The HTTP side: the router, the handlers of the posting service and of the admin interface, the
//! responses they share, and connections that can be reset.
//!
//! Not here: which faults a request meets ([`crate::fault_draw`]), the shared state
//! ([`crate::service`]), and storage ([`crate::ledger`]).

mod admin;
mod connection;
mod response;
mod router;
mod tokens;
mod transactions;

pub(crate) use router::serve;
