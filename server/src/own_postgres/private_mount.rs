//! A second place for PostgreSQL's folder, which only PostgreSQL sees. It is for a folder that PostgreSQL's account
//! cannot reach, such as one in root's home: its data stays there, and nobody's permissions change.

use std::{io, path::Path};

use tokio::process::{Child, Command};

/// Where PostgreSQL sees its folder. Each PostgreSQL sees its own.
pub const PLACE: &str = "/var/lib/onceward";

/// Whether this process may make such a place; a container often may not.
///
/// # Errors
/// If it may not.
pub fn check(home: &Path) -> io::Result<()> {
    in_thread(|| enter(home))
}

/// Spawns a command that sees `home` at [`PLACE`].
///
/// # Errors
/// If the place cannot be made, or the command cannot be spawned.
pub fn spawn(home: &Path, command: &mut Command) -> io::Result<Child> {
    let runtime = tokio::runtime::Handle::current();
    in_thread(|| {
        let _guard = runtime.enter();
        enter(home)?;
        command.spawn()
    })
}

/// Mounts belong to a thread and to the processes that it spawns, so they go when these end.
fn in_thread<T: Send>(work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    std::thread::scope(|scope| scope.spawn(work).join())
        .unwrap_or_else(|_| Err(io::Error::other("a thread panicked")))
}

#[cfg(target_os = "linux")]
fn enter(home: &Path) -> io::Result<()> {
    use nix::{
        mount::{MsFlags, mount},
        sched::{CloneFlags, unshare},
    };

    std::fs::create_dir_all(PLACE)?;
    unshare(CloneFlags::CLONE_NEWNS)?;
    let none = None::<&str>;
    // What is mounted or unmounted outside is seen in here as well, and nothing the other way round.
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_SLAVE, none)?;
    Ok(mount(Some(home), PLACE, none, MsFlags::MS_BIND, none)?)
}

#[cfg(not(target_os = "linux"))]
fn enter(_: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
