//! A result file under construction: complete files have their names, all others end in `.part`.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use super::lines::Lines;
use crate::exit::{Exit, Failure};
use crate::place::obstacle;

/// One file: `<path>.part` until it is complete.
#[derive(Debug)]
pub(super) struct Output {
    pub(super) path: PathBuf,
    /// Its path before the run starts, if another file may be in its place.
    aside: Option<PathBuf>,
    pub(super) lines: Lines,
    pub(super) state: State,
}

/// The state of a file, which decides on its fate when it is dropped.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum State {
    /// The run has not started: removed.
    Created,
    /// The run has started: kept as it is.
    Started,
    /// It has its final name.
    Finished,
}

impl Output {
    pub(super) fn create(path: PathBuf, force: bool) -> Result<Self, Failure> {
        let part = part(&path);
        if force && path.is_dir() {
            return Err(cannot_remove(&path, &io::ErrorKind::IsADirectory.into()));
        }
        let is_special = part.metadata().is_ok_and(|there| !there.is_file());
        let aside = (force && !is_special).then(|| aside(&part));
        let place = aside.as_ref().unwrap_or(&part);
        // A killed process with the same number may have left it.
        aside.as_deref().map_or(Ok(()), remove)?;
        let mut options = OpenOptions::new();
        // Appending, so that writing goes on at the right position after half a line was cut off.
        options.append(true).create(true).create_new(!is_special || !force);
        let file = options.open(place).map_err(|reason| match reason.kind() {
            io::ErrorKind::AlreadyExists => exists(place),
            _ => cannot_create(place, &reason),
        })?;
        Ok(Self { path, aside, lines: Lines::new(file, 0), state: State::Created })
    }

    /// Moves to its path, and replaces the file of an earlier run.
    pub(super) fn start(&mut self) -> Result<(), Failure> {
        if let Some(aside) = self.aside.take() {
            let part = part(&self.path);
            remove(&self.path)?;
            fs::rename(&aside, &part).map_err(|reason| cannot_create(&part, &reason))?;
        }
        self.state = State::Started;
        Ok(())
    }

    pub(super) fn line(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), Failure> {
        self.lines.push(write).map_err(|reason| self.cannot_write(&reason))
    }

    pub(super) fn flush(&mut self) -> Result<(), Failure> {
        self.lines.flush().map_err(|reason| self.cannot_write(&reason))
    }

    pub(super) fn sync(&self) -> Result<(), Failure> {
        self.lines.file.sync_all().map_err(|reason| self.cannot_write(&reason))
    }

    pub(super) fn rename(&mut self) -> Result<PathBuf, Failure> {
        fs::rename(part(&self.path), &self.path).map_err(|reason| self.cannot_write(&reason))?;
        self.state = State::Finished;
        Ok(self.path.clone())
    }

    pub(super) fn cannot_write(&self, reason: &io::Error) -> Failure {
        let path = part(&self.path);
        let help = if reason.kind() == io::ErrorKind::NotFound {
            "it was removed or renamed while the run went on, or its folder was; what was in it is lost"
        } else {
            "the lines that were written before are whole and stay"
        };
        Failure::new(Exit::Io, format!("cannot write {}: {reason}", path.display())).help(help)
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        // A drop cannot report a failure.
        let _ = match self.state {
            State::Created => {
                let place = self.aside.take().unwrap_or_else(|| part(&self.path));
                fs::remove_file(place).is_ok()
            }
            State::Started => self.flush().is_ok(),
            State::Finished => true,
        };
    }
}

/// Returns the name of a file that is not complete.
pub(super) fn part(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    name.into()
}

/// Returns a name that no other process uses, beside the final one.
fn aside(part: &Path) -> PathBuf {
    let mut name = part.as_os_str().to_owned();
    name.push(format!(".{}", std::process::id()));
    name.into()
}

pub(super) fn remove(path: &Path) -> Result<(), Failure> {
    match fs::remove_file(path) {
        Err(reason) if reason.kind() != io::ErrorKind::NotFound => Err(cannot_remove(path, &reason)),
        _ => Ok(()),
    }
}

fn cannot_remove(path: &Path, reason: &io::Error) -> Failure {
    let what = format!("cannot remove {} of an earlier run: {reason}", path.display());
    Failure::new(Exit::CannotCreate, what)
}

pub(super) fn exists(path: &Path) -> Failure {
    Failure::new(Exit::CannotCreate, format!("{} is there already", path.display()))
        .help("name another directory with --out, or replace the results of that run with --force")
}

pub(super) fn cannot_create(path: &Path, reason: &io::Error) -> Failure {
    let reason = obstacle(path, reason);
    Failure::new(Exit::CannotCreate, format!("cannot create {}: {reason}", path.display()))
}
