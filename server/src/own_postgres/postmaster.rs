//! The PostgreSQL that `postmaster.pid` names. The file may be older than the last crash or come from a copied
//! folder, and the process that has this id by now may be any program.

use std::{
    fs, io,
    io::{Read, Seek, SeekFrom, Write},
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    sys::signal::{self, Signal},
    unistd::Pid,
};
use tokio::time::sleep;

use super::{error::OwnPostgresError, home};

/// How long a fast shutdown may take.
const FAST_TIMEOUT: Duration = Duration::from_secs(60);
/// How long an immediate shutdown may take.
const IMMEDIATE_TIMEOUT: Duration = Duration::from_secs(10);
/// An id that no process has: systems give out smaller ones.
const NO_PROCESS: i32 = i32::MAX;

/// Stops the PostgreSQL that an earlier Onceward left running on the cluster, if there is one, and sees to it that
/// PostgreSQL does not take another program for it.
///
/// # Errors
/// If it does not stop, or its files cannot be read.
pub async fn stop_leftover(cluster: &Path) -> Result<(), OwnPostgresError> {
    let file = cluster.join("postmaster.pid");
    let failed = |error| OwnPostgresError::Folder { path: file.clone(), error };
    let Some(pid) = named_in(&file).map_err(failed)? else { return Ok(()) };
    if is_postgres_on(pid, cluster) {
        tracing::info!(%pid, cluster = %cluster.display(), "stopping the PostgreSQL that a killed Onceward left running, to start it anew");
        for (signal, timeout) in
            [(Signal::SIGINT, FAST_TIMEOUT), (Signal::SIGQUIT, IMMEDIATE_TIMEOUT)]
        {
            let began_at = Instant::now();
            let _ = signal::kill(pid, signal);
            while is_postgres_on(pid, cluster) && began_at.elapsed() < timeout {
                sleep(Duration::from_millis(20)).await;
            }
        }
        if is_postgres_on(pid, cluster) {
            return Err(OwnPostgresError::DoesNotStop { pid: pid.as_raw() });
        }
    } else if signal::kill(pid, None::<Signal>) != Err(Errno::ESRCH) {
        tracing::warn!(%pid, "postmaster.pid is out of date: this process is another program");
        disown(&file).map_err(failed)?;
    }
    Ok(())
}

/// The process that a `postmaster.pid` names.
fn named_in(file: &Path) -> io::Result<Option<Pid>> {
    let text = match fs::read(file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let line = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let pid = String::from_utf8_lossy(line).trim().parse::<i32>().ok();
    Ok(pid.filter(|pid| *pid > 1 && *pid != NO_PROCESS).map(Pid::from_raw))
}

/// Replaces the process in a `postmaster.pid`, because PostgreSQL would not start while it exists. The other lines
/// stay: by them PostgreSQL finds out whether anything still uses the cluster's shared memory.
fn disown(file: &Path) -> io::Result<()> {
    let mut file = home::open(file)?;
    let mut text = Vec::new();
    file.read_to_end(&mut text)?;
    let rest = text.iter().position(|byte| *byte == b'\n').map_or(&[][..], |end| &text[end..]);
    let text = [NO_PROCESS.to_string().as_bytes(), rest].concat();
    file.seek(SeekFrom::Start(0))?;
    file.set_len(0)?;
    file.write_all(&text)
}

/// Whether a process is a PostgreSQL that runs on this cluster: its working folder is the cluster.
fn is_postgres_on(pid: Pid, cluster: &Path) -> bool {
    let proc = PathBuf::from(format!("/proc/{pid}"));
    if !Path::new("/proc/self").exists() {
        return is_named_by_ps(pid, cluster);
    }
    let name = fs::read_to_string(proc.join("comm")).unwrap_or_default();
    if !["postgres", "postmaster"].contains(&name.trim()) {
        return false;
    }
    match (fs::metadata(proc.join("cwd")), fs::metadata(cluster)) {
        (Ok(cwd), Ok(cluster)) => (cwd.dev(), cwd.ino()) == (cluster.dev(), cluster.ino()),
        // Root in a container may not look at another account's process, but its arguments are public.
        (Err(error), Ok(_)) if error.kind() == io::ErrorKind::PermissionDenied => {
            let arguments = fs::read(proc.join("cmdline")).unwrap_or_default();
            let cluster = cluster.as_os_str().as_bytes();
            arguments.split(|byte| *byte == 0).any(|argument| argument == cluster)
        }
        _ => false,
    }
}

/// For systems without `/proc`.
fn is_named_by_ps(pid: Pid, cluster: &Path) -> bool {
    let mut ps = std::process::Command::new("ps");
    let output = ps.args(["-ww", "-o", "command=", "-p"]).arg(pid.to_string()).output();
    let command = output.map(|output| output.stdout).unwrap_or_default();
    let command = String::from_utf8_lossy(&command).into_owned();
    command.contains("postgres") && command.contains(&format!("-D {} ", cluster.display()))
}
