//! Errors that end the program.

/// What ends the program before its time: a sentence for whoever started it.
pub type Fatal = Box<dyn std::error::Error + Send + Sync>;
