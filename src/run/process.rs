//! A process to start: its program and its command line.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::exit::{Exit, Failure};
use crate::transport::signals::PARENT;

/// One process of a run.
#[derive(Clone, Debug)]
pub(crate) struct Process {
    pub(crate) name: String,
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<String>,
    /// The number of operations of a client.
    pub(crate) operations: Option<u64>,
}

impl Process {
    /// Returns the command that starts the process, without the environment variables that set options of this program.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        let ours = std::env::vars_os().map(|(name, _)| name);
        for name in ours.filter(|name| name.as_encoded_bytes().starts_with(b"GROUPCAST_")) {
            command.env_remove(name);
        }
        command.args(&self.arguments).env(PARENT, std::process::id().to_string());
        command
    }

    pub(crate) fn words(&self) -> Vec<String> {
        let program = self.program.display().to_string();
        std::iter::once(program).chain(self.arguments.iter().cloned()).collect()
    }

    /// Formats the command line for a shell.
    pub(crate) fn command_line(&self) -> String {
        self.words().iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
    }
}

/// Quotes a word for a shell.
pub(crate) fn quoted(word: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./:=,+@%".contains(letter);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// Returns the folder of the other programs, which is the one of this program.
pub(crate) fn programs() -> Result<PathBuf, Failure> {
    let me = std::env::current_exe()
        .map_err(|reason| Failure::new(Exit::Unavailable, format!("cannot find the programs: {reason}")))?;
    let folder = me.parent().unwrap_or(Path::new("")).to_owned();
    match ["forwarder", "router", "sequencer", "client"].iter().find(|name| !folder.join(name).is_file()) {
        None => Ok(folder),
        Some(missing) => {
            let message = format!("there is no {missing} beside {}", me.display());
            Err(Failure::new(Exit::Unavailable, message)
                .help("the programs belong into one folder: cargo build --bins makes them all"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_for_a_shell_where_they_must_be() {
        for (word, expected) in [("--speed", "--speed"), ("a b", "'a b'"), ("it's", r"'it'\''s'"), ("", "''")]
        {
            assert_eq!(quoted(word), expected);
        }
    }
}
