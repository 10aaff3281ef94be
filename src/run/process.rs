//! One process to be started: which program, and its command line.

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
    /// How many operations a client has.
    pub(crate) operations: Option<u64>,
}

impl Process {
    /// The command that starts it; what is set in our own environment for us is not for it.
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

    /// As it could be typed into a shell.
    pub(crate) fn command_line(&self) -> String {
        self.words().iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
    }
}

/// A word as a shell takes it.
pub(crate) fn quoted(word: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./:=,+@%".contains(letter);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// The folder of the other programs: the one that this one is in.
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
