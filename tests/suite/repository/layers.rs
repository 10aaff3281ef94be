//! The layers of the source tree: each room imports only from rooms below it, and no file from one that imports it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use super::source::{Imports, functions};
use super::tidy::{root, rust_files};

/// Longest function, in lines.
const MAX_FUNCTION: usize = 60;

#[test]
fn layers_import_only_from_below() {
    let layers = layers();
    let rooms: BTreeSet<String> = rust_files("src").iter().map(|(name, _)| room(name).to_owned()).collect();
    let unknown: Vec<&String> = rooms.iter().filter(|room| !layers.contains_key(*room)).collect();
    assert!(unknown.is_empty(), "no layer in docs/ARCHITECTURE.md: {unknown:?}");
    let imports = Imports::read();
    let is_upward =
        |(from, to): &(&str, &str)| room(from) != room(to) && layers[room(from)] <= layers[room(to)];
    let upward: Vec<(&str, &str)> = imports.pairs().filter(is_upward).collect();
    assert!(upward.is_empty(), "imports from the same layer or a higher one:\n{upward:#?}");
    assert!(imports.pairs().count() > 500, "the imports were read");
}

#[test]
fn layers_have_no_circle_of_files() {
    // A folder's `mod.rs` may hold what all of its files use.
    let is_of_folder =
        |from: &str, to: &str| to.strip_suffix("mod.rs").is_some_and(|folder| from.starts_with(folder));
    let imports = Imports::read().without(is_of_folder);
    let circles = imports.circles();
    let within = |circle: &BTreeSet<&str>| {
        imports
            .pairs()
            .filter(|(from, to)| circle.contains(from) && circle.contains(to))
            .map(|(from, to)| format!("{from} -> {to}\n"))
            .collect::<String>()
    };
    let told: Vec<String> = circles.iter().map(within).collect();
    assert!(told.is_empty(), "files that import one another:\n{}", told.join("\n"));
}

#[test]
fn functions_are_within_the_line_limit() {
    let mut long = Vec::new();
    for folder in ["src", "bin", "tests", "benches", "examples", "fuzz/src"] {
        for (name, text) in rust_files(folder) {
            let found = functions(&text);
            let found = found.iter().filter(|function| function.lines > MAX_FUNCTION);
            long.extend(
                found.map(|function| format!("{name}: {} has {} lines", function.name, function.lines)),
            );
        }
    }
    assert!(long.is_empty(), "functions of more than {MAX_FUNCTION} lines:\n{}", long.join("\n"));
}

#[test]
fn functions_are_measured_from_signature_to_brace() {
    let found = functions(
        "#[test]\nfn f() {\n    fn g() {}\n}\nimpl A {\n    fn h(\n        a: u8,\n    ) {\n    }\n}\n",
    );
    let found: Vec<(&str, usize)> = found.iter().map(|function| (&*function.name, function.lines)).collect();
    assert_eq!(found, [("f", 3), ("g", 1), ("h", 4)]);
}

/// Returns the room of a file: the folder or the file directly below `src`.
fn room(name: &str) -> &str {
    name.trim_start_matches("src/")
        .split('/')
        .next()
        .expect("a path has a first part")
        .trim_end_matches(".rs")
}

/// Returns the layers as the document lists them, from the lowest.
fn layers() -> BTreeMap<String, usize> {
    let page = fs::read_to_string(root().join("docs/ARCHITECTURE.md")).unwrap();
    let list = page.split("```layers\n").nth(1).and_then(|rest| rest.split("```").next());
    let lines: Vec<&str> = list.expect("a list of layers").lines().collect();
    let levels = lines.iter().rev().enumerate();
    let rooms =
        levels.flat_map(|(level, line)| line.split_whitespace().map(move |room| (room.to_owned(), level)));
    rooms.collect()
}
