//! The account that PostgreSQL runs as. It refuses to run as root, so there it is another one.

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown},
    path::{Path, PathBuf},
};

use nix::unistd::{Uid, User};
use tokio::process::Command;

/// Where an account's files go when it cannot reach ours.
const REACHABLE: &str = "/var/lib/onceward";

/// The account that PostgreSQL runs as.
pub enum Account {
    /// The one that Onceward runs as.
    Own,
    /// Another one, for Onceward runs as root.
    Other(User),
}

impl Account {
    /// Ours, or, where we are root, the system's `postgres`, or `nobody`.
    ///
    /// # Errors
    /// Where there is neither.
    pub fn choose() -> io::Result<Self> {
        if !Uid::effective().is_root() {
            return Ok(Self::Own);
        }
        for name in ["postgres", "nobody"] {
            if let Some(user) = User::from_name(name)? {
                return Ok(Self::Other(user));
            }
        }
        Err(io::Error::other(
            "PostgreSQL does not run as root, and there is no other account for it",
        ))
    }

    /// Makes a command run as this account.
    pub fn apply(&self, command: &mut Command) {
        if let Self::Other(user) = self {
            command.uid(user.uid.as_raw()).gid(user.gid.as_raw()).env("HOME", "/");
        }
    }

    /// Makes a folder that is this account's alone.
    ///
    /// # Errors
    /// Where it cannot be made, or is somebody else's.
    pub fn make_dir(&self, path: &Path) -> io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        let owner = match self {
            Self::Own => Uid::effective(),
            Self::Other(user) => {
                chown(path, Some(user.uid.as_raw()), Some(user.gid.as_raw()))?;
                user.uid
            }
        };
        let metadata = fs::symlink_metadata(path)?;
        if metadata.uid() != owner.as_raw() || !metadata.is_dir() {
            return Err(io::Error::other(format!("{} is not a folder of its own", path.display())));
        }
        fs::set_permissions(path, fs::Permissions::from_mode(0o700))
    }

    /// The account's folder for what is to be at `wanted`: there, or, where it cannot reach that (a
    /// checkout in root's own home, say), under `/var/lib/onceward` with a link to it.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn home(&self, wanted: &Path) -> io::Result<PathBuf> {
        let home = match self {
            Self::Other(user) if !reaches(user, wanted) => {
                let elsewhere = Path::new(REACHABLE).join(format!("{:016x}", hash(wanted)));
                fs::create_dir_all(REACHABLE)?;
                if fs::symlink_metadata(wanted).is_err() {
                    std::os::unix::fs::symlink(&elsewhere, wanted)?;
                    tracing::info!(
                        account = user.name, home = %elsewhere.display(),
                        "PostgreSQL's account cannot reach ONCEWARD_DATA; its files are linked from there"
                    );
                }
                elsewhere
            }
            _ => wanted.to_path_buf(),
        };
        self.make_dir(&home)?;
        Ok(home)
    }
}

/// Whether an account may pass through every folder above a path.
fn reaches(user: &User, path: &Path) -> bool {
    path.ancestors().skip(1).all(|folder| {
        fs::metadata(folder).is_ok_and(|metadata| {
            let owns = metadata.uid() == user.uid.as_raw() && metadata.mode() & 0o100 != 0;
            owns || metadata.mode() & 0o001 != 0
        })
    })
}

/// A number that stands for a path: FNV-1a, which stays the same from one version to the next.
pub fn hash(path: &Path) -> u64 {
    path.as_os_str().as_encoded_bytes().iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
