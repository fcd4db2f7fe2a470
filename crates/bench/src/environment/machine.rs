//! What it was measured on.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Write,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use serde::Serialize;

use crate::environment::testbed::Stage;
use crate::error::Fallible;
use crate::statistics::Quantiles;

/// Settings of PostgreSQL that decide what a commit costs, read back from it.
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

/// Machine, versions and settings.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Machine {
    pub date: String,
    pub processor: String,
    pub cores: usize,
    pub memory_bytes: u64,
    pub kernel: String,
    /// Where the cluster is: what kind, and on which device.
    pub file_system: String,
    /// Writing 8 KiB and having it on the disk.
    pub fdatasync: Quantiles,
    pub onceward: String,
    pub commit: String,
    pub rustc: String,
    pub postgres: BTreeMap<String, String>,
}

impl Machine {
    /// Looks at it.
    ///
    /// # Errors
    /// Where PostgreSQL or the disk does not answer.
    pub async fn look(stage: &Stage) -> Fallible<Self> {
        let mut connection = stage.cluster.connect("postgres").await?;
        let mut postgres = BTreeMap::new();
        for name in SETTINGS {
            let value = sqlx::query_scalar("select current_setting($1)").bind(name);
            postgres.insert(name.to_owned(), value.fetch_one(&mut connection).await?);
        }
        let date = sqlx::query_scalar("select to_char(now() at time zone 'UTC', 'YYYY-MM-DD')");
        let dirty = !said("git", &["status", "--porcelain", "--untracked-files=no"]).is_empty();
        let commit = said("git", &["rev-parse", "--short", "HEAD"]);
        Ok(Self {
            date: date.fetch_one(&mut connection).await?,
            processor: line_of("/proc/cpuinfo", "model name"),
            cores: std::thread::available_parallelism()?.get(),
            memory_bytes: line_of("/proc/meminfo", "MemTotal")
                .strip_suffix(" kB")
                .and_then(|kilobytes| kilobytes.parse::<u64>().ok())
                .map_or(0, |kilobytes| kilobytes * 1024),
            kernel: said("uname", &["-sr"]),
            file_system: file_system(stage.cluster.folder()),
            fdatasync: fdatasync(stage.cluster.folder())?,
            onceward: said(&stage.program().to_string_lossy(), &["--version"]),
            commit: if dirty { format!("{commit}, changed since") } else { commit },
            rustc: said("rustc", &["--version"]),
            postgres,
        })
    }
}

/// What a program says; nothing where it cannot be run.
fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    output.map_or_else(
        |_| String::new(),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    )
}

/// The value behind `name:` in one of the system's files.
fn line_of(file: &str, name: &str) -> String {
    let text = fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with(name));
    let value = line.and_then(|line| line.split_once(':'));
    value.map_or_else(|| "unknown".to_owned(), |(_, value)| value.trim().to_owned())
}

/// Of the mounts above a folder the one next to it: its kind and device.
fn file_system(folder: &Path) -> String {
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    let above = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ');
        let (device, mount, kind) = (words.next()?, words.next()?, words.next()?);
        folder.starts_with(mount).then(|| (mount.len(), format!("{kind} on {device}")))
    });
    above.max().map_or_else(|| "unknown".to_owned(), |(_, text)| text)
}

fn fdatasync(folder: &Path) -> Fallible<Quantiles> {
    let path = folder.join("fdatasync");
    let mut file = File::create(&path)?;
    let mut took = Vec::new();
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(1) {
        let at = Instant::now();
        file.write_all(&[0x5a; 8192])?;
        file.sync_data()?;
        took.push(at.elapsed());
    }
    fs::remove_file(path)?;
    Ok(Quantiles::of(took))
}
