//! The folder of a run: `runs/<date and time>/`, and the link `runs/latest` to the last one.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::driver::clock;
use crate::exit::{Exit, Failure};
use crate::place::obstacle;

const RUNS: &str = "runs";

/// Returns the folder that a run would get now.
pub(super) fn next() -> PathBuf {
    Path::new(RUNS).join(clock::date_and_time())
}

/// Creates a folder of its own for a run, and points `latest` to it.
///
/// # Errors
/// [`Exit::CannotCreate`].
pub(super) fn create() -> Result<PathBuf, Failure> {
    let cannot = |path: &Path, reason: std::io::Error| {
        let reason = obstacle(path, &reason);
        Failure::new(Exit::CannotCreate, format!("cannot create {}: {reason}", path.display()))
    };
    fs::create_dir_all(RUNS).map_err(|reason| cannot(Path::new(RUNS), reason))?;
    let wanted = next();
    let mut path = wanted.clone();
    for again in 2.. {
        match fs::create_dir(&path) {
            Ok(()) => break,
            Err(reason) if reason.kind() != ErrorKind::AlreadyExists => return Err(cannot(&path, reason)),
            Err(_) => path = format!("{}-{again}", wanted.display()).into(),
        }
    }
    link_latest(&path).map_err(|reason| cannot(&Path::new(RUNS).join("latest"), reason))?;
    Ok(path)
}

/// Replaces the link in one step, so that `latest` always exists.
fn link_latest(path: &Path) -> std::io::Result<()> {
    let new = Path::new(RUNS).join(format!(".latest-{}", std::process::id()));
    let name = path.file_name().unwrap_or_default();
    // A killed process with the same process id may have left its link.
    let _ = fs::remove_file(&new);
    symlink(name, &new)?;
    fs::rename(&new, Path::new(RUNS).join("latest"))
}
