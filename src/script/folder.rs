//! Beside the path: the command files of a folder, and the entries that are passed over.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::place::shown;

/// Most entries that a message lists.
const LISTED: usize = 5;

/// The entries of a folder of command files.
#[derive(Debug, Default)]
pub(crate) struct Folder {
    /// The files whose names end in `.txt`.
    pub(crate) files: Vec<PathBuf>,
    /// The names of all other entries, sorted; scenarios (`*.toml`) belong there and are not among them.
    passed_over: Vec<String>,
}

impl Folder {
    /// Reads a folder.
    ///
    /// # Errors
    /// The reason why it cannot be read.
    pub(crate) fn read(dir: &Path) -> io::Result<Self> {
        let mut folder = Self::default();
        for entry in fs::read_dir(dir)? {
            let path = entry?.path();
            let ends = |suffix: &str| path.extension().is_some_and(|extension| extension == suffix);
            // A hidden file or a folder is not a command file, whatever its suffix.
            let name = shown(path.file_name().unwrap_or_default().as_encoded_bytes());
            if ends("txt") && !name.starts_with('.') && !path.is_dir() {
                folder.files.push(path);
            } else if !ends("toml") {
                folder.passed_over.push(name);
            }
        }
        folder.passed_over.sort_unstable();
        Ok(folder)
    }

    /// Returns a warning with the entries that are passed over, if there are any.
    pub(crate) fn warning(&self, dir: &Path) -> Option<String> {
        let names = listed(&self.passed_over)?;
        let dir = shown(dir.as_os_str().as_encoded_bytes());
        let rule = "a command file is a file that ends in .txt, in small letters, and is not hidden";
        Some(format!("passed over in {dir}: {names}; {rule}"))
    }
}

/// Lists the first few names, and the number of the others; nothing for no names.
pub(crate) fn listed(names: &[String]) -> Option<String> {
    let shown = names[..names.len().min(LISTED)].join(", ");
    match (names.len(), names.len().saturating_sub(LISTED)) {
        (0, _) => None,
        (_, 0) => Some(shown),
        (_, more) => Some(format!("{shown} and {more} more")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_that_are_no_command_files_are_named() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Folder::read(dir.path()).unwrap().warning(dir.path()), None);
        for name in ["c1.txt", "C2.TXT", "README", ".c3.txt", "c4.txt~", "scenario.toml"] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        fs::create_dir(dir.path().join("c5.txt")).unwrap();
        let folder = Folder::read(dir.path()).unwrap();
        assert_eq!(folder.files, [dir.path().join("c1.txt")]);
        assert_eq!(folder.passed_over, [".c3.txt", "C2.TXT", "README", "c4.txt~", "c5.txt"]);
        assert!(folder.warning(dir.path()).unwrap().contains(": .c3.txt, C2.TXT, README, c4.txt~, c5.txt; "));
        fs::write(dir.path().join("z"), "").unwrap();
        let warning = Folder::read(dir.path()).unwrap().warning(dir.path()).unwrap();
        assert!(warning.contains("c5.txt and 1 more; "), "{warning}");
    }
}
