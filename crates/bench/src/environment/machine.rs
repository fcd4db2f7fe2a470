//! The machine, the versions and the settings of a run.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Write,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use serde::Serialize;

use crate::environment::testbed::Testbed;
use crate::error::Fallible;
use crate::statistics::Quantiles;

/// PostgreSQL's settings that affect the cost of a commit, as the server reports them.
const SETTINGS: [&str; 14] = [
    "server_version",
    "fsync",
    "synchronous_commit",
    "full_page_writes",
    "wal_sync_method",
    "wal_level",
    "wal_compression",
    "commit_delay",
    "shared_buffers",
    "max_wal_size",
    "checkpoint_timeout",
    "max_connections",
    "autovacuum",
    "jit",
];

/// The machine, the versions and the settings of a run.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Machine {
    pub date: String,
    pub processor: String,
    pub cores: usize,
    pub memory_bytes: u64,
    pub kernel: String,
    /// The type and device of the cluster's file system.
    pub file_system: String,
    /// Time to write 8 KiB durably.
    pub fdatasync: Quantiles,
    pub onceward: String,
    pub commit: String,
    pub rustc: String,
    pub postgres: BTreeMap<String, String>,
}

impl Machine {
    /// Reads them, and measures the disk.
    ///
    /// # Errors
    /// PostgreSQL or the disk fails.
    pub async fn inspect(testbed: &Testbed) -> Fallible<Self> {
        let mut connection = testbed.cluster.connect("postgres").await?;
        let mut postgres = BTreeMap::new();
        for name in SETTINGS {
            let value = sqlx::query_scalar("select current_setting($1)").bind(name);
            postgres.insert(name.to_owned(), value.fetch_one(&mut connection).await?);
        }
        let date = sqlx::query_scalar("select to_char(now() at time zone 'UTC', 'YYYY-MM-DD')");
        let dirty =
            !output_of("git", &["status", "--porcelain", "--untracked-files=no"]).is_empty();
        let commit = output_of("git", &["rev-parse", "--short", "HEAD"]);
        Ok(Self {
            date: date.fetch_one(&mut connection).await?,
            processor: value_in("/proc/cpuinfo", "model name"),
            cores: std::thread::available_parallelism()?.get(),
            memory_bytes: value_in("/proc/meminfo", "MemTotal")
                .strip_suffix(" kB")
                .and_then(|kilobytes| kilobytes.parse::<u64>().ok())
                .map_or(0, |kilobytes| kilobytes * 1024),
            kernel: output_of("uname", &["-sr"]),
            file_system: file_system(testbed.cluster.folder()),
            fdatasync: fdatasync(testbed.cluster.folder())?,
            onceward: output_of(&testbed.program().to_string_lossy(), &["--version"]),
            commit: if dirty { format!("{commit}, changed since") } else { commit },
            rustc: output_of("rustc", &["--version"]),
            postgres,
        })
    }
}

/// The output of a program; empty if it cannot be run.
fn output_of(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    output.map_or_else(
        |_| String::new(),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    )
}

/// The value of `name:` in a file of the system.
fn value_in(file: &str, name: &str) -> String {
    let text = fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with(name));
    let value = line.and_then(|line| line.split_once(':'));
    value.map_or_else(|| "unknown".to_owned(), |(_, value)| value.trim().to_owned())
}

/// The type and device of the innermost mount that contains a folder.
fn file_system(folder: &Path) -> String {
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    let containing = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ');
        let (device, mount, kind) = (words.next()?, words.next()?, words.next()?);
        folder.starts_with(mount).then(|| (mount.len(), format!("{kind} on {device}")))
    });
    containing.max().map_or_else(|| "unknown".to_owned(), |(_, text)| text)
}

fn fdatasync(folder: &Path) -> Fallible<Quantiles> {
    let path = folder.join("fdatasync");
    let mut file = File::create(&path)?;
    let mut durations = Vec::new();
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(1) {
        let at = Instant::now();
        file.write_all(&[0x5a; 8192])?;
        file.sync_data()?;
        durations.push(at.elapsed());
    }
    fs::remove_file(path)?;
    Ok(Quantiles::of(durations))
}
