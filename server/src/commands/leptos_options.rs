//! The Leptos options, which name the folder of the browser's files.

use std::{
    env, fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use config::{Case, Config, ConfigError, Environment, File, FileFormat};
use leptos::config::LeptosOptions;

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
    let mut options = read(&fs::read_to_string(&file)?)?;
    let folder = file.parent().unwrap_or(Path::new("."));
    options.site_root = folder.join(options.site_root.as_ref()).to_string_lossy().into();
    options.site_addr = site_addr;
    if !Path::new(options.site_root.as_ref()).is_dir() {
        tracing::warn!(site_root = %options.site_root, "the browser's files are missing: pages have neither style nor script");
    }
    Ok(options)
}

/// Reads the options of the file, and of the environment, which overrides it. Leptos's own reader would refuse a
/// LEPTOS_SITE_ADDR with a name, which Onceward resolves.
fn read(toml: &str) -> Result<LeptosOptions, ConfigError> {
    let file = Config::builder().add_source(File::from_str(toml, FileFormat::Toml)).build()?;
    let mut packages = file.get_array("workspace.metadata.leptos")?.into_iter();
    let options = packages.next().unwrap_or_default().into_table()?;
    let variables = env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| name != "LEPTOS_SITE_ADDR")
        .collect();
    let environment = Environment::with_prefix("LEPTOS").convert_case(Case::Kebab);
    options
        .into_iter()
        .try_fold(Config::builder(), |builder, (name, value)| builder.set_default(name, value))?
        .add_source(environment.source(Some(variables)))
        .build()?
        .try_deserialize()
}

fn folders() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = env::current_dir().into_iter().collect();
    if let Ok(program) = env::current_exe().and_then(|path| path.canonicalize()) {
        folders.extend(program.ancestors().skip(1).take(3).map(Path::to_path_buf));
    }
    folders
}
