//! The folder of PostgreSQL's files: `postgres` in ONCEWARD_DATA. It holds the cluster, its lock, its log and usually
//! its socket, so a copy of it is a cluster of its own.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Write},
    os::unix::{
        ffi::{OsStrExt, OsStringExt},
        fs::OpenOptionsExt,
    },
    path::{Path, PathBuf},
};

use super::{account::Account, error::OwnPostgresError, private_mount};

/// Earlier versions kept the files of some folders in here, and a link to them in ONCEWARD_DATA.
const FORMER: &str = "/var/lib/onceward";
/// Names the ONCEWARD_DATA that a linked folder belongs to.
const OWNER: &str = "belongs-to";

/// The folder of PostgreSQL's files, locked for this process.
pub struct Home {
    /// The folder.
    pub path: PathBuf,
    /// The account that PostgreSQL runs as.
    pub account: Account,
    /// Whether PostgreSQL sees the folder at [`private_mount::PLACE`].
    pub is_mounted: bool,
    /// Held as long as this process is alive; the system releases them however the process ends.
    _locks: Vec<File>,
}

impl Home {
    /// Creates or finds the folder, and locks it. `data` is canonical.
    ///
    /// # Errors
    /// If another process holds it, or it belongs to another ONCEWARD_DATA.
    pub fn lock(data: &Path) -> Result<Self, OwnPostgresError> {
        let wanted = data.join("postgres");
        let failed = |error| OwnPostgresError::Folder { path: wanted.clone(), error };
        finish_move(&wanted).map_err(failed)?;
        let path = match wanted.is_symlink() {
            true => linked(data, &wanted)?,
            false => wanted.clone(),
        };
        let account = Account::choose(&path).map_err(failed)?;
        account.make_dir(&path).map_err(failed)?;
        let mut locks = vec![lock(&path.join("onceward.lock"), data)?];
        let former = data.join("onceward.lock");
        if former.exists() {
            // A process of an earlier version holds this one.
            locks.push(lock(&former, data)?);
        }
        if path != wanted {
            let owner = path.join(OWNER);
            let written = open(&owner).and_then(|mut file| {
                file.set_len(0)?;
                file.write_all(data.as_os_str().as_bytes())
            });
            written.map_err(|error| OwnPostgresError::Folder { path: owner, error })?;
        }
        Ok(Self { path, account, is_mounted: false, _locks: locks })
    }

    /// Sees to it that the files are in ONCEWARD_DATA if they can be moved there, and that PostgreSQL's account
    /// reaches them. No PostgreSQL may be running on them.
    ///
    /// # Errors
    /// If it cannot reach them.
    pub fn settle(&mut self, data: &Path) -> Result<(), OwnPostgresError> {
        let wanted = data.join("postgres");
        if self.path != wanted
            && self.path.parent() == Some(Path::new(FORMER))
            && self.reach(data, &wanted).is_ok()
        {
            match move_to(&self.path, &wanted) {
                Ok(()) => {
                    tracing::info!(from = %self.path.display(), to = %wanted.display(), "PostgreSQL's files were moved into ONCEWARD_DATA");
                    self.path = wanted;
                }
                Err(error) => tracing::warn!(
                    %error, folder = %self.path.display(),
                    "PostgreSQL's files are not in ONCEWARD_DATA, which links to them: a copy of ONCEWARD_DATA has no data"
                ),
            }
        }
        let path = self.path.clone();
        self.is_mounted = self.reach(data, &path)?;
        Ok(())
    }

    /// Makes a folder reachable for the account. Returns whether it is by a mount.
    fn reach(&self, data: &Path, path: &Path) -> Result<bool, OwnPostgresError> {
        let barred_by = || self.account.barred_by(path);
        if barred_by().is_some_and(|folder| folder == data)
            && let Err(error) = self.account.let_into(data)
        {
            tracing::debug!(%error, "PostgreSQL's account is not let into ONCEWARD_DATA");
        }
        let Some(folder) = barred_by() else { return Ok(false) };
        private_mount::check(&self.path).map(|()| true).map_err(|error| OwnPostgresError::Barred {
            account: self.account.name().to_owned(),
            folder,
            error: io::Error::new(error.kind(), format!("cannot be given another way ({error})")),
        })
    }

    /// The folder as PostgreSQL sees it.
    pub fn seen(&self) -> &Path {
        if self.is_mounted { Path::new(private_mount::PLACE) } else { &self.path }
    }

    /// The cluster.
    pub fn cluster(&self) -> PathBuf {
        self.path.join("cluster")
    }

    /// PostgreSQL's log.
    pub fn log(&self) -> PathBuf {
        self.path.join("postgres.log")
    }
}

/// Opens a file of a folder that belongs to another account, which might have put a link there.
pub fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    options.mode(0o600).custom_flags(nix::libc::O_NOFOLLOW).open(path)
}

fn lock(path: &Path, data: &Path) -> Result<File, OwnPostgresError> {
    let failed = |error| OwnPostgresError::Folder { path: path.to_path_buf(), error };
    let file = open(path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OwnPostgresError::InUse(data.to_path_buf())),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

/// The folder that a link leads to, unless it is that of another ONCEWARD_DATA: a copy of a folder with a link must
/// not use the original's files.
fn linked(data: &Path, link: &Path) -> Result<PathBuf, OwnPostgresError> {
    let failed = |error| OwnPostgresError::Folder { path: link.to_path_buf(), error };
    let home = link.canonicalize().map_err(failed)?;
    let owner = match fs::read(home.join(OWNER)) {
        Ok(owner) => Some(PathBuf::from(OsString::from_vec(owner))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(failed(error)),
    };
    let is_former = home.parent() == Some(Path::new(FORMER));
    let other = match owner {
        Some(owner) if owner == data => None,
        // A folder that was moved is its own all the same.
        Some(owner) => {
            let leads_here = owner.join("postgres").canonicalize().is_ok_and(|path| path == home);
            leads_here.then(|| owner.display().to_string())
        }
        // The earlier versions named a folder after the hash of its link.
        None if is_former && home != Path::new(FORMER).join(hash_name(link)) => {
            Some("another ONCEWARD_DATA".to_owned())
        }
        None => None,
    };
    match other {
        None => Ok(home),
        Some(owner) => Err(OwnPostgresError::NotItsOwn { link: link.to_path_buf(), home, owner }),
    }
}

/// Moves the folder to where its link is. The way over another name leaves no moment in which the files cannot be
/// found again.
fn move_to(home: &Path, wanted: &Path) -> io::Result<()> {
    fs::rename(home, moving(wanted))?;
    finish_move(wanted)
}

fn finish_move(wanted: &Path) -> io::Result<()> {
    let moving = moving(wanted);
    if moving.is_dir() && (wanted.is_symlink() || !wanted.exists()) {
        if wanted.is_symlink() {
            fs::remove_file(wanted)?;
        }
        fs::rename(moving, wanted)?;
        // It belongs to where it is from now on.
        return match fs::remove_file(wanted.join(OWNER)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        };
    }
    Ok(())
}

fn moving(wanted: &Path) -> PathBuf {
    wanted.with_extension("moving")
}

/// A name for a path: its hash (FNV-1a), which is stable across versions of Onceward.
pub fn hash_name(path: &Path) -> String {
    let hash = path.as_os_str().as_bytes().iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_link_leads_to_the_files_of_one_folder_which_may_be_moved_but_not_copied() {
        let parent = tempfile::tempdir().unwrap();
        let parent = parent.path().canonicalize().unwrap();
        let (home, data, copy) = (parent.join("disk"), parent.join("data"), parent.join("copy"));
        for folder in [&home, &data, &copy] {
            fs::create_dir(folder).unwrap();
        }
        for folder in [&data, &copy] {
            symlink(&home, folder.join("postgres")).unwrap();
        }
        assert_eq!(linked(&data, &data.join("postgres")).unwrap(), home);
        fs::write(home.join(OWNER), data.as_os_str().as_bytes()).unwrap();
        assert_eq!(linked(&data, &data.join("postgres")).unwrap(), home);
        let refused = linked(&copy, &copy.join("postgres")).unwrap_err().to_string();
        assert!(refused.contains(&data.display().to_string()), "{refused}");

        let moved = parent.join("moved");
        fs::rename(&data, &moved).unwrap();
        assert_eq!(linked(&moved, &moved.join("postgres")).unwrap(), home);
    }

    #[test]
    fn a_move_that_was_interrupted_is_finished() {
        let parent = tempfile::tempdir().unwrap();
        let (home, wanted) = (parent.path().join("home"), parent.path().join("postgres"));
        fs::create_dir(&home).unwrap();
        fs::write(home.join("file"), "kept").unwrap();
        symlink(&home, &wanted).unwrap();
        fs::rename(&home, moving(&wanted)).unwrap();
        finish_move(&wanted).unwrap();
        assert!(!wanted.is_symlink());
        assert_eq!(fs::read_to_string(wanted.join("file")).unwrap(), "kept");
        finish_move(&wanted).unwrap();
    }
}
