//! The requests of an operator to a member: files in the folder of its journal, so that it takes the rights of that
//! folder to ask.
//!
//! The operator's program writes a request, the member takes it and writes the answer.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The names of the files.
const REQUEST: &str = "change.json";
const ANSWER: &str = "change-answer.json";

/// A change that an operator asks for.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Asked {
    /// A new member.
    Add {
        /// Its id.
        id: String,
        /// The address of its datagrams.
        udp: SocketAddr,
    },
    /// A member is to go.
    Remove {
        /// Its id.
        id: String,
    },
}

/// The answer of a member.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Answer {
    /// The change that was asked for.
    pub asked: Asked,
    /// The epoch in which it holds; absent if it was refused.
    pub epoch: Option<u16>,
    /// The reason for which it was refused.
    pub refused: Option<String>,
}

fn write(dir: &Path, name: &str, value: &impl Serialize) -> io::Result<()> {
    let part = dir.join(format!("{name}.part"));
    fs::write(&part, serde_json::to_vec(value)?)?;
    fs::rename(part, dir.join(name))
}

fn read<T: for<'a> Deserialize<'a>>(path: &PathBuf) -> io::Result<Option<T>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn remove(path: &PathBuf) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Asks the member of a folder; an earlier answer goes.
///
/// # Errors
/// That of the system.
pub(crate) fn ask(dir: &Path, asked: &Asked) -> io::Result<()> {
    remove(&dir.join(ANSWER))?;
    write(dir, REQUEST, asked)
}

/// Returns the request that was made in a folder and is not answered.
///
/// # Errors
/// That of the system, or of a file that is no request.
pub fn asked(dir: &Path) -> io::Result<Option<Asked>> {
    read(&dir.join(REQUEST))
}

/// Answers the request in a folder.
///
/// # Errors
/// That of the system.
pub fn answer(dir: &Path, answer: &Answer) -> io::Result<()> {
    write(dir, ANSWER, answer)?;
    remove(&dir.join(REQUEST))
}

/// Returns the answer in a folder.
///
/// # Errors
/// That of the system, or of a file that is no answer.
pub(crate) fn answered(dir: &Path) -> io::Result<Option<Answer>> {
    read(&dir.join(ANSWER))
}

/// Takes the request in a folder back, unless it was answered.
///
/// # Errors
/// That of the system.
pub(crate) fn take_back(dir: &Path) -> io::Result<()> {
    remove(&dir.join(REQUEST))
}
