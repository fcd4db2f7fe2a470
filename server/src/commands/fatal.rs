//! Errors that end the program.

/// An error that ends the program, as a sentence for the operator.
pub type Fatal = Box<dyn std::error::Error + Send + Sync>;
