//! Values that are read from files, and read again when a file changes: credentials and certificates are replaced
//! while Onceward runs.

use std::{
    fmt,
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use secrecy::SecretSlice;

/// How often a file is looked at, at most.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// The largest file that is read.
const MAX_BYTES: u64 = 1024 * 1024;

/// A file that a setting names.
#[derive(Debug, Clone)]
pub struct SettingFile {
    /// The setting's name.
    pub setting: &'static str,
    /// The file.
    pub path: PathBuf,
}

/// Why a file that a setting names cannot be used. Nothing of its content is in the error.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{setting}: {reason}")]
pub struct FileError {
    setting: &'static str,
    reason: String,
}

impl FileError {
    /// An error of the file that this setting names.
    pub fn new(setting: &'static str, reason: impl fmt::Display) -> Self {
        Self { setting, reason: reason.to_string() }
    }
}

/// Turns the contents of the files, in order, into the value.
type Parse<T> = Box<dyn Fn(&[SecretSlice<u8>]) -> Result<T, FileError> + Send + Sync>;

/// The value that some files stand for, as long as they can be read the latest. Cheap to clone.
pub struct Watched<T>(Arc<Inner<T>>);

struct Inner<T> {
    files: Vec<SettingFile>,
    parse: Parse<T>,
    state: Mutex<State<T>>,
}

struct State<T> {
    value: Arc<T>,
    /// What told the files apart from later ones when `value` was read.
    stamps: Vec<Stamp>,
    checked_at: Instant,
    /// Whether the latest check found files that cannot be used.
    is_outdated: bool,
}

/// What changes when a file is written or replaced. Of what is no regular file, such as a pipe, nothing does: it can
/// be read only once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    bytes: u64,
    modified_ns: i128,
    changed_ns: i128,
}

impl<T> Clone for Watched<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// Without the value, which may be a secret.
impl<T> fmt::Debug for Watched<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(&self.0.files).finish()
    }
}

impl<T: Send + Sync + 'static> Watched<T> {
    /// Reads the files.
    ///
    /// # Errors
    /// A file cannot be read, or `parse` refuses what is in it.
    pub fn read(
        files: Vec<SettingFile>,
        parse: impl Fn(&[SecretSlice<u8>]) -> Result<T, FileError> + Send + Sync + 'static,
    ) -> Result<Self, FileError> {
        let stamps = stamps(&files)?;
        let value = Arc::new(parse(&contents(&files)?)?);
        let state = State { value, stamps, checked_at: Instant::now(), is_outdated: false };
        let state = Mutex::new(state);
        Ok(Self(Arc::new(Inner { files, parse: Box::new(parse), state })))
    }

    /// A value that never changes.
    pub fn constant(value: T) -> Self {
        let unused = |_: &[SecretSlice<u8>]| Err(FileError::new("no file", "is read"));
        let (value, stamps) = (Arc::new(value), Vec::new());
        let state = State { value, stamps, checked_at: Instant::now(), is_outdated: false };
        let state = Mutex::new(state);
        Self(Arc::new(Inner { files: Vec::new(), parse: Box::new(unused), state }))
    }

    /// The value. At most once a second one caller first looks whether the files have changed; meanwhile the others
    /// get the value as it is.
    pub async fn current(&self) -> Arc<T> {
        if self.0.is_due() {
            self.read_again().await;
        }
        self.0.state().value.clone()
    }

    /// Reads the files again if they have changed, however long ago that was last tried, and returns whether the
    /// value is another than `known`.
    pub async fn differs_from(&self, known: &Arc<T>) -> bool {
        self.read_again().await;
        !Arc::ptr_eq(known, &self.0.state().value)
    }

    async fn read_again(&self) {
        if self.0.files.is_empty() {
            return;
        }
        let inner = self.0.clone();
        // A file may be on a slow disk. A panic is logged where it happens, and the value stays.
        let _ = tokio::task::spawn_blocking(move || inner.read_again()).await;
    }
}

impl<T> Inner<T> {
    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the files are to be looked at now, by this caller.
    fn is_due(&self) -> bool {
        if self.files.is_empty() {
            return false;
        }
        let mut state = self.state();
        let is_due = state.checked_at.elapsed() >= CHECK_INTERVAL;
        if is_due {
            state.checked_at = Instant::now();
        }
        is_due
    }

    fn read_again(&self) {
        match self.replace_if_changed() {
            Ok(false) => {}
            Ok(true) => {
                tracing::info!(
                    settings = self.settings(),
                    "files have changed and were read again"
                );
            }
            Err(error) => {
                let was_outdated = std::mem::replace(&mut self.state().is_outdated, true);
                if !was_outdated {
                    tracing::warn!(%error, "what was read from the file before stays in use");
                }
            }
        }
    }

    /// Replaces the value if the files have changed, and returns whether they have.
    fn replace_if_changed(&self) -> Result<bool, FileError> {
        // Before the contents: if a file changes while it is read, the next check finds that.
        let stamps = stamps(&self.files)?;
        let is_changed = stamps != self.state().stamps;
        if is_changed {
            let value = Arc::new((self.parse)(&contents(&self.files)?)?);
            let mut state = self.state();
            (state.value, state.stamps) = (value, stamps);
        }
        self.state().is_outdated = false;
        Ok(is_changed)
    }

    fn settings(&self) -> String {
        let names: Vec<_> = self.files.iter().map(|file| file.setting).collect();
        names.join(", ")
    }
}

fn stamps(files: &[SettingFile]) -> Result<Vec<Stamp>, FileError> {
    files.iter().map(|file| stamp(&file.path).map_err(|error| unreadable(file, &error))).collect()
}

#[cfg(unix)]
fn stamp(path: &Path) -> io::Result<Stamp> {
    use std::os::unix::fs::MetadataExt;

    let metadata = path.metadata()?;
    let nanoseconds =
        |seconds: i64, rest: i64| i128::from(seconds) * 1_000_000_000 + i128::from(rest);
    Ok(match metadata.is_file() {
        false => Stamp::default(),
        true => Stamp {
            inode: metadata.ino(),
            bytes: metadata.len(),
            modified_ns: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
            changed_ns: nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
        },
    })
}

fn contents(files: &[SettingFile]) -> Result<Vec<SecretSlice<u8>>, FileError> {
    let read = |file: &SettingFile| {
        let mut bytes = Vec::new();
        File::open(&file.path)
            .and_then(|content| content.take(MAX_BYTES + 1).read_to_end(&mut bytes))
            .map_err(|error| unreadable(file, &error))?;
        if bytes.len() as u64 > MAX_BYTES {
            let path = file.path.display();
            return Err(FileError::new(file.setting, format!("{path} is larger than 1 MiB")));
        }
        Ok(SecretSlice::from(bytes))
    };
    files.iter().map(read).collect()
}

fn unreadable(file: &SettingFile, error: &io::Error) -> FileError {
    FileError::new(file.setting, format!("{} cannot be read: {error}", file.path.display()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use secrecy::ExposeSecret;

    use super::*;

    struct Fixture {
        folder: tempfile::TempDir,
        watched: Watched<String>,
    }

    /// Refuses an empty file.
    fn text(contents: &[SecretSlice<u8>]) -> Result<String, FileError> {
        let text = String::from_utf8_lossy(contents[0].expose_secret()).into_owned();
        if text.is_empty() { Err(FileError::new("A_FILE", "is empty")) } else { Ok(text) }
    }

    fn fixture() -> Fixture {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        fs::write(&path, "first").unwrap();
        let watched = Watched::read(vec![SettingFile { setting: "A_FILE", path }], text).unwrap();
        Fixture { folder, watched }
    }

    impl Fixture {
        fn write(&self, content: &str) {
            fs::write(self.folder.path().join("secret"), content).unwrap();
        }

        /// Puts another file in its place, as a rotation does.
        fn replace(&self, content: &str) {
            let other = self.folder.path().join("other");
            fs::write(&other, content).unwrap();
            fs::rename(other, self.folder.path().join("secret")).unwrap();
        }

        /// The value after a check.
        fn checked(&self) -> String {
            self.watched.0.read_again();
            self.watched.0.state().value.to_string()
        }
    }

    #[test]
    fn a_file_that_was_written_or_replaced_is_read_again() {
        let fixture = fixture();
        assert_eq!(fixture.checked(), "first");
        fixture.replace("again");
        assert_eq!(fixture.checked(), "again");
        fixture.write("written");
        assert_eq!(fixture.checked(), "written");
    }

    #[test]
    fn a_file_that_disappears_or_cannot_be_used_keeps_its_value() {
        let fixture = fixture();
        fs::remove_file(fixture.folder.path().join("secret")).unwrap();
        assert_eq!(fixture.checked(), "first");
        assert!(fixture.watched.0.state().is_outdated);
        fixture.write("");
        assert_eq!(fixture.checked(), "first");
        fixture.write("second");
        assert_eq!(fixture.checked(), "second");
        assert!(!fixture.watched.0.state().is_outdated);
    }

    #[tokio::test]
    async fn a_caller_with_an_older_value_learns_that_there_is_another_one_at_once() {
        let fixture = fixture();
        let known = fixture.watched.current().await;
        assert!(!fixture.watched.differs_from(&known).await);
        fixture.replace("other");
        assert!(fixture.watched.differs_from(&known).await);
        assert_eq!(*fixture.watched.current().await, "other");
    }

    #[test]
    fn neither_an_error_nor_debug_contains_what_is_in_the_file() {
        let fixture = fixture();
        assert!(!format!("{:?}", fixture.watched).contains("first"));
        let path = fixture.folder.path().join("none");
        let missing = Watched::read(vec![SettingFile { setting: "A_FILE", path }], text);
        let error = missing.unwrap_err().to_string();
        assert!(error.starts_with("A_FILE: ") && error.contains("none cannot be read"), "{error}");
    }
}
