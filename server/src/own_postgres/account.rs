//! The account that PostgreSQL runs as. PostgreSQL refuses to run as root, so under root it is another account.

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, lchown},
    path::{Path, PathBuf},
};

use nix::unistd::{Uid, User};
use tokio::process::Command;

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

    /// Creates a folder that only this account can enter. A folder of root's, as a copy made by root is, is given to
    /// the account with all that is in it.
    ///
    /// # Errors
    /// If it cannot be created, or exists and belongs to another account.
    pub fn make_dir(&self, path: &Path) -> io::Result<()> {
        if fs::symlink_metadata(path).is_err() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        }
        let metadata = fs::symlink_metadata(path)?;
        let owner = match self {
            Self::Own => Uid::effective(),
            Self::Other(user) => {
                if metadata.is_dir() && metadata.uid() == 0 {
                    give(path, user)?;
                }
                user.uid
            }
        };
        let metadata = fs::symlink_metadata(path)?;
        if !metadata.is_dir() || metadata.uid() != owner.as_raw() {
            let message =
                format!("{} is not a folder that belongs to PostgreSQL's account", path.display());
            return Err(io::Error::other(message));
        }
        fs::set_permissions(path, fs::Permissions::from_mode(0o700))
    }

    /// The first folder above `path` that this account cannot enter.
    pub fn barred_by(&self, path: &Path) -> Option<PathBuf> {
        let Self::Other(user) = self else { return None };
        let mut above: Vec<&Path> = path.ancestors().skip(1).collect();
        above.reverse();
        above.into_iter().find(|folder| !can_enter(user, folder)).map(Path::to_path_buf)
    }

    /// Lets this account's group pass through a folder of root's that no group may enter so far.
    ///
    /// # Errors
    /// If the folder is another account's or another group's.
    pub fn let_into(&self, folder: &Path) -> io::Result<()> {
        let Self::Other(user) = self else { return Ok(()) };
        let metadata = fs::symlink_metadata(folder)?;
        if metadata.uid() != 0 || metadata.mode() & 0o070 != 0 {
            return Err(io::Error::other("it is in use by another account or group"));
        }
        lchown(folder, None, Some(user.gid.as_raw()))?;
        fs::set_permissions(folder, fs::Permissions::from_mode(metadata.mode() & 0o7777 | 0o010))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        match self {
            Self::Own => "that Onceward runs as",
            Self::Other(user) => &user.name,
        }
    }
}

/// Makes the account the owner of a folder and of all that is in it.
fn give(path: &Path, user: &User) -> io::Result<()> {
    if fs::symlink_metadata(path)?.is_dir() {
        for entry in fs::read_dir(path)? {
            give(&entry?.path(), user)?;
        }
    }
    lchown(path, Some(user.uid.as_raw()), Some(user.gid.as_raw()))
}

/// It has no groups but its first one.
fn can_enter(user: &User, folder: &Path) -> bool {
    fs::metadata(folder).is_ok_and(|metadata| {
        let may = if metadata.uid() == user.uid.as_raw() {
            0o100
        } else if metadata.gid() == user.gid.as_raw() {
            0o010
        } else {
            0o001
        };
        metadata.mode() & may != 0
    })
}
