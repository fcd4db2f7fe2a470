//! The account that PostgreSQL runs as. PostgreSQL refuses to run as root, so under root it is another account.

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, lchown},
    path::{Path, PathBuf},
};

use nix::unistd::{Uid, User};
use tokio::process::Command;

/// The folder for the account's files if it cannot reach Onceward's folder.
const REACHABLE: &str = "/var/lib/onceward";

/// The account that PostgreSQL runs as.
pub enum Account {
    /// The one that Onceward runs as.
    Own,
    /// Another one, because Onceward runs as root.
    Other(User),
}

impl Account {
    /// Chooses Onceward's own account or, under root, the owner of `home`, the system's `postgres`, or `nobody`.
    ///
    /// # Errors
    /// If there is no such account.
    pub fn choose(home: &Path) -> io::Result<Self> {
        if !Uid::effective().is_root() {
            return Ok(Self::Own);
        }
        let owner = fs::metadata(home).map(|metadata| Uid::from_raw(metadata.uid())).ok();
        if let Some(owner) = owner.filter(|owner| !owner.is_root())
            && let Some(user) = User::from_uid(owner)?
        {
            return Ok(Self::Other(user));
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

    /// Makes a command run under this account.
    pub fn apply(&self, command: &mut Command) {
        if let Self::Other(user) = self {
            command.uid(user.uid.as_raw()).gid(user.gid.as_raw()).env("HOME", "/");
        }
    }

    /// Creates a folder that only this account can enter.
    ///
    /// # Errors
    /// If it cannot be created, or exists and belongs to another account.
    pub fn make_dir(&self, path: &Path) -> io::Result<()> {
        let owner = match self {
            Self::Own => Uid::effective(),
            Self::Other(user) => user.uid,
        };
        if fs::symlink_metadata(path).is_err() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
            if let Self::Other(user) = self {
                lchown(path, Some(user.uid.as_raw()), Some(user.gid.as_raw()))?;
            }
        }
        let metadata = fs::symlink_metadata(path)?;
        if !metadata.is_dir() || metadata.uid() != owner.as_raw() {
            let message =
                format!("{} is not a folder that belongs to PostgreSQL's account", path.display());
            return Err(io::Error::other(message));
        }
        fs::set_permissions(path, fs::Permissions::from_mode(0o700))
    }

    /// Returns the account's folder: `wanted` or, if the account cannot reach that (a checkout in root's home, for
    /// example), a folder under `/var/lib/onceward` that `wanted` links to.
    ///
    /// # Errors
    /// If it cannot be created, or exists and can no longer be reached.
    pub fn home(&self, wanted: &Path) -> io::Result<PathBuf> {
        let home = match (self, fs::symlink_metadata(wanted)) {
            (_, Ok(metadata)) if metadata.is_symlink() => fs::read_link(wanted)?,
            (Self::Other(user), Ok(_)) if !can_reach(user, wanted) => {
                let message =
                    format!("the account {} cannot reach {}", user.name, wanted.display());
                return Err(io::Error::other(message));
            }
            (Self::Other(user), Err(_)) if !can_reach(user, wanted) => {
                let home = Path::new(REACHABLE).join(format!("{:016x}", hash(wanted)));
                fs::create_dir_all(REACHABLE)?;
                move_aside(&home)?;
                std::os::unix::fs::symlink(&home, wanted)?;
                tracing::info!(
                    account = user.name, home = %home.display(),
                    "PostgreSQL's account cannot reach ONCEWARD_DATA, so its files are in another folder, linked from there"
                );
                home
            }
            _ => wanted.to_path_buf(),
        };
        self.make_dir(&home)?;
        Ok(home)
    }
}

/// Moves the database of a deleted ONCEWARD_DATA out of the way of its successor.
fn move_aside(home: &Path) -> io::Result<()> {
    if !home.exists() {
        return Ok(());
    }
    let aside = (1_u32..)
        .map(|number| home.with_extension(format!("old{number}")))
        .find(|path| !path.exists())
        .ok_or_else(|| io::Error::other("every name for the older database is taken"))?;
    tracing::warn!(aside = %aside.display(), "an older database was in this folder; it was moved and kept");
    fs::rename(home, aside)
}

/// Whether an account can pass through every folder above a path.
fn can_reach(user: &User, path: &Path) -> bool {
    path.ancestors().skip(1).all(|folder| {
        fs::metadata(folder).is_ok_and(|metadata| {
            let owns = metadata.uid() == user.uid.as_raw() && metadata.mode() & 0o100 != 0;
            owns || metadata.mode() & 0o001 != 0
        })
    })
}

/// A hash of a path (FNV-1a), which is stable across versions of Onceward.
pub fn hash(path: &Path) -> u64 {
    path.as_os_str().as_encoded_bytes().iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
