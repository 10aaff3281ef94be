//! The lock of a journal's folder: one process at a time.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Write};
use std::path::Path;

use super::failed;
use crate::exit::{Exit, Failure};

/// The file that is locked. It names the process that has the journal.
const FILE: &str = "journal.lock";

/// The lock. It is released when it is dropped, or when the process ends, however it ends.
#[derive(Debug)]
pub(super) struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing the file is not enough: a child that another thread has just forked holds it until it executes its
        // program.
        let _ = self.0.unlock();
    }
}

impl Lock {
    /// Locks a folder to write its journal.
    ///
    /// # Errors
    /// [`Exit::Unavailable`] if another process has it; [`Exit::CannotCreate`] if the lock cannot be made.
    pub(super) fn take(dir: &Path) -> Result<Self, Failure> {
        let path = dir.join(FILE);
        let file = File::options().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = file.map_err(|error| failed(Exit::CannotCreate, "create", &path, &error))?;
        let locked = file.try_lock();
        judge(locked, dir, &path)?;
        // For people only.
        let _ = file.set_len(0).and_then(|()| write!(file, "{}", std::process::id()));
        Ok(Self(file))
    }

    /// Locks a folder to read its journal. A folder that no process ever had needs no lock.
    ///
    /// # Errors
    /// [`Exit::Unavailable`] if a process writes the journal, [`Exit::NoInput`] if the lock cannot be read.
    pub(super) fn share(dir: &Path) -> Result<Option<Self>, Failure> {
        let path = dir.join(FILE);
        match File::open(&path) {
            Ok(file) => judge(file.try_lock_shared(), dir, &path).map(|()| Some(Self(file))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(Exit::NoInput, "open", &path, &error)),
        }
    }
}

fn judge(locked: Result<(), TryLockError>, dir: &Path, path: &Path) -> Result<(), Failure> {
    match locked {
        Ok(()) => Ok(()),
        // A file system without locks.
        Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => Ok(()),
        Err(TryLockError::Error(error)) => Err(failed(Exit::Unavailable, "lock", path, &error)),
        Err(TryLockError::WouldBlock) => {
            let holder = holder(path).map_or("another process".into(), |pid| format!("process {pid}"));
            let dir = dir.display();
            Err(Failure::new(Exit::Unavailable, format!("the journal in {dir} is in use by {holder}"))
                .help("wait until it has ended, or give each member a folder of its own"))
        }
    }
}

/// Returns the process that has the journal of a folder, or had it last; none if the folder has no lock.
#[must_use]
pub fn last_holder(dir: &Path) -> Option<u32> {
    holder(&dir.join(FILE))
}

/// Returns the process that a lock names.
fn holder(path: &Path) -> Option<u32> {
    let mut text = String::new();
    File::open(path).ok()?.take(16).read_to_string(&mut text).ok()?;
    text.parse().ok()
}

/// Makes the entries of a folder durable.
pub(super) fn sync_folder(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Makes a folder, if it is not there, and its entry durable.
pub(super) fn make_folder(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(dir)?;
    sync_folder(dir.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lock_that_a_forked_child_has_too_ends_with_its_drop() {
        let dir = tempfile::tempdir().unwrap();
        let lock = Lock::take(dir.path()).unwrap();
        // As after a fork: the same open file under another descriptor.
        let _of_child = lock.0.try_clone().unwrap();
        drop(lock);
        Lock::take(dir.path()).unwrap();
    }
}
