//! cargo-leptos reads Cargo.toml, the packaged program reads Leptos.toml.
#![allow(clippy::unwrap_used)]

use toml::{Table, Value};

fn options(path: &str) -> Table {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    let file: Table = std::fs::read_to_string(path).unwrap().parse().unwrap();
    let options = file["workspace"]["metadata"]["leptos"].as_array().unwrap()[0].clone();
    match options {
        Value::Table(table) => table,
        other => panic!("not a table: {other:?}"),
    }
}

#[test]
fn the_program_and_cargo_leptos_read_the_same_options() {
    let (built, packaged) = (options("Cargo.toml"), options("Leptos.toml"));
    assert!(!packaged.is_empty());
    for (name, value) in packaged {
        assert_eq!(built.get(&name), Some(&value), "{name}");
    }
}
