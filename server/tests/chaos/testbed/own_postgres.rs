//! The PostgreSQL that Onceward runs itself, on a disk of its own that can be filled.

use std::{
    fs,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{self, Signal},
    unistd::Pid,
};
use sqlx::{
    PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};

use crate::{Fallible, testbed::cluster::APPLICATION};

/// How long PostgreSQL may take to stop when the scenario is over.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(10);

/// Onceward's folder. Dropping it ends the PostgreSQL in it, and unmounts its disk.
#[derive(Debug)]
pub struct OwnPostgres {
    pub data: PathBuf,
    is_mounted: bool,
}

impl OwnPostgres {
    /// Makes the folder, on a disk of this size if there is one.
    pub fn make(data: PathBuf, disk_mb: Option<u32>) -> Fallible<Self> {
        fs::create_dir(&data)?;
        let mut own = Self { data, is_mounted: false };
        if let Some(disk_mb) = disk_mb {
            mount(&own.data, disk_mb)?;
            own.is_mounted = true;
        }
        Ok(own)
    }

    /// Why no disk can be mounted here, if so.
    pub fn no_disk() -> Option<String> {
        let tried = tempfile::tempdir().map_err(Into::into).and_then(|folder| {
            mount(folder.path(), 1)?;
            unmount(folder.path());
            Fallible::Ok(())
        });
        tried.err().map(|error| error.to_string())
    }

    /// A pool for the harness, which outlives a restart of the server.
    pub fn pool(&self) -> PgPool {
        let options = PgConnectOptions::new_without_pgpass()
            .socket(self.data.join("postgres/socket"))
            .username("onceward")
            .database("onceward")
            .application_name(APPLICATION);
        let pool = PgPoolOptions::new().max_connections(4).acquire_timeout(Duration::from_secs(60));
        pool.connect_lazy_with(options)
    }

    /// Its process; `None` if there is none.
    pub fn postmaster(&self) -> Option<Pid> {
        let cluster = self.data.join("postgres/cluster");
        let text = fs::read_to_string(cluster.join("postmaster.pid")).ok()?;
        let pid = text.lines().next()?.trim().parse().ok()?;
        let folder = fs::read_link(format!("/proc/{pid}/cwd")).ok()?;
        (folder == cluster).then(|| Pid::from_raw(pid))
    }

    /// `kill -9`.
    pub fn kill(&self) -> Fallible<Pid> {
        let pid = self.postmaster().ok_or("Onceward's own PostgreSQL is not running")?;
        signal::kill(pid, Signal::SIGKILL)?;
        Ok(pid)
    }

    /// Leaves no room on the disk.
    pub fn fill(&self) -> Fallible<()> {
        let mut file = fs::File::create(self.data.join("filler"))?;
        match io::copy(&mut io::repeat(0), &mut file) {
            Err(error) if error.kind() == ErrorKind::StorageFull => Ok(()),
            Err(error) => Err(error.into()),
            Ok(_) => Err("the disk has no end".into()),
        }
    }

    /// Makes room again.
    pub fn empty(&self) -> Fallible<()> {
        Ok(fs::remove_file(self.data.join("filler"))?)
    }
}

impl Drop for OwnPostgres {
    fn drop(&mut self) {
        let until = Instant::now() + SHUTDOWN_TIMEOUT;
        while let Some(pid) = self.postmaster()
            && Instant::now() < until
        {
            let _ = signal::kill(pid, Signal::SIGQUIT);
            thread::sleep(Duration::from_millis(50));
        }
        if self.is_mounted {
            unmount(&self.data);
        }
    }
}

fn mount(folder: &Path, disk_mb: u32) -> Fallible<()> {
    let mut mount = Command::new("mount");
    mount.args(["-t", "tmpfs", "-o", &format!("size={disk_mb}m,mode=755"), "tmpfs"]);
    let output = mount.arg(folder).output()?;
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned().into()),
    }
}

fn unmount(folder: &Path) {
    let _ = Command::new("umount").arg("-l").arg(folder).status();
}
