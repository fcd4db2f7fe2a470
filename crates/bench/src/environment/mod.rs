//! What the scenarios run on: the PostgreSQL cluster, the Onceward processes, the posting service,
//! the machine, and the profile of where time goes.
//!
//! Not here: what is measured ([`crate::scenarios`]).

pub mod cluster;
pub mod machine;
pub mod onceward_process;
pub mod posting_service;
pub mod profile;
pub mod testbed;
