//! Beside the path: the flaw of an input file, shown to a person in its place.
//!
//! All of it is computed from a byte offset when it is needed, so that a good file pays nothing for it.

use std::fmt::Write;
use std::io;
use std::ops::Range;
use std::path::Path;

use bytes::Bytes;

use crate::exit::{Exit, Failure};

/// Most bytes of a line that are shown before, under and behind the caret, each.
const SHOWN: usize = 48;

/// A flaw in a file.
#[derive(Debug)]
pub(crate) struct Flaw {
    /// The place, in bytes of the file. An empty one is a place where something is missing.
    pub(crate) span: Range<usize>,
    pub(crate) message: String,
    help: Option<String>,
}

impl Flaw {
    pub(crate) fn new(span: Range<usize>, message: impl Into<String>) -> Self {
        Self { span, message: message.into(), help: None }
    }

    /// Adds the remedy.
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Moves the place of a flaw in a line that begins at `start` of the file.
    pub(crate) fn moved(mut self, start: usize) -> Self {
        self.span = self.span.start + start..self.span.end + start;
        self
    }
}

/// A file as its errors name and show it.
#[derive(Debug)]
pub(crate) struct Source {
    /// Its path, fit for a terminal.
    pub(crate) name: String,
    /// Its content, without a byte order mark.
    pub(crate) text: Bytes,
}

impl Source {
    /// Returns the failure of a program because of `flaw`: exit 65 with `file:line:column` and a caret.
    pub(crate) fn failure(&self, flaw: Flaw) -> Failure {
        let line_span = self.line_around(flaw.span.start);
        let number = 1 + self.text[..line_span.start].iter().filter(|&&byte| byte == b'\n').count();
        let column = column(&self.text[line_span.clone()], flaw.span.start - line_span.start);
        let at = format!("{}:{number}:{column}", self.name);
        let failure = Failure::new(Exit::BadData, format!("{at}: {}", flaw.message))
            .place(self.place(&at, number, line_span, flaw.span));
        match flaw.help {
            Some(help) => failure.help(help),
            None => failure,
        }
    }

    /// Returns the line that holds the byte at `at`, without its line end.
    fn line_around(&self, at: usize) -> Range<usize> {
        let is_end = |&byte: &u8| byte == b'\n';
        let start = self.text[..at].iter().rposition(is_end).map_or(0, |end| end + 1);
        let line = self.text[start..].split(is_end).next().unwrap_or_default();
        let ended = start + line.len() < self.text.len();
        let length = line.strip_suffix(b"\r").filter(|_| ended).unwrap_or(line).len();
        start..(start + length).max(at)
    }

    fn place(&self, at: &str, number: usize, line: Range<usize>, marked: Range<usize>) -> String {
        let marked_end = marked.end.min(line.end);
        let before = last_of(&self.text[line.start..marked.start]);
        let under = first_of(&self.text[marked.start..marked_end]);
        let behind = first_of(&self.text[marked_end..line.end]);
        let gutter = " ".repeat(number.to_string().len());
        let indent = " ".repeat(before.chars().count());
        let carets = "^".repeat(under.chars().count().max(1));
        format!(
            "{gutter}--> {at}\n{gutter} |\n{number} | {before}{under}{behind}\n{gutter} | {indent}{carets}"
        )
    }
}

/// Returns the column of the byte at `at`, from 1: in characters if the line is UTF-8, otherwise in bytes.
fn column(line: &[u8], at: usize) -> usize {
    let characters = std::str::from_utf8(line).ok().and_then(|line| Some(line.get(..at)?.chars().count()));
    1 + characters.unwrap_or(at)
}

/// Formats the end of a piece of a line, with a mark where it was cut.
fn last_of(bytes: &[u8]) -> String {
    if bytes.len() <= SHOWN {
        return shown(bytes);
    }
    let mut from = bytes.len() - SHOWN;
    while bytes.get(from).is_some_and(|&byte| is_continuation(byte)) {
        from += 1;
    }
    format!("…{}", shown(&bytes[from..]))
}

/// Formats the beginning of a piece of a line, with a mark where it was cut.
fn first_of(bytes: &[u8]) -> String {
    if bytes.len() <= SHOWN {
        return shown(bytes);
    }
    let mut to = SHOWN;
    while to > 0 && is_continuation(bytes[to]) {
        to -= 1;
    }
    format!("{}…", shown(&bytes[..to]))
}

/// Returns whether a byte is inside a character of UTF-8.
const fn is_continuation(byte: u8) -> bool {
    byte & 0xc0 == 0x80
}

/// Returns the file without the byte order mark that some editors put in front.
pub(crate) fn without_mark(file: Bytes) -> Bytes {
    if file.starts_with(b"\xef\xbb\xbf") { file.slice(3..) } else { file }
}

/// Returns the flaw of a file that is not text in UTF-8 or another encoding that extends ASCII.
pub(crate) fn unreadable(file: &[u8]) -> Option<Flaw> {
    let is_zero = |at: usize| file.get(at) == Some(&0);
    let is_ascii = |at: usize| file.get(at).is_some_and(|byte| (1..0x80).contains(byte));
    // Without a mark: every other byte of Latin text is zero.
    let is_wide =
        |first: usize| is_ascii(first) && is_zero(1 - first) && is_ascii(first + 2) && is_zero(3 - first);
    if file.starts_with(b"\xff\xfe") || file.starts_with(b"\xfe\xff") || is_wide(0) || is_wide(1) {
        return Some(Flaw::new(0..2, "this is UTF-16").help("save the file as UTF-8"));
    }
    if file.starts_with(b"PK\x03\x04") {
        return Some(
            Flaw::new(0..2, "this is a ZIP archive or the file of an office program")
                .help("save the table as text, with commas between the fields (CSV)"),
        );
    }
    None
}

/// Returns the text of a file.
///
/// # Errors
/// The flaw of a file in any encoding but UTF-8.
pub(crate) fn text_of(file: &[u8]) -> Result<&str, Flaw> {
    if let Some(flaw) = unreadable(file) {
        return Err(flaw);
    }
    std::str::from_utf8(file).map_err(|error| {
        let at = error.valid_up_to();
        Flaw::new(at..at + 1, "this is not UTF-8")
    })
}

/// Words why a folder cannot be created or read: the obstacle on the path to it, or else `reason`.
pub(crate) fn obstacle(dir: &Path, reason: &io::Error) -> String {
    let mut above: Vec<&Path> = dir.ancestors().filter(|path| !path.as_os_str().is_empty()).collect();
    above.reverse();
    for path in above {
        let is_there = path.symlink_metadata().is_ok();
        let name = || if path == dir { "it".to_owned() } else { shown(path.as_os_str().as_encoded_bytes()) };
        match path.metadata() {
            Ok(found) if !found.is_dir() => return format!("{} is a file, not a folder", name()),
            Err(_) if is_there && path.is_symlink() => {
                let target = path.read_link().unwrap_or_default();
                let target = shown(target.as_os_str().as_encoded_bytes());
                return format!("{} is a link to {target}, which is not there", name());
            }
            _ => {}
        }
    }
    reason.to_string()
}

/// Formats `bytes` for a terminal: characters that could move the cursor or hide, and bytes that are not UTF-8, are
/// escaped.
pub(crate) fn shown(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '"' | '\'' | '\\' => out.push(character),
                _ => out.extend(character.escape_debug()),
            }
        }
        for byte in chunk.invalid() {
            write!(out, "\\x{byte:02x}").expect("a string takes everything");
        }
    }
    out
}

/// Formats a short piece of a file inside a message.
pub(crate) fn quoted(bytes: &[u8]) -> String {
    format!("`{}`", first_of(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(text: &'static [u8], span: Range<usize>) -> Failure {
        let source = Source { name: "c1.txt".into(), text: Bytes::from_static(text) };
        source.failure(Flaw::new(span, "bad").help("mend it"))
    }

    fn shown_place(text: &'static [u8], span: Range<usize>) -> String {
        failure(text, span).place.unwrap()
    }

    #[test]
    fn a_failure_says_what_where_and_what_to_do() {
        let failure = failure(b"sleep,1\nc1,c9,command2\nsleep,1\n", 11..13);
        assert_eq!(failure.exit, Exit::BadData);
        assert_eq!(
            failure.to_string(),
            "c1.txt:2:4: bad\n --> c1.txt:2:4\n  |\n2 | c1,c9,command2\n  |    ^^\n  help: mend it"
        );
    }

    #[test]
    fn the_gutter_is_as_wide_as_the_line_number() {
        let place = shown_place(b"\n\n\n\n\n\n\n\n\nab", 9..11);
        assert_eq!(place, "  --> c1.txt:10:1\n   |\n10 | ab\n   | ^^");
    }

    #[test]
    fn columns_count_characters_where_they_can() {
        assert!(failure("äö,x".as_bytes(), 5..6).message.starts_with("c1.txt:1:4:"));
        assert!(failure(b"\xff\xc3\xa4,x", 4..5).message.starts_with("c1.txt:1:5:"));
    }

    #[test]
    fn what_a_terminal_would_obey_is_escaped_and_the_caret_still_fits() {
        assert_eq!(
            shown_place(b"a\t\x1b\xff,xy\r\n", 5..7),
            " --> c1.txt:1:6\n  |\n1 | a\\t\\u{1b}\\xff,xy\n  |               ^^"
        );
        assert_eq!(shown("\u{202e}\u{200b}\0\u{a0}ä\"\\".as_bytes()), "\\u{202e}\\u{200b}\\0\\u{a0}ä\"\\");
    }

    #[test]
    fn a_place_ends_with_its_line() {
        assert_eq!(shown_place(b"a,\"b\nc\"", 2..7), " --> c1.txt:1:3\n  |\n1 | a,\"b\n  |   ^^");
        assert_eq!(shown_place(b"ab,\nc", 3..3), " --> c1.txt:1:4\n  |\n1 | ab,\n  |    ^");
        assert_eq!(shown_place(b"", 0..0), " --> c1.txt:1:1\n  |\n1 | \n  | ^");
        assert_eq!(shown_place(b"a\r", 1..2), " --> c1.txt:1:2\n  |\n1 | a\\r\n  |  ^^");
    }

    #[test]
    fn folder_that_cannot_be_made_names_the_obstacle() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        std::fs::write(path("file"), "").unwrap();
        std::os::unix::fs::symlink("nowhere", path("link")).unwrap();
        let reason = io::Error::other("the disk is on fire");
        let told = |name: &str| obstacle(&path(name), &reason);
        assert_eq!(told("file"), "it is a file, not a folder");
        assert!(
            told("file/below/it").ends_with("/file is a file, not a folder"),
            "{}",
            told("file/below/it")
        );
        assert_eq!(told("link"), "it is a link to nowhere, which is not there");
        assert!(told("link/below").ends_with("/link is a link to nowhere, which is not there"));
        assert_eq!(told("new"), "the disk is on fire");
    }

    #[test]
    fn file_in_another_encoding_is_called_by_its_name() {
        for (file, word) in [
            (&b"\xff\xfeM\0"[..], Some("UTF-16")),
            (b"\xfe\xff\0M", Some("UTF-16")),
            (b"M\0u\0", Some("UTF-16")),
            (b"\0M\0u", Some("UTF-16")),
            (b"PK\x03\x04", Some("ZIP")),
            (b"\0c1,c2", None),
            (b"", None),
            (b"M", None),
            ("\u{e4}\u{f6}".as_bytes(), None),
        ] {
            let flaw = unreadable(file);
            assert_eq!(flaw.is_some(), word.is_some(), "{file:?}");
            assert!(flaw.is_none_or(|flaw| flaw.message.contains(word.unwrap())), "{file:?}");
        }
    }

    #[test]
    fn a_long_line_is_cut_around_its_place() {
        let line: Bytes = ["ä".repeat(100), "X".into(), "ö".repeat(100)].concat().into();
        let source = Source { name: "f".into(), text: line };
        let place = source.failure(Flaw::new(200..201, "bad")).place.unwrap();
        let (before, behind) = ("ä".repeat(24), "ö".repeat(24));
        let indent = " ".repeat(25);
        assert_eq!(place, format!(" --> f:1:101\n  |\n1 | …{before}X{behind}…\n  | {indent}^"));
    }
}
