//! Folders of results as `groupcast check`, `diagram` and `explain` read them: histories, result files, their names.
//!
//! An input is text: a line that begins with `== ` names a file, and the lines up to the next such line are its
//! content.

use std::fs;

use groupcast::exit::Exit;
use groupcast::fuzzing;

/// The most files of an input: more files and members show nothing new, and take long.
const FILES: usize = 12;
/// The length of the longest name; most file systems allow no longer ones.
const NAME: usize = 200;

/// Runs the target: the input is a folder of results.
pub fn run(input: &[u8]) {
    let folder = tempfile::Builder::new().prefix("groupcast-fuzz-").tempdir_in(memory()).expect("a folder");
    for (name, content) in files(input).take(FILES) {
        if let Ok(name) = std::str::from_utf8(name)
            && is_name(name)
        {
            fs::write(folder.path().join(name), content).expect("a file");
        }
    }
    let before = names(&folder);
    match fuzzing::results(folder.path()) {
        Ok(texts) => assert!(texts.iter().all(|text| !text.is_empty())),
        Err(failure) => {
            let exits = [Exit::BadData, Exit::NoInput, Exit::Usage];
            assert!(exits.contains(&failure.exit), "{failure:?}");
            let _ = failure.to_string();
        }
    }
    assert_eq!(names(&folder), before, "judging a folder changes nothing in it");
}

/// Returns the folder in which files cost least.
fn memory() -> std::path::PathBuf {
    let memory = std::path::Path::new("/dev/shm");
    if memory.is_dir() { memory.into() } else { std::env::temp_dir() }
}

fn names(folder: &tempfile::TempDir) -> Vec<std::ffi::OsString> {
    let entries = fs::read_dir(folder).expect("it is there");
    let mut names: Vec<_> = entries.map(|entry| entry.expect("an entry").file_name()).collect();
    names.sort();
    names
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= NAME && !name.contains(['/', '\0']) && name != "." && name != ".."
}

/// Returns the name and the content of each file.
fn files(input: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    const MARK: &[u8] = b"== ";
    let mut rest = input.strip_prefix(MARK).unwrap_or_default();
    std::iter::from_fn(move || {
        let end = rest.iter().position(|&byte| byte == b'\n')?;
        let (name, content) = (&rest[..end], &rest[end + 1..]);
        let starts = |at: usize| content[at..].starts_with(MARK) && (at == 0 || content[at - 1] == b'\n');
        let next = (0..content.len()).find(|&at| starts(at));
        rest = next.map_or(&[][..], |next| &content[next + MARK.len()..]);
        Some((name, &content[..next.unwrap_or(content.len())]))
    })
}
