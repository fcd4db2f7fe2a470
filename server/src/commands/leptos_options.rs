//! The Leptos options, which name the folder of the browser's files.

use std::{
    env,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use leptos::config::{LeptosOptions, get_configuration};

use super::fatal::Fatal;

/// Reads the first `Leptos.toml` found in the working folder, beside the binary, or in the two folders
/// above the binary (for `target/release/onceward`, the workspace). A relative site root is relative to
/// the folder of that file.
///
/// # Errors
/// If there is no such file, or it cannot be read.
pub fn options(site_addr: SocketAddr) -> Result<LeptosOptions, Fatal> {
    let file = folders()
        .into_iter()
        .map(|folder| folder.join("Leptos.toml"))
        .find(|file| file.is_file())
        .ok_or("Leptos.toml is neither in the working folder nor beside the program")?;
    let path = file.to_str().ok_or("the path of Leptos.toml is not UTF-8")?;
    let mut options = get_configuration(Some(path))?.leptos_options;
    let folder = file.parent().unwrap_or(Path::new("."));
    options.site_root = folder.join(options.site_root.as_ref()).to_string_lossy().into();
    options.site_addr = site_addr;
    if !Path::new(options.site_root.as_ref()).is_dir() {
        tracing::warn!(site_root = %options.site_root, "the browser's files are missing: pages have neither style nor script");
    }
    Ok(options)
}

fn folders() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = env::current_dir().into_iter().collect();
    if let Ok(program) = env::current_exe().and_then(|path| path.canonicalize()) {
        folders.extend(program.ancestors().skip(1).take(3).map(Path::to_path_buf));
    }
    folders
}
