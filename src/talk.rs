//! Notices for people, on standard error; results never go here.

use std::io::{IsTerminal, Write};
use std::sync::{Arc, Mutex};

use clap::ValueEnum;

use crate::exit::Failure;
use crate::lock::lock;

/// The use of colour.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless `NO_COLOR` is set or `TERM` is `dumb`.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl Color {
    /// Returns whether to use colour, on a terminal or not.
    #[must_use]
    pub fn on(self, terminal: bool) -> bool {
        let no_color = || std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        match self {
            Self::Auto => terminal && !is_dumb() && !no_color(),
            Self::Always => true,
            Self::Never => false,
        }
    }
}

/// Returns whether the terminal can only print lines.
#[must_use]
pub fn is_dumb() -> bool {
    std::env::var_os("TERM").is_some_and(|term| term == "dumb")
}

/// The amount of notices.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Level {
    /// Errors only.
    Quiet,
    /// Errors and notices.
    Normal,
    /// Also details.
    Verbose,
}

/// The notices of one program, shared by its clones.
#[derive(Clone)]
pub struct Talk {
    name: String,
    level: Level,
    color: bool,
    detour: Detour,
}

/// The receiver of lines instead of standard error.
type Detour = Arc<Mutex<Option<Listener>>>;

/// A receiver of lines, each with its line feed.
pub type Listener = Box<dyn Fn(&str) + Send>;

impl Talk {
    /// Returns the notices of the program that people know as `name`.
    #[must_use]
    pub fn new(name: &str, level: Level, color: Color) -> Self {
        let color = color.on(std::io::stderr().is_terminal());
        Self { name: name.to_owned(), level, color, detour: Detour::default() }
    }

    /// Sends lines to `listener` from now on, because something else is drawn on the terminal; `None` ends that.
    pub fn divert(&self, listener: Option<Listener>) {
        *lock(&self.detour) = listener;
    }

    /// Prints a notice.
    pub fn say(&self, text: impl AsRef<str>) {
        if self.level >= Level::Normal {
            self.line("", "", text.as_ref());
        }
    }

    /// Prints a detail, with `-v`.
    pub fn detail(&self, text: impl AsRef<str>) {
        if self.level >= Level::Verbose {
            self.line("\x1b[2m", "", text.as_ref());
        }
    }

    /// Prints a warning: the run goes on.
    pub fn warn(&self, text: impl AsRef<str>) {
        self.line("\x1b[33m", "warning: ", text.as_ref());
    }

    /// Prints the failure with which the program ends.
    pub fn fail(&self, failure: &Failure) {
        self.line("\x1b[31m", "error: ", &failure.to_string());
    }

    /// Prints a line for a parent process, unchanged.
    pub fn machine(&self, line: &str) {
        let _ = std::io::stderr().write_all(format!("{line}\n").as_bytes());
    }

    /// Prints a line. Errors of standard error are ignored: a missing reader must not stop the program.
    fn line(&self, color: &str, label: &str, text: &str) {
        let (on, off) = if self.color && !color.is_empty() { (color, "\x1b[0m") } else { ("", "") };
        // In one write, so that lines of several programs on one terminal do not mix.
        let line = format!("{}: {on}{label}{}{off}\n", self.name, printable(text));
        match &*lock(&self.detour) {
            Some(listener) => listener(&line),
            None => drop(std::io::stderr().write_all(line.as_bytes())),
        }
    }
}

/// Returns the text without control characters other than line feed: payloads must not control a terminal.
#[must_use]
pub fn printable(text: &str) -> String {
    escaped(text, |character| character.is_control() && character != '\n')
}

/// Returns a member's text for a person, on one line: it can neither control the terminal nor look like the text of
/// another member.
#[must_use]
pub fn on_one_line(text: &[u8]) -> String {
    let mut line = String::with_capacity(text.len());
    for chunk in text.utf8_chunks() {
        line += &escaped(chunk.valid(), steers);
        line.extend(chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}")));
    }
    line
}

/// Returns whether a character would control a terminal, for instance turn the direction of writing, instead of only
/// being shown.
#[must_use]
pub fn steers(character: char) -> bool {
    let turns =
        matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    character.is_control() || turns || matches!(character, '\u{2028}' | '\u{2029}')
}

fn escaped(text: &str, is_escaped: impl Fn(char) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if is_escaped(character) { out.extend(character.escape_default()) } else { out.push(character) }
    }
    out
}

/// Splits a name so that c2 is sorted before c10: the text before its last number, and that number.
#[must_use]
pub fn natural(name: &str) -> (String, Option<u64>, String) {
    let stem = name.trim_end_matches(|character: char| character.is_ascii_digit());
    (stem.to_owned(), name[stem.len()..].parse().ok(), name.to_owned())
}

/// Formats a list: `c1, c2 and c3`.
#[must_use]
pub fn list<S: AsRef<str>>(names: &[S]) -> String {
    match names {
        [] => "nobody".to_owned(),
        [one] => one.as_ref().to_owned(),
        [init @ .., last] => {
            let init: Vec<&str> = init.iter().map(AsRef::as_ref).collect();
            format!("{} and {}", init.join(", "), last.as_ref())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_on_one_line_neither_steers_nor_pretends() {
        assert_eq!(on_one_line("grüß dich, e\u{301} 好".as_bytes()), "grüß dich, e\u{301} 好");
        assert_eq!(on_one_line(b"a\nc2> b\x1b[2J\xff\r\t"), "a\\nc2> b\\u{1b}[2J\\xff\\r\\t");
        assert_eq!(on_one_line("\u{202e}x\u{9b}".as_bytes()), "\\u{202e}x\\u{9b}");
    }
}
