//! Verifying the chain of hashes. The hashes are computed here anew, from the columns alone; the migration `audit` says
//! of what.

use std::{fmt, str::FromStr};

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::Access;

/// Links that are read at once.
const PAGE: i64 = 1000;

/// A link of the chain by its number and hash, written `NUMBER:HASH`. Noted elsewhere, it shows later that no entry up to
/// this one was removed or changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditHead {
    /// The link's number; 0 before the first.
    pub number: i64,
    /// Its hash.
    pub hash: [u8; 32],
}

impl AuditHead {
    /// Before the first link.
    const START: Self = Self { number: 0, hash: [0; 32] };
}

impl fmt::Display for AuditHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.number, HEXLOWER.encode(&self.hash))
    }
}

/// The text is not a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("must be NUMBER:HASH, as `onceward audit verify` prints it")]
pub struct BadHead;

impl FromStr for AuditHead {
    type Err = BadHead;

    fn from_str(text: &str) -> Result<Self, BadHead> {
        let (number, hash) = text.split_once(':').ok_or(BadHead)?;
        let number = number.parse().ok().filter(|number| *number >= 0).ok_or(BadHead)?;
        let hash = HEXLOWER.decode(hash.as_bytes()).map_err(|_| BadHead)?;
        Ok(Self { number, hash: hash.try_into().map_err(|_| BadHead)? })
    }
}

/// A chain that holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified {
    /// Its last link. Its number is the number of entries.
    pub head: AuditHead,
}

impl fmt::Display for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} entries, head {}", self.head.number, self.head)
    }
}

/// Where a chain is broken first, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum AuditBreak {
    /// A number has no link.
    #[error("link {0} of the chain is missing")]
    LinkMissing(i64),
    /// A link's entry is gone.
    #[error("entry {id} is missing, which link {number} of the chain is for")]
    EntryMissing {
        /// The link.
        number: i64,
        /// The entry.
        id: i64,
    },
    /// A hash is not that of its entry and of the hash before it.
    #[error("link {number} of the chain does not fit entry {id}: the entry was changed, or a hash")]
    Differs {
        /// The link.
        number: i64,
        /// The entry.
        id: i64,
    },
    /// An entry has no link.
    #[error("entry {0} is not in the chain: it was put in without it")]
    NotInChain(i64),
    /// The chain ends before the head that was noted.
    #[error("the chain ends with link {0}, before the head that was noted: its end is missing")]
    EndMissing(i64),
    /// The chain is another one than that of the head that was noted.
    #[error("link {0} of the chain has another hash than the head that was noted")]
    OtherHead(i64),
}

/// Why a chain was not verified.
#[derive(Debug, Error)]
pub enum VerifyError {
    /// It is broken.
    #[error(transparent)]
    Broken(#[from] AuditBreak),
    /// PostgreSQL did not answer, or answered with an error.
    #[error("the audit cannot be read: {0}")]
    Database(#[from] sqlx::Error),
}

/// A link, and the columns of its entry, if that exists.
struct Link {
    number: i64,
    audit_id: i64,
    hash: Vec<u8>,
    id: Option<i64>,
    at_micros: Option<i64>,
    principal: Option<String>,
    kind: Option<String>,
    credential: Option<String>,
    address: Option<String>,
    request_id: Option<String>,
    action: Option<String>,
    object: Option<String>,
    outcome: Option<String>,
    before: Option<String>,
    after: Option<String>,
    reason: Option<String>,
    part_of: Option<String>,
}

impl Link {
    /// The hash that it must have after this one; `None` if its entry is missing.
    fn expected_hash(&self, previous: &[u8; 32]) -> Option<[u8; 32]> {
        let (id, at_micros) = (self.id?.to_string(), self.at_micros?.to_string());
        let columns = [
            &Some(id),
            &Some(at_micros),
            &self.principal,
            &self.kind,
            &self.credential,
            &self.address,
            &self.request_id,
            &self.action,
            &self.object,
            &self.outcome,
            &self.before,
            &self.after,
            &self.reason,
            &self.part_of,
        ];
        let mut hash = Sha256::new().chain_update(previous);
        for column in columns {
            match column {
                None => hash.update((-1_i32).to_be_bytes()),
                Some(text) => {
                    // A text of PostgreSQL has at most a gigabyte.
                    hash.update(u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes());
                    hash.update(text);
                }
            }
        }
        Some(hash.finalize().into())
    }
}

impl Access {
    /// Verifies the whole chain, however long that takes, and that the head `noted` is in it, if one was noted.
    ///
    /// # Errors
    /// [`VerifyError::Broken`] with the first break.
    pub async fn verify_audit(&self, noted: Option<AuditHead>) -> Result<Verified, VerifyError> {
        let mut head = AuditHead::START;
        loop {
            let links = self.links_after(head.number).await?;
            let is_last = links.len() < PAGE as usize;
            for link in links {
                head = next(&head, &link)?;
                if noted.is_some_and(|noted| noted.number == head.number && noted != head) {
                    return Err(AuditBreak::OtherHead(head.number).into());
                }
            }
            if is_last {
                break;
            }
        }
        if let Some(id) = self.entry_beside_chain().await? {
            return Err(AuditBreak::NotInChain(id).into());
        }
        match noted {
            Some(noted) if noted.number > head.number => {
                Err(AuditBreak::EndMissing(head.number).into())
            }
            _ => Ok(Verified { head }),
        }
    }

    async fn links_after(&self, number: i64) -> Result<Vec<Link>, sqlx::Error> {
        sqlx::query_as!(
            Link,
            r#"select c.number, c.audit_id, c.hash, a.id as "id?",
                (extract(epoch from a.at) * 1000000)::bigint as at_micros, a.principal as "principal?",
                a.kind as "kind?", a.credential, host(a.address) as address, a.request_id, a.action as "action?",
                a.object as "object?", a.outcome as "outcome?", a.before::text as before, a.after::text as after,
                a.reason, a.part_of
            from audit_chain c left join audit a on a.id = c.audit_id
            where c.number > $1 order by c.number limit $2"#,
            number,
            PAGE,
        )
        .fetch_all(self.pool.unbounded())
        .await
    }

    /// An entry that has no link.
    async fn entry_beside_chain(&self) -> Result<Option<i64>, sqlx::Error> {
        sqlx::query_scalar!(
            "select id from audit a
             where not exists (select from audit_chain c where c.audit_id = a.id)
             order by id limit 1",
        )
        .fetch_optional(self.pool.unbounded())
        .await
    }
}

/// The head with one more link.
fn next(head: &AuditHead, link: &Link) -> Result<AuditHead, AuditBreak> {
    let number = head.number + 1;
    if link.number != number {
        return Err(AuditBreak::LinkMissing(number));
    }
    let Some(hash) = link.expected_hash(&head.hash) else {
        return Err(AuditBreak::EntryMissing { number, id: link.audit_id });
    };
    match hash[..] == link.hash[..] {
        true => Ok(AuditHead { number, hash }),
        false => Err(AuditBreak::Differs { number, id: link.audit_id }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_the_same_after_its_text_is_parsed() {
        let head = AuditHead { number: 17, hash: [0xab; 32] };
        assert_eq!(head.to_string(), format!("17:{}", "ab".repeat(32)));
        assert_eq!(head.to_string().parse(), Ok(head));
        for text in ["", ":", "17", "17:ab", &format!("-1:{}", "ab".repeat(32))] {
            assert_eq!(text.parse::<AuditHead>(), Err(BadHead), "{text}");
        }
    }
}
