//! At a terminal, first step: bytes become keys. Pure.
//!
//! Unknown sequences are dropped, so that nothing typed or pasted can control a terminal, this one or another member's.

/// A key, or the common meaning of several keys.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Key {
    /// A visible character.
    Char(char),
    Enter,
    /// Ctrl-D: the end, on an empty line; the character under the cursor otherwise.
    End,
    Left,
    Right,
    WordLeft,
    WordRight,
    LineStart,
    LineEnd,
    Earlier,
    Later,
    EraseLeft,
    EraseRight,
    EraseWord,
    EraseToStart,
    EraseToEnd,
    /// Ctrl-L.
    ClearScreen,
}

/// The typed bytes that do not make a key yet.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    started: Vec<u8>,
}

/// Longest sequence of bytes that can be one key; a longer one is dropped.
const LONGEST: usize = 16;

impl Keys {
    /// Returns the key that `byte` completes, if it completes a known one.
    pub(crate) fn push(&mut self, byte: u8) -> Option<Key> {
        // A control character discards an unfinished sequence; only Alt-Backspace ends with one.
        if byte < 0x20 || (byte == 0x7f && *self.started != [0x1b]) {
            self.started.clear();
        }
        self.started.push(byte);
        let is_whole = match *self.started {
            [0x1b] | [0x1b, b'[' | b'O'] => false,
            [0x1b, b'[', .., last] => (0x40..=0x7e).contains(&last),
            [0x1b, ..] => true,
            [first, ..] => self.started.len() >= character_length(first),
            [] => false,
        };
        if !is_whole && self.started.len() < LONGEST {
            return None;
        }
        let key = key(&self.started);
        self.started.clear();
        key
    }
}

/// Returns how many bytes a character of UTF-8 has that begins with this one.
const fn character_length(first: u8) -> usize {
    match first {
        0xc0..0xe0 => 2,
        0xe0..0xf0 => 3,
        0xf0..0xf8 => 4,
        _ => 1,
    }
}

fn key(bytes: &[u8]) -> Option<Key> {
    Some(match bytes {
        b"\r" | b"\n" => Key::Enter,
        [0x04] => Key::End,
        [0x02] | b"\x1b[D" | b"\x1bOD" => Key::Left,
        [0x06] | b"\x1b[C" | b"\x1bOC" => Key::Right,
        b"\x1bb" | b"\x1b[1;5D" | b"\x1b[1;3D" => Key::WordLeft,
        b"\x1bf" | b"\x1b[1;5C" | b"\x1b[1;3C" => Key::WordRight,
        [0x01] | b"\x1b[H" | b"\x1bOH" | b"\x1b[1~" | b"\x1b[7~" => Key::LineStart,
        [0x05] | b"\x1b[F" | b"\x1bOF" | b"\x1b[4~" | b"\x1b[8~" => Key::LineEnd,
        [0x10] | b"\x1b[A" | b"\x1bOA" => Key::Earlier,
        [0x0e] | b"\x1b[B" | b"\x1bOB" => Key::Later,
        [0x08 | 0x7f] => Key::EraseLeft,
        b"\x1b[3~" => Key::EraseRight,
        [0x17] | b"\x1b\x7f" => Key::EraseWord,
        [0x15] => Key::EraseToStart,
        [0x0b] => Key::EraseToEnd,
        [0x0c] => Key::ClearScreen,
        // The terminal decides on the width of a tab.
        b"\t" => Key::Char(' '),
        [0x1b, ..] => return None,
        _ => Key::Char(seen(bytes)?),
    })
}

/// Returns the character that these bytes encode, if it is visible.
fn seen(bytes: &[u8]) -> Option<char> {
    let character = std::str::from_utf8(bytes).ok()?.chars().next()?;
    (!crate::talk::steers(character)).then_some(character)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(bytes: &[u8]) -> Vec<Key> {
        let mut keys = Keys::default();
        bytes.iter().filter_map(|&byte| keys.push(byte)).collect()
    }

    #[test]
    fn characters_are_keys_however_many_bytes_they_have() {
        let typed: Vec<Key> = "aä€😀".chars().map(Key::Char).collect();
        assert_eq!(keys("aä€😀".as_bytes()), typed);
    }

    #[test]
    fn known_sequences_are_keys_and_unknown_ones_are_left_out() {
        assert_eq!(keys(b"\x1b[D\x1bOC\x1b[3~x"), [Key::Left, Key::Right, Key::EraseRight, Key::Char('x')]);
        assert_eq!(keys(b"\x1b[200~hi\x1b[201~"), [Key::Char('h'), Key::Char('i')]);
        assert_eq!(keys(b"\x1b[99;99;99x\x1bq\x1b[?25ly"), [Key::Char('y')]);
    }

    #[test]
    fn a_sequence_that_never_ends_does_not_eat_the_line() {
        assert_eq!(
            keys(b"\x1b[1;1;1;1;1;1;1;1;1;1\r"),
            [&"1;1;1".chars().map(Key::Char).collect::<Vec<_>>()[..], &[Key::Enter]].concat()
        );
        assert_eq!(keys(b"\xe2\x82\ra"), [Key::Enter, Key::Char('a')]);
    }

    #[test]
    fn what_steers_a_terminal_is_no_character() {
        assert_eq!(keys("\0\x07\u{9b}\u{202e}".as_bytes()), []);
        assert_eq!(keys(b"\xff\xfeok"), [Key::Char('o'), Key::Char('k')]);
    }
}
