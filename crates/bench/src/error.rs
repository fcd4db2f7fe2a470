//! The error type of the whole harness.

/// The error is a sentence for the operator who runs the benchmarks.
pub type Fallible<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;
