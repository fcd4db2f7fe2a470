//! The files of the page: script, WASM, style and icon. They are read once, at the start, and served from memory: a
//! running program serves the files that it was started with, even while an upgrade replaces them on disk.
//!
//! The address of everything in the package folder has a hash of the whole folder in it, so browsers may keep these
//! files for ever, and a page never gets a file of another version: it is answered 404.

use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use axum::{
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use leptos::config::LeptosOptions;
use sha2::{Digest, Sha256};

/// A file whose address changes with its content.
const FOR_EVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
/// Any other file: the browser asks each time whether its copy is current.
const REVALIDATED: HeaderValue = HeaderValue::from_static("no-cache");
/// The codings that `cargo leptos build --precompress` writes, the preferred one first, with the ends of their names.
const CODINGS: [(&str, &str); 2] = [("br", ".br"), ("gzip", ".gz")];

/// The files by their paths. Cheap to clone.
#[derive(Clone, Default)]
pub struct PageFiles(Arc<HashMap<String, File>>);

/// Marks an answer with a file. It is compressed already, if at all: compressing it again would leave its ETag wrong.
#[derive(Clone, Copy)]
pub struct FromPageFiles;

struct File {
    media_type: &'static str,
    cache_control: HeaderValue,
    /// To the second, as in a header.
    modified_at: SystemTime,
    /// The preferred one first; the last has no coding.
    representations: Vec<Representation>,
}

struct Representation {
    coding: Option<&'static str>,
    bytes: Bytes,
    etag: String,
}

impl PageFiles {
    /// Reads all files in the site's folder, and puts their version into the package folder's address in `options`.
    /// Returns none if the folder is missing, and under `cargo leptos watch`, which changes them while the program
    /// runs.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn read(options: &mut LeptosOptions) -> io::Result<Self> {
        let root = Path::new(options.site_root.as_ref());
        if std::env::var_os("LEPTOS_WATCH").is_some() || !root.is_dir() {
            return Ok(Self::default());
        }
        let mut names = Vec::new();
        list(root, &mut names)?;
        names.sort_unstable();
        let package = format!("/{}/", options.site_pkg_dir.trim_matches('/'));
        let mut files = HashMap::new();
        let mut version = Sha256::new();
        for name in names.iter().filter(|name| !is_compressed_copy(name, &names)) {
            let Some(path) = path_of(root, name) else { continue };
            let file = File::read(name)?;
            if path.starts_with(&package) {
                version.update(path.as_bytes());
                version.update(file.plain().etag.as_bytes());
            }
            files.insert(path, file);
        }
        let version = hexadecimal(version);
        let versioned = format!("{package}{version}/");
        let addressed =
            files.into_iter().map(|(path, mut file)| match path.strip_prefix(&package) {
                Some(name) => {
                    file.cache_control = FOR_EVER;
                    (format!("{versioned}{name}"), file)
                }
                None => (path, file),
            });
        let files = Self(Arc::new(addressed.collect()));
        options.site_pkg_dir = versioned.trim_matches('/').into();
        Ok(files)
    }

    /// Whether there are none, so that they must be looked for on disk.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The answer to a GET or HEAD of `path`, if there is a file at it.
    pub fn answer(&self, path: &str, headers: &HeaderMap) -> Option<Response> {
        self.0.get(path).map(|file| file.answer(headers))
    }
}

impl File {
    fn read(name: &Path) -> io::Result<Self> {
        let bytes = fs::read(name)?;
        let tag = hexadecimal(Sha256::new().chain_update(&bytes));
        let mut representations = Vec::new();
        for (coding, end) in CODINGS {
            let copy = compressed_copy(name, end);
            if copy.is_file() {
                let (bytes, etag) = (fs::read(copy)?.into(), format!("\"{tag}-{coding}\""));
                representations.push(Representation { coding: Some(coding), bytes, etag });
            }
        }
        let etag = format!("\"{tag}\"");
        representations.push(Representation { coding: None, bytes: bytes.into(), etag });
        let modified_at = fs::metadata(name)?.modified()?;
        // As text and back, which cuts it to the second.
        let modified_at = httpdate::parse_http_date(&httpdate::fmt_http_date(modified_at))
            .unwrap_or(SystemTime::UNIX_EPOCH);
        let media_type = media_type(name);
        Ok(Self { media_type, cache_control: REVALIDATED, modified_at, representations })
    }

    /// The file itself, without a coding.
    fn plain(&self) -> &Representation {
        &self.representations[self.representations.len() - 1]
    }

    fn answer(&self, headers: &HeaderMap) -> Response {
        let accepted = |it: &&Representation| it.coding.is_none_or(|it| accepts(headers, it));
        let chosen = self.representations.iter().find(accepted).unwrap_or_else(|| self.plain());
        let text = |text: &str| HeaderValue::from_str(text).ok();
        let modified_at = httpdate::fmt_http_date(self.modified_at);
        let carried: [(HeaderName, Option<HeaderValue>); 4] = [
            (header::ETAG, text(&chosen.etag)),
            (header::LAST_MODIFIED, text(&modified_at)),
            (header::CACHE_CONTROL, Some(self.cache_control.clone())),
            (header::VARY, Some(HeaderValue::from_static("accept-encoding"))),
        ];
        let mut response = if self.is_current(headers, &chosen.etag) {
            StatusCode::NOT_MODIFIED.into_response()
        } else {
            let mut response = Body::from(chosen.bytes.clone()).into_response();
            let media_type = HeaderValue::from_static(self.media_type);
            response.headers_mut().insert(header::CONTENT_TYPE, media_type);
            if let Some(coding) = chosen.coding {
                let coding = HeaderValue::from_static(coding);
                response.headers_mut().insert(header::CONTENT_ENCODING, coding);
            }
            response
        };
        let carried = carried.into_iter().filter_map(|(name, value)| Some((name, value?)));
        response.headers_mut().extend(carried);
        response.extensions_mut().insert(FromPageFiles);
        response
    }

    /// Whether the client's copy is still the same (RFC 9110, 13.2.2).
    fn is_current(&self, headers: &HeaderMap, etag: &str) -> bool {
        let mut tags = listed(headers, &header::IF_NONE_MATCH).peekable();
        if tags.peek().is_some() {
            return tags.any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag);
        }
        let since = headers.get(header::IF_MODIFIED_SINCE).and_then(|since| since.to_str().ok());
        since
            .and_then(|since| httpdate::parse_http_date(since).ok())
            .is_some_and(|since| self.modified_at <= since)
    }
}

/// Whether the client accepts a content coding (RFC 9110, 12.5.3).
fn accepts(headers: &HeaderMap, coding: &str) -> bool {
    let weight = |name: &str| {
        listed(headers, &header::ACCEPT_ENCODING).find_map(|item| {
            let (listed, parameter) = item.split_once(';').unwrap_or((item, "q=1"));
            let weight = parameter.trim().strip_prefix("q=")?.parse::<f32>().ok()?;
            listed.trim().eq_ignore_ascii_case(name).then_some(weight)
        })
    };
    weight(coding).or_else(|| weight("*")).is_some_and(|weight| weight > 0.0)
}

/// The items of a header that is a list.
fn listed<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let lines = headers.get_all(name).into_iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim)
}

/// Adds all files in a folder, and in those below it, to `names`.
fn list(folder: &Path, names: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let name = entry?.path();
        match name.is_dir() {
            true => list(&name, names)?,
            false => names.push(name),
        }
    }
    Ok(())
}

/// The path of a file in an address.
fn path_of(root: &Path, name: &Path) -> Option<String> {
    name.strip_prefix(root).ok()?.to_str().map(|path| format!("/{path}"))
}

/// Whether a file is the compressed copy of another.
fn is_compressed_copy(name: &Path, sorted: &[PathBuf]) -> bool {
    CODINGS.iter().any(|(_, end)| {
        let plain = name.to_str().and_then(|name| name.strip_suffix(end));
        plain.is_some_and(|plain| sorted.binary_search(&PathBuf::from(plain)).is_ok())
    })
}

fn compressed_copy(name: &Path, end: &str) -> PathBuf {
    let mut copy = name.as_os_str().to_owned();
    copy.push(end);
    copy.into()
}

/// The first sixteen digits of a hash: more than enough to tell versions apart.
fn hexadecimal(hash: Sha256) -> String {
    hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// The media type by the end of the name, of the kinds that the build writes.
fn media_type(name: &Path) -> &'static str {
    match name.extension().and_then(|end| end.to_str()).unwrap_or_default() {
        "css" => "text/css; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "json" => "application/json",
        "png" => "image/png",
        "svg" => "image/svg+xml",
        "txt" => "text/plain; charset=utf-8",
        "wasm" => "application/wasm",
        "woff2" => "font/woff2",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepting(value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static(value))])
    }

    #[test]
    fn a_coding_is_accepted_only_if_the_client_lists_it_with_a_weight() {
        assert!(accepts(&accepting("gzip, deflate, br, zstd"), "br"));
        assert!(accepts(&accepting("GZIP;q=0.5"), "gzip"));
        assert!(accepts(&accepting("*"), "br"));
        assert!(!accepts(&accepting("br;q=0, *"), "br"));
        assert!(!accepts(&accepting("gzip"), "br"));
        assert!(!accepts(&HeaderMap::new(), "gzip"));
    }
}
