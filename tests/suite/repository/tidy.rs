//! The rules of the source tree: the map is complete, engines are pure, files stay short.

use std::fs;
use std::path::{Path, PathBuf};

/// Files over the limit of lines. May only shrink.
const LONG_FILES: [&str; 0] = [];
const MAX_LINES: usize = 600;
const MAX_BIN_LINES: usize = 80;

/// Engines and what they stand on: no clock, no socket, no file, no random source, no thread.
const PURE: [&str; 11] = [
    "src/engine.rs",
    "src/ids.rs",
    "src/clock.rs",
    "src/prefix_set.rs",
    "src/prng.rs",
    "src/waiting.rs",
    "src/order",
    "src/reliable",
    "src/member",
    "src/session",
    "src/wire",
];
const IMPURE_WORDS: [&str; 10] = [
    "std::fs",
    "std::net",
    "std::io",
    "std::thread",
    "std::env",
    "Instant",
    "SystemTime",
    "zmq::",
    "crate::driver",
    "crate::transport",
];

pub(super) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub(super) fn rust_files(below: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut open: Vec<PathBuf> = vec![root().join(below)];
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(root()).unwrap().display().to_string();
            found.push((name, fs::read_to_string(&path).unwrap()));
        }
    }
    found.sort();
    assert!(!found.is_empty(), "no Rust files below {below}");
    found
}

#[test]
fn tidy_every_file_begins_with_its_purpose() {
    for folder in ["src", "bin", "tests"] {
        for (name, text) in rust_files(folder) {
            assert!(text.starts_with("//! "), "{name} does not begin with a //! sentence");
        }
    }
}

#[test]
fn tidy_files_are_within_the_line_limit() {
    for (name, text) in rust_files("src").into_iter().chain(rust_files("bin")) {
        let limit = if name.starts_with("bin") { MAX_BIN_LINES } else { MAX_LINES };
        let lines = text.lines().count();
        assert!(
            lines <= limit || LONG_FILES.contains(&name.as_str()),
            "{name} has {lines} lines, more than {limit}"
        );
    }
}

#[test]
fn tidy_engines_are_pure() {
    for folder in PURE {
        for (name, text) in rust_files(folder) {
            let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
            for (number, line) in code.enumerate() {
                for word in IMPURE_WORDS {
                    assert!(!line.contains(word), "{name} (code line {}) uses {word}: {line}", number + 1);
                }
            }
        }
    }
}

#[test]
fn tidy_only_transport_uses_zeromq_and_only_one_file_the_clock() {
    for (name, text) in rust_files("src") {
        // Our own module of that name is not meant.
        let others = text.replace("crate::transport::zmq::", "");
        let uses_zmq = others.contains("zmq::Socket") || others.contains("zmq::Message");
        assert!(!uses_zmq || name.starts_with("src/transport/"), "{name} uses ZeroMQ directly");
        let allows = text.contains("allow(clippy::disallowed_methods");
        assert!(!allows || name == "src/driver/clock.rs", "{name} allows itself the clock");
    }
}

#[test]
fn tidy_map_is_complete() {
    let map = fs::read_to_string(root().join("docs/ARCHITECTURE.md")).unwrap();
    for entry in fs::read_dir(root().join("src")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(
            map.contains(&format!("`{name}")) || map.contains(&format!("`{name}/")),
            "src/{name} is not on the map"
        );
    }
    for word in map.split(['`', '\n']).filter(|word| word.ends_with(".rs") && word.contains('/')) {
        let there = root().join("src").join(word).exists() || root().join(word).exists();
        assert!(there, "the map names {word}, which is not there");
    }
}

#[test]
fn tidy_no_open_todo_or_ignored_test() {
    for folder in ["src", "bin", "tests"] {
        for (name, text) in rust_files(folder).into_iter().filter(|(name, _)| !name.ends_with("tidy.rs")) {
            for word in ["todo!", "unimplemented!", "TODO", "FIXME", "#[ignore"] {
                assert!(!text.contains(word), "{name} has a {word}");
            }
        }
    }
}
