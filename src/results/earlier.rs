//! The files of an earlier run in the folder of a client.

use std::fs;
use std::path::{Path, PathBuf};

use super::{cannot_create, exists, part};
use crate::exit::Failure;

/// The fate of the files of an earlier run.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Earlier {
    /// They stay, and this run is refused.
    Refuse,
    /// They are replaced.
    Replace,
    /// They stay under other names, with `.old-1` (or the next number) behind them.
    Keep,
}

impl From<bool> for Earlier {
    /// `--force` or not.
    fn from(force: bool) -> Self {
        if force { Self::Replace } else { Self::Refuse }
    }
}

pub(super) fn refuse_to_overwrite(paths: [&PathBuf; 3]) -> Result<(), Failure> {
    let both = paths.into_iter().flat_map(|path| [path.clone(), part(path)]);
    // A broken link counts, too.
    both.filter(|path| path.symlink_metadata().is_ok()).try_for_each(|path| Err(exists(&path)))
}

/// Returns the history of the last run of a client in a folder, complete or not, if it has one.
#[must_use]
pub fn earlier_history(dir: &Path, id: &str) -> Option<PathBuf> {
    let path = dir.join(format!("history_{id}.jsonl"));
    [part(&path), path].into_iter().find(|path| path.is_file())
}

/// Renames those of these files that exist, complete or not; returns the suffix of all of them.
pub(super) fn keep(paths: &[PathBuf]) -> Result<Option<String>, Failure> {
    let both: Vec<PathBuf> = paths.iter().flat_map(|path| [path.clone(), part(path)]).collect();
    let is_there = |path: &&PathBuf| path.symlink_metadata().is_ok_and(|there| there.is_file());
    if !both.iter().any(|path| is_there(&path)) {
        return Ok(None);
    }
    let endings = (1_u32..).map(|number| format!(".old-{number}"));
    let is_free = |ending: &String| both.iter().all(|path| with(path, ending).symlink_metadata().is_err());
    let ending = endings.into_iter().find(is_free).unwrap_or_default();
    for path in both.iter().filter(is_there) {
        let name = with(path, &ending);
        fs::rename(path, &name).map_err(|reason| cannot_create(&name, &reason))?;
    }
    Ok(Some(ending))
}

fn with(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}
