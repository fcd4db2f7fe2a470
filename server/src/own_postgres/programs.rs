//! Finding PostgreSQL's programs.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use super::error::OwnPostgresError;

/// Folders with one folder for each installed version.
const VERSIONED: [&str; 5] =
    ["/usr/lib/postgresql", "/usr/lib64/postgresql", "/opt/homebrew/opt", "/usr/local/opt", "/usr"];
/// Folders of a single installed version.
const SINGLE: [&str; 3] =
    ["/usr/local/pgsql/bin", "/usr/lib/postgresql/bin", "/usr/libexec/postgresql"];

/// The programs of one version of PostgreSQL.
pub struct Programs {
    bin: PathBuf,
}

impl Programs {
    /// Finds those on PATH or else the newest in the system's usual folders; for an existing cluster, those of the
    /// version that created it.
    ///
    /// # Errors
    /// If there are none.
    pub fn find(cluster: &Path) -> Result<Self, OwnPostgresError> {
        let installed = installed();
        let Ok(version) = fs::read_to_string(cluster.join("PG_VERSION")) else {
            let bin = installed.into_iter().next();
            return bin.map(|bin| Self { bin }).ok_or_else(|| {
                OwnPostgresError::NotInstalled(
                    "PostgreSQL (initdb and postgres) is not installed".to_owned(),
                )
            });
        };
        let version = version.trim();
        let bin = installed.into_iter().find(|bin| major(bin).as_deref() == Some(version));
        bin.map(|bin| Self { bin }).ok_or_else(|| {
            OwnPostgresError::NotInstalled(format!(
                "{} was created by PostgreSQL {version}, which is not installed",
                cluster.display()
            ))
        })
    }

    /// The path of a program.
    pub fn path(&self, program: &str) -> PathBuf {
        self.bin.join(program)
    }
}

/// Every folder with the programs: those of PATH first, then the newest first.
fn installed() -> Vec<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let on_path = env::split_paths(&path).map(|dir| match dir.join("postgres").canonicalize() {
        // PATH may contain only links; the files that initdb needs are beside the real programs.
        Ok(real) => real.parent().map(Path::to_path_buf).unwrap_or(dir),
        Err(_) => dir,
    });
    let mut bins: Vec<PathBuf> = on_path.filter(|bin| is_complete(bin)).collect();
    let mut usual: Vec<PathBuf> = VERSIONED
        .into_iter()
        .filter_map(|folder| fs::read_dir(folder).ok())
        .flat_map(|entries| entries.flatten().map(|entry| entry.path().join("bin")))
        .chain(SINGLE.map(PathBuf::from))
        .filter(|bin| is_complete(bin))
        .collect();
    let number = |bin: &PathBuf| major(bin).and_then(|major| major.parse::<u32>().ok());
    usual.sort_by_key(|bin| std::cmp::Reverse(number(bin)));
    bins.extend(usual);
    bins
}

/// initdb passes the folder to a shell, in double quotes.
fn is_complete(bin: &Path) -> bool {
    let is_plain =
        !bin.as_os_str().as_encoded_bytes().iter().any(|byte| b"\"$`\\\n".contains(byte));
    is_plain && ["initdb", "postgres"].iter().all(|program| bin.join(program).is_file())
}

/// The major version, such as `15`, as the program reports it.
fn major(bin: &Path) -> Option<String> {
    let output = std::process::Command::new(bin.join("postgres")).arg("--version").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let number =
        text.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
    let digits = number.find(|c: char| !c.is_ascii_digit()).unwrap_or(number.len());
    Some(number[..digits].to_owned())
}
