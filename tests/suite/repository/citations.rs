//! Tests that documents and scripts cite by name exist, and so do the files of tests.

use std::fs;
use std::process::Command;

use super::tidy::{root, rust_files};

/// Stand for any characters in a cited name.
const WILD: [char; 2] = ['*', '…'];

/// Returns the full names of the tests of this binary, also of those that macros make.
fn suite() -> Vec<String> {
    let program = std::env::current_exe().unwrap();
    let output = Command::new(program).args(["--list", "--format", "terse"]).output().unwrap();
    let list = String::from_utf8(output.stdout).unwrap();
    list.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect()
}

/// Returns the full names of the unit tests of the library, and of tests of the suite that this binary lacks because it
/// was built without a feature.
fn other_tests() -> Vec<String> {
    let mut names = Vec::new();
    for (file, text) in rust_files("src").into_iter().chain(rust_files("tests/suite")) {
        let module = file.trim_start_matches("src/").trim_start_matches("tests/suite/");
        let module = module.trim_end_matches(".rs").trim_end_matches("/mod");
        let mut module = module.replace('/', "::");
        if text.contains("\nmod tests {") {
            module += "::tests";
        }
        for (_, test) in text.split("#[test]").skip(1).filter_map(|rest| rest.split_once("fn ")) {
            names.push(format!("{module}::{}", test.split('(').next().unwrap()));
        }
    }
    names
}

/// Returns the texts of the documents, by name.
fn documents() -> Vec<(String, String)> {
    files(&["", "docs", "testdata/order"]).into_iter().filter(|(name, _)| name.ends_with(".md")).collect()
}

/// Returns the texts of the scripts, by name.
fn scripts() -> Vec<(String, String)> {
    files(&["scripts", ".ci"])
}

/// Returns the text files in these folders, by name.
fn files(folders: &[&str]) -> Vec<(String, String)> {
    let entries = folders.iter().flat_map(|folder| fs::read_dir(root().join(folder)).unwrap());
    let paths = entries.map(|entry| entry.unwrap().path());
    let file = |path: std::path::PathBuf| {
        let text = fs::read_to_string(&path).ok()?;
        Some((path.strip_prefix(root()).unwrap().display().to_string(), text))
    };
    let found: Vec<_> = paths.filter_map(file).collect();
    assert!(!found.is_empty(), "no files in {folders:?}");
    found
}

/// Whether a text cites tests: `module::name` in lower case, or a part of a name with a wildcard.
fn is_citation(text: &str) -> bool {
    let is_name =
        |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == ':' || WILD.contains(&c);
    text.chars().all(is_name) && (text.contains("::") || text.contains('_') && text.contains(WILD))
}

/// Whether a segment of a test's path matches a segment of a citation.
fn matches(cited: &str, segment: &str) -> bool {
    let mut parts: Vec<&str> = cited.split(WILD).collect();
    let last = parts.pop().unwrap();
    if parts.is_empty() {
        return segment == last;
    }
    let Some(mut rest) = segment.strip_prefix(parts[0]) else { return false };
    for part in &parts[1..] {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

/// Whether a test's path has the segments of a citation, one after another.
fn is_cited(cited: &str, path: &str) -> bool {
    let cited: Vec<&str> = cited.split("::").collect();
    let path: Vec<&str> = path.split("::").collect();
    path.windows(cited.len())
        .any(|part| cited.iter().zip(part).all(|(cited, segment)| matches(cited, segment)))
}

/// Returns the filters of tests in a text: the word after `--test suite`, and the words after `-- --`.
fn filters(text: &str) -> Vec<String> {
    let text = text.replace("\\\n", " ");
    let suite = text.split("--test suite ").skip(1).filter_map(|rest| rest.split_whitespace().next());
    let mutants = text.lines().filter_map(|line| line.split_once(" -- -- "));
    let words = suite.chain(mutants.flat_map(|(_, words)| words.split_whitespace()));
    let words = words.map(|word| word.split('`').next().unwrap().to_owned());
    words.filter(|word| word.starts_with(|c: char| c.is_ascii_lowercase())).collect()
}

#[test]
fn documents_cite_existing_tests() {
    let tests = [suite(), other_tests()].concat();
    let (mut count, mut missing) = (0, Vec::new());
    for (name, text) in documents() {
        for cited in text.split('`').filter(|span| is_citation(span)) {
            count += 1;
            if !tests.iter().any(|path| is_cited(cited, path)) {
                missing.push(format!("{name}: `{cited}`"));
            }
        }
    }
    assert!(missing.is_empty(), "no tests have these names:\n{}", missing.join("\n"));
    assert!(count > 100, "only {count} citations were found");
}

#[test]
fn documents_and_scripts_filter_existing_tests() {
    let tests = [suite(), other_tests()].concat();
    let (mut count, mut missing) = (0, Vec::new());
    for (name, text) in documents().into_iter().chain(scripts()) {
        for filter in filters(&text) {
            count += 1;
            if !tests.iter().any(|path| path.contains(&filter)) {
                missing.push(format!("{name}: {filter}"));
            }
        }
    }
    assert!(missing.is_empty(), "no tests match these filters:\n{}", missing.join("\n"));
    assert!(count > 10, "only {count} filters were found");
}

#[test]
fn documents_and_comments_name_existing_test_files() {
    let sources = ["src", "fuzz/src"].into_iter().flat_map(rust_files);
    let settings = files(&[""]).into_iter().filter(|(name, _)| name.ends_with(".toml"));
    for (name, text) in documents().into_iter().chain(scripts()).chain(settings).chain(sources) {
        for rest in text.split("tests/suite").skip(1) {
            let is_path = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
            let path = rest.split(|c| !is_path(c)).next().unwrap().trim_end_matches('.');
            assert!(root().join(format!("tests/suite{path}")).exists(), "{name}: tests/suite{path}");
        }
    }
}
