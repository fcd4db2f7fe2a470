//! Why PostgreSQL does not commit, from its errors.

use std::io;

/// A reason for which PostgreSQL commits nothing, whatever it is asked to store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CommitFault {
    /// Its disk is full.
    DiskFull,
    /// It takes no changes: a standby, or a database that is set to be read-only.
    ReadOnly,
    /// Its encoding has no room for a text. Other texts can be stored.
    Encoding,
    /// It refuses for another reason.
    Refused,
    /// It does not commit in time, because a lock is held, or it is overloaded.
    TimedOut,
    /// It does not answer.
    Unreachable,
}

impl CommitFault {
    /// The fault that an error shows.
    pub fn of(error: &sqlx::Error) -> Self {
        let code = match error {
            sqlx::Error::Io(error) if error.kind() == io::ErrorKind::TimedOut => {
                return Self::TimedOut;
            }
            sqlx::Error::Database(error) => error.code(),
            _ => None,
        };
        match code.as_deref() {
            Some("53100") => Self::DiskFull,
            Some("25006") => Self::ReadOnly,
            Some("22021" | "22P05") => Self::Encoding,
            // A lock's time-out, a statement's.
            Some("55P03" | "57014") => Self::TimedOut,
            // Connection exceptions, no such account or database, too many connections, shutting down or starting up.
            Some(code)
                if ["08", "28", "3D", "53300", "57P"]
                    .iter()
                    .any(|class| code.starts_with(class)) =>
            {
                Self::Unreachable
            }
            Some(_) => Self::Refused,
            None => Self::Unreachable,
        }
    }

    /// A short sentence for operators and clients.
    pub fn reason(self) -> &'static str {
        match self {
            Self::DiskFull => "the database refuses to store anything: its disk is full",
            Self::ReadOnly => "the database refuses to store anything: it is read-only",
            Self::Encoding => "the database refuses a text that its encoding cannot store",
            Self::Refused => "the database refused to carry it out",
            Self::TimedOut => "the database does not confirm in time",
            Self::Unreachable => "the database does not answer",
        }
    }

    /// Whether PostgreSQL has answered that it did nothing.
    pub fn is_refusal(self) -> bool {
        !matches!(self, Self::TimedOut | Self::Unreachable)
    }
}
