//! Where a run is kept: `runs/<date and time>/`, and `runs/latest`, which leads to the last one.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::driver::clock;
use crate::exit::{Exit, Failure};
use crate::place::obstacle;

const RUNS: &str = "runs";

/// The folder that a run that starts now would have.
pub(super) fn next() -> PathBuf {
    Path::new(RUNS).join(clock::date_and_time())
}

/// Makes a folder that no other run has, and lets `latest` lead to it.
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

/// In one step, so that `latest` always leads somewhere.
fn link_latest(path: &Path) -> std::io::Result<()> {
    let new = Path::new(RUNS).join(format!(".latest-{}", std::process::id()));
    let name = path.file_name().unwrap_or_default();
    // Left by a process with this number that was killed just here.
    let _ = fs::remove_file(&new);
    symlink(name, &new)?;
    fs::rename(&new, Path::new(RUNS).join("latest"))
}
