//! What a program says to people, on standard error; results never go here.

use std::io::{IsTerminal, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use clap::ValueEnum;

use crate::exit::Failure;
use crate::lock::lock;

/// When to use colour.
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
    /// Whether to use colour on something that is a terminal, or is not.
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

/// Whether the terminal is one that only types lines.
#[must_use]
pub fn is_dumb() -> bool {
    std::env::var_os("TERM").is_some_and(|term| term == "dumb")
}

/// How much a program says.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Level {
    /// Errors only.
    Quiet,
    /// What a person wants to know.
    Normal,
    /// And the details.
    Verbose,
}

/// The voice of one program. Its clones speak with it.
#[derive(Clone)]
pub struct Talk {
    name: String,
    level: Level,
    color: bool,
    detour: Detour,
}

/// Where lines go instead of standard error.
type Detour = Arc<Mutex<Option<Listener>>>;

/// Who gets lines instead, each with its line feed.
pub type Listener = Box<dyn Fn(&str) + Send>;

impl Talk {
    /// The voice of the program that people know as `name`.
    #[must_use]
    pub fn new(name: &str, level: Level, color: Color) -> Self {
        let color = color.on(std::io::stderr().is_terminal());
        Self { name: name.to_owned(), level, color, detour: Detour::default() }
    }

    /// From now on lines go to `listener`, because something else is drawn on the terminal; `None` brings them back.
    pub fn divert(&self, listener: Option<Listener>) {
        *lock(&self.detour) = listener;
    }

    /// Something a person wants to know.
    pub fn say(&self, text: impl AsRef<str>) {
        if self.level >= Level::Normal {
            self.line("", "", text.as_ref());
        }
    }

    /// A detail for `-v`.
    pub fn detail(&self, text: impl AsRef<str>) {
        if self.level >= Level::Verbose {
            self.line("\x1b[2m", "", text.as_ref());
        }
    }

    /// Something is not as it should be, but the run goes on.
    pub fn warn(&self, text: impl AsRef<str>) {
        self.line("\x1b[33m", "warning: ", text.as_ref());
    }

    /// The program ends with this.
    pub fn fail(&self, failure: &Failure) {
        self.line("\x1b[31m", "error: ", &failure.to_string());
    }

    /// A line for a program that listens, as it is.
    pub fn machine(&self, line: &str) {
        let _ = std::io::stderr().write_all(format!("{line}\n").as_bytes());
    }

    /// Nobody to listen is no reason to fail: errors of standard error are ignored.
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

/// The text without control characters other than line feed: payloads must not steer a terminal.
#[must_use]
pub fn printable(text: &str) -> String {
    escaped(text, |character| character.is_control() && character != '\n')
}

/// A member's text as a person may see it, on one line: nothing in it steers the terminal, or looks as if somebody
/// else had said it.
#[must_use]
pub fn on_one_line(text: &[u8]) -> String {
    let mut line = String::with_capacity(text.len());
    for chunk in text.utf8_chunks() {
        line += &escaped(chunk.valid(), steers);
        line.extend(chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}")));
    }
    line
}

/// Whether a character would do something to a terminal, such as to turn the direction of writing, instead of
/// only being shown.
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

/// A duration as people say it: `850 ms`, `3.2 s`, `58 s`, `5 min`.
#[must_use]
pub fn duration(length: Duration) -> String {
    let millis = length.as_millis();
    match millis {
        0..1_000 => format!("{millis} ms"),
        1_000..10_000 => format!("{:.1} s", length.as_secs_f64()),
        10_000..120_000 => format!("{} s", length.as_secs()),
        _ => format!("{} min", length.as_secs() / 60),
    }
}

/// A name in pieces, so that c2 is sorted before c10: what stands before its last number, and that number.
#[must_use]
pub fn natural(name: &str) -> (String, Option<u64>, String) {
    let stem = name.trim_end_matches(|character: char| character.is_ascii_digit());
    (stem.to_owned(), name[stem.len()..].parse().ok(), name.to_owned())
}

/// `c1, c2 and c3`.
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
