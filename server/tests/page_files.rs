//! The files of the page: how long a browser may keep them, and what an upgrade does to them.
#![allow(clippy::unwrap_used)]

mod support;

use std::{fs, path::Path};

use nix::sys::signal::Signal;
use reqwest::Response;
use support::{Program, command, database};
use tempfile::TempDir;

/// A folder with the files that a build with compressed copies writes.
fn site(script: &str) -> TempDir {
    let site = tempfile::tempdir().unwrap();
    fs::create_dir(site.path().join("pkg")).unwrap();
    fs::write(site.path().join("favicon.svg"), "<svg/>").unwrap();
    build(site.path(), script);
    site
}

fn build(site: &Path, script: &str) {
    for name in ["onceward.js", "onceward.css", "onceward.wasm", "onceward_bg.wasm"] {
        for (end, coding) in [("", "plain"), (".br", "br"), (".gz", "gzip")] {
            let content = format!("{coding} {name} {script}");
            fs::write(site.join("pkg").join(format!("{name}{end}")), content).unwrap();
        }
    }
}

async fn start(site: &TempDir, database: &str) -> Program {
    let mut command = command(&["web"]);
    command.env("DATABASE_URL", database).env("LEPTOS_SITE_ROOT", site.path());
    command.env("POSTING_URL", "http://127.0.0.1:9");
    Program::start(command).await
}

/// The addresses in the page's head: of its style, its script and its WASM.
async fn addresses(program: &Program) -> Vec<String> {
    let page = program.get("/").header("accept", "text/html").send().await.unwrap();
    assert_eq!(header(&page, "cache-control"), "no-cache");
    let page = page.text().await.unwrap();
    let hrefs = page.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next());
    hrefs.filter(|href| href.starts_with("/pkg/")).map(str::to_owned).collect()
}

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers().get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
}

#[tokio::test]
async fn the_pages_script_and_style_are_kept_for_ever_in_every_coding() {
    let (site, database) = (site("1"), database().await);
    let program = start(&site, &database).await;
    let addresses = addresses(&program).await;
    assert_eq!(addresses.len(), 3, "{addresses:?}");
    for address in &addresses {
        let mut etags = Vec::new();
        for (accepted, coding) in [("gzip, deflate, br", "br"), ("gzip", "gzip"), ("", "")] {
            let get = || program.get(address).header("accept-encoding", accepted);
            let whole = get().send().await.unwrap();
            assert_eq!(whole.status(), 200, "{address}");
            assert_eq!(header(&whole, "content-encoding"), coding);
            assert_eq!(header(&whole, "cache-control"), "public, max-age=31536000, immutable");
            assert_eq!(header(&whole, "vary"), "accept-encoding");
            let etag = header(&whole, "etag").to_owned();
            let same = get().header("if-none-match", &etag).send().await.unwrap();
            assert_eq!((same.status().as_u16(), header(&same, "etag")), (304, &*etag));
            // What is not offered cannot be asked for in vain.
            let part = get().header("range", "bytes=0-1").send().await.unwrap();
            assert_eq!((part.status().as_u16(), header(&part, "accept-ranges")), (200, ""));
            let begins = if coding.is_empty() { "plain" } else { coding };
            assert!(part.text().await.unwrap().starts_with(begins));
            etags.push(etag);
        }
        etags.dedup();
        assert_eq!(etags.len(), 3, "codings of {address} share an ETag");
    }
}

#[tokio::test]
async fn a_file_without_a_version_is_sent_again_only_if_it_has_changed() {
    let (site, database) = (site("1"), database().await);
    let program = start(&site, &database).await;
    let whole = program.get("/favicon.svg").send().await.unwrap();
    let (etag, modified) =
        (header(&whole, "etag").to_owned(), header(&whole, "last-modified").to_owned());
    assert_eq!(
        (header(&whole, "cache-control"), header(&whole, "vary")),
        ("no-cache", "accept-encoding")
    );
    assert_eq!(header(&whole, "content-type"), "image/svg+xml");
    assert_eq!(whole.text().await.unwrap(), "<svg/>");
    for (name, value, status) in [
        ("if-none-match", &*etag, 304),
        ("if-none-match", &*format!("\"other\", W/{etag}"), 304),
        ("if-none-match", "*", 304),
        ("if-none-match", "\"other\"", 200),
        ("if-modified-since", &*modified, 304),
        ("if-modified-since", "Thu, 01 Jan 1970 00:00:01 GMT", 200),
        ("if-modified-since", "yesterday", 200),
    ] {
        let answer = program.get("/favicon.svg").header(name, value).send().await.unwrap();
        assert_eq!(answer.status(), status, "{name}: {value}");
        let length = answer.text().await.unwrap().len();
        assert_eq!(length, if status == 304 { 0 } else { "<svg/>".len() });
    }
}

#[tokio::test]
async fn an_upgrade_never_mixes_the_files_of_two_versions() {
    let (site, database) = (site("1"), database().await);
    let old = start(&site, &database).await;
    let old_addresses = addresses(&old).await;

    // The files are replaced while the old version still runs: it serves those that it was started with.
    build(site.path(), "2");
    assert_eq!(addresses(&old).await, old_addresses);
    for address in &old_addresses {
        assert!(old.read_text(address).await.ends_with(" 1"), "{address}");
    }

    assert!(old.end(Signal::SIGTERM).await.success());
    let new = start(&site, &database).await;
    let new_addresses = addresses(&new).await;
    assert_eq!(new_addresses.len(), old_addresses.len());
    for (old_address, new_address) in old_addresses.iter().zip(&new_addresses) {
        assert!(new.read_text(new_address).await.ends_with(" 2"), "{new_address}");
        // A page of the old version gets no file of the new one.
        let gone = new.get(old_address).send().await.unwrap();
        assert_eq!((gone.status().as_u16(), header(&gone, "cache-control")), (404, "no-cache"));
    }
}
