//! One process of a run: its program and its command line, and the end of one that spoils the run.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::processes::End;

/// One process of a run.
#[derive(Clone, Debug)]
pub(super) struct Process {
    pub(super) name: String,
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<String>,
    /// The number of operations of a client.
    pub(super) operations: Option<u64>,
}

impl Process {
    pub(super) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).stdin(Stdio::null());
        command
    }

    pub(super) fn words(&self) -> Vec<String> {
        let program = self.program.display().to_string();
        std::iter::once(program).chain(self.arguments.iter().cloned()).collect()
    }

    /// Formats the command line for a shell.
    pub(super) fn command_line(&self) -> String {
        self.words().iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
    }
}

/// Quotes a word for a shell.
pub(super) fn quoted(word: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./:=,+@%".contains(letter);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// The end of a process that spoiled a run.
#[derive(Clone, Debug)]
pub(super) struct Death {
    pub(super) name: String,
    pub(super) end: End,
    /// The last error that it reported.
    pub(super) error: Option<String>,
    /// The number of its deliveries.
    pub(super) delivered: Option<u64>,
}

impl Death {
    /// Describes the end in words.
    pub(super) fn how(&self) -> String {
        let after = self.delivered.map_or_else(String::new, |count| format!(" after {count} deliveries"));
        match (&self.error, self.end) {
            (Some(error), End::Code(_)) => format!("{}: {error}", self.end),
            _ => format!("{}{after}", self.end),
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
