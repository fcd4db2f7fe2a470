//! Printing the result of a command.

use std::io::{self, ErrorKind, Write};

use super::fatal::Fatal;

/// Prints a text and a newline to standard output. A reader that has what it wanted and is gone is no error.
///
/// # Errors
/// If it cannot be written.
pub fn print(text: impl std::fmt::Display) -> Result<(), Fatal> {
    let mut stdout = io::stdout().lock();
    match writeln!(stdout, "{text}").and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(format!("the result could not be printed: {error}").into())
        }
        _ => Ok(()),
    }
}
