//! At a terminal, second step: keys become a line, drawn on one row however long it is. Pure.
//!
//! With a single row, deliveries can go above it: erase the row, print, draw the row again.

use unicode_width::UnicodeWidthChar;

use super::keys::Key;
use crate::wire::batch::MAX_TEXT;

/// The number of earlier lines that can be recalled.
const REMEMBERED: usize = 200;

/// The result of a key.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Typed {
    /// A finished line.
    Line(String),
    /// A request to end.
    End,
    /// At most a change of the picture.
    Nothing,
}

/// The line that a person is typing.
#[derive(Debug)]
pub(crate) struct Editor {
    prompt: String,
    line: String,
    /// The byte at which the next character is inserted.
    at: usize,
    earlier: Vec<String>,
    /// The index of the earlier line that is shown; their number for none.
    recalled: usize,
}

impl Editor {
    pub(crate) fn new(prompt: String) -> Self {
        Self { prompt, line: String::new(), at: 0, earlier: Vec::new(), recalled: 0 }
    }

    /// Writes another prompt before the line.
    #[cfg(feature = "web")]
    pub(crate) fn set_prompt(&mut self, prompt: String) {
        self.prompt = prompt;
    }

    pub(crate) fn press(&mut self, key: Key) -> Typed {
        match key {
            Key::Char(character) => self.insert(character),
            Key::Enter => return self.enter(),
            Key::End if self.line.is_empty() => return Typed::End,
            Key::End | Key::EraseRight => self.erase(self.at, self.right()),
            Key::Left => self.at = self.left(),
            Key::Right => self.at = self.right(),
            Key::WordLeft => self.at = self.word_left(),
            Key::WordRight => self.at = self.word_right(),
            Key::LineStart => self.at = 0,
            Key::LineEnd => self.at = self.line.len(),
            Key::Earlier => self.recall(self.recalled.saturating_sub(1)),
            Key::Later => self.recall(self.recalled + 1),
            Key::EraseLeft => self.erase(self.left(), self.at),
            Key::EraseWord => self.erase(self.word_left(), self.at),
            Key::EraseToStart => self.erase(0, self.at),
            Key::EraseToEnd => self.erase(self.at, self.line.len()),
            Key::ClearScreen => {}
        }
        Typed::Nothing
    }

    fn insert(&mut self, character: char) {
        if self.line.len() + character.len_utf8() <= MAX_TEXT {
            self.line.insert(self.at, character);
            self.at += character.len_utf8();
        }
    }

    fn enter(&mut self) -> Typed {
        self.at = 0;
        let line = std::mem::take(&mut self.line);
        if !line.is_empty() && self.earlier.last() != Some(&line) {
            self.earlier.push(line.clone());
            self.earlier.drain(..self.earlier.len().saturating_sub(REMEMBERED));
        }
        self.recalled = self.earlier.len();
        Typed::Line(line)
    }

    /// Shows an earlier line, or an empty one after the last of them.
    fn recall(&mut self, which: usize) {
        self.recalled = which.min(self.earlier.len());
        self.line = self.earlier.get(self.recalled).cloned().unwrap_or_default();
        self.at = self.line.len();
    }

    fn erase(&mut self, from: usize, to: usize) {
        self.line.drain(from..to);
        self.at = from;
    }

    /// Returns the position one character to the left; a character without width belongs to the one before it.
    fn left(&self) -> usize {
        let mut before = self.line[..self.at].char_indices().rev();
        before.find(|&(_, character)| width(character) > 0).map_or(0, |(at, _)| at)
    }

    fn right(&self) -> usize {
        let mut behind = self.line[self.at..].char_indices().skip(1);
        behind.find(|&(_, character)| width(character) > 0).map_or(self.line.len(), |(at, _)| self.at + at)
    }

    fn word_left(&self) -> usize {
        let before = self.line[..self.at].trim_end();
        before
            .rfind(char::is_whitespace)
            .map_or(0, |at| at + self.line[at..].chars().next().map_or(0, char::len_utf8))
    }

    fn word_right(&self) -> usize {
        let behind = &self.line[self.at..];
        let spaces = behind.len() - behind.trim_start().len();
        let word = behind.trim_start().find(char::is_whitespace);
        word.map_or(self.line.len(), |length| self.at + spaces + length)
    }

    /// Returns the text that draws the prompt and the line around the cursor on an empty row of `columns`, and places
    /// the cursor.
    pub(crate) fn draw(&self, columns: usize) -> String {
        let prompt = first_of(&self.prompt, columns / 2);
        // The last column stays empty: with a character there, some terminals go on to the next row.
        let room = columns.saturating_sub(columns_of(prompt) + 1);
        let behind = first_of(&self.line[self.at..], room / 4);
        let before = last_of(&self.line[..self.at], room.saturating_sub(columns_of(behind)));
        // A short line leaves more room behind the cursor than a quarter.
        let behind = first_of(&self.line[self.at..], room.saturating_sub(columns_of(before)));
        match columns_of(behind) {
            0 => format!("{prompt}{before}{behind}"),
            back => format!("{prompt}{before}{behind}\x1b[{back}D"),
        }
    }
}

fn width(character: char) -> usize {
    character.width().unwrap_or(0)
}

fn columns_of(text: &str) -> usize {
    text.chars().map(width).sum()
}

/// Returns as much of the beginning as fits into `room` columns.
fn first_of(text: &str, room: usize) -> &str {
    let mut used = 0;
    let end = text.char_indices().find(|&(_, character)| {
        used += width(character);
        used > room
    });
    end.map_or(text, |(at, _)| &text[..at])
}

/// Returns as much of the end as fits into `room` columns.
fn last_of(text: &str, room: usize) -> &str {
    let mut used = 0;
    let start = text.char_indices().rev().find(|&(_, character)| {
        used += width(character);
        used > room
    });
    start.map_or(text, |(at, character)| &text[at + character.len_utf8()..])
}

#[cfg(test)]
mod tests {
    use super::super::keys::Keys;
    use super::*;

    /// Returns the finished lines, and the final picture.
    fn typed(bytes: &[u8], columns: usize) -> (Vec<String>, String) {
        let (mut keys, mut editor) = (Keys::default(), Editor::new("c1> ".into()));
        let mut lines = Vec::new();
        for key in bytes.iter().filter_map(|&byte| keys.push(byte)) {
            match editor.press(key) {
                Typed::Line(line) => lines.push(line),
                Typed::End => lines.push("END".into()),
                Typed::Nothing => {}
            }
        }
        (lines, editor.draw(columns))
    }

    fn lines(bytes: &[u8]) -> Vec<String> {
        typed(bytes, 80).0
    }

    #[test]
    fn a_line_is_what_was_typed() {
        assert_eq!(typed(b"hello\rhalf", 80), (vec!["hello".into()], "c1> half".into()));
        assert_eq!(lines(b"\r\x04a\x04\r"), ["", "END", "a"]);
    }

    #[test]
    fn the_line_can_be_edited_anywhere() {
        assert_eq!(lines(b"helo\x1b[Dl\r"), ["hello"]);
        assert_eq!(lines(b"one two\x17three\r"), ["one three"]);
        assert_eq!(lines(b"one two\x1b\x7fthree\r"), ["one three"]);
        assert_eq!(lines(b"two\x01one \x05!\r"), ["one two!"]);
        assert_eq!(lines(b"gone\x15here\r"), ["here"]);
        assert_eq!(lines(b"ab\x01\x1b[3~\r"), ["b"]);
        assert_eq!(lines(b"one two\x1bb\x0b\r"), ["one "]);
        assert_eq!(lines(b"one two\x01\x1bf!\r"), ["one! two"]);
        assert_eq!(lines("e\u{301}x\x7f\x7fy\r".as_bytes()), ["y"], "an accent goes with its letter");
    }

    #[test]
    fn keys_at_the_ends_of_a_line_do_nothing() {
        assert_eq!(lines(b"\x7f\x1b[D\x1b[C\x1b[3~\x17\x15\x0b\x1bb\x1bfx\r"), ["x"]);
    }

    #[test]
    fn earlier_lines_come_back() {
        assert_eq!(lines(b"one\rtwo\r\x1b[A\x1b[A!\r"), ["one", "two", "one!"]);
        assert_eq!(lines(b"one\r\x1b[A\x1b[A\x1b[B\x1b[Bnew\r"), ["one", "new"]);
    }

    #[test]
    fn a_long_line_is_drawn_around_the_cursor_and_fits() {
        let long = "0123456789".repeat(9);
        assert_eq!(typed(long.as_bytes(), 20).1, "c1> 567890123456789");
        let at_the_start = [long.as_bytes(), b"\x01"].concat();
        assert_eq!(typed(&at_the_start, 20).1, "c1> 012345678901234\x1b[15D");
        let inside = [long.as_bytes(), &b"\x1b[D".repeat(20)].concat();
        assert_eq!(typed(&inside, 20).1, "c1> 890123456789012\x1b[3D");
    }

    #[test]
    fn wide_characters_take_two_columns() {
        assert_eq!(typed("好好好好".as_bytes(), 10).1, "c1> 好好");
        assert_eq!(typed("好\x01".as_bytes(), 10).1, "c1> 好\x1b[2D");
    }

    #[test]
    fn any_width_is_survived() {
        for columns in 0..12 {
            typed("some text 好\x1b[D".as_bytes(), columns);
        }
    }

    #[test]
    fn a_line_has_a_limit() {
        let long = [vec![b'x'; MAX_TEXT + 5], vec![b'\r']].concat();
        assert_eq!(lines(&long)[0].len(), MAX_TEXT);
    }
}
