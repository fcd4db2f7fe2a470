//! The results of a run: all figures, their goals, the Markdown text, and the files it is written
//! to.
//!
//! Not here: how anything is measured ([`crate::scenarios`]).

pub mod figures;
mod goals;
mod markdown;
pub mod output;
