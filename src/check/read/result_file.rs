//! A result file taken apart: one delivery a line, `<sender>###<text>`, and nothing else.

use std::ops::Range;
use std::path::Path;

use bytes::Bytes;

use super::read_file;
use crate::exit::Failure;
use crate::place::{Flaw, Source};

/// Stands between the sender and the text.
pub(in crate::check) const SEPARATOR: &[u8] = b"###";

/// The lines of a result file, as they stand there.
#[derive(Debug)]
pub(in crate::check) struct ResultFile {
    /// The file's name.
    pub(in crate::check) name: String,
    /// Whether it is known to its end: it is no `.part`.
    pub(in crate::check) ended: bool,
    content: Bytes,
    lines: Vec<Range<usize>>,
}

impl ResultFile {
    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        let (name, content) = read_file(path)?;
        let ended = !name.ends_with(".part");
        match take_apart(&content, ended) {
            Ok(lines) => Ok(Self { name, ended, content, lines }),
            Err(flaw) => Err(Source { name, text: content }.failure(flaw)),
        }
    }

    /// Its lines, without their ends; the first is line 1.
    pub(in crate::check) fn lines(&self) -> impl ExactSizeIterator<Item = Bytes> + '_ {
        self.lines.iter().map(|line| self.content.slice(line.clone()))
    }
}

/// The sender that a line names.
pub(in crate::check) fn sender(line: &[u8]) -> &[u8] {
    let end = line.windows(SEPARATOR.len()).position(|window| window == SEPARATOR);
    &line[..end.unwrap_or_default()]
}

fn take_apart(content: &[u8], ended: bool) -> Result<Vec<Range<usize>>, Flaw> {
    let mut lines = Vec::new();
    let mut start = 0;
    for line in content.split_inclusive(|&byte| byte == b'\n') {
        let span = start..start + line.len();
        start = span.end;
        let Some(line) = line.strip_suffix(b"\n") else {
            // Writing was interrupted here; whatever else this line would have said is unknown.
            return if ended { Err(cut_off(span)) } else { Ok(lines) };
        };
        // A carriage return in a text is written as `\r`: this one is from a program that converts line ends.
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let span = span.start..span.start + line.len();
        if sender(line).is_empty() {
            return Err(Flaw::new(span, "this is no delivery").help("a delivery is `<sender>###<text>`"));
        }
        lines.push(span);
    }
    Ok(lines)
}

fn cut_off(line: Range<usize>) -> Flaw {
    Flaw::new(line.end..line.end, "the file ends in the middle of a line")
        .help("every line of a complete result file ends with a line feed; only a .part may be cut off")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_sender_and_a_text() {
        let spans = take_apart(b"c1###a\nc2######\r\nc.3-x###a###b\\n\n", true).unwrap();
        assert_eq!(spans, [0..6, 7..15, 17..32]);
        assert_eq!(sender(b"c.3-x###a###b"), b"c.3-x");
        assert_eq!(take_apart(b"", true).unwrap(), []);
    }

    #[test]
    fn other_lines_are_refused_and_half_a_line_only_in_what_is_complete() {
        for (file, at) in [("c1###a\n\n", 7..7), ("c1##a\n", 0..5), ("###a\n", 0..4), ("c1###a", 6..6)] {
            assert_eq!(take_apart(file.as_bytes(), true).unwrap_err().span, at, "{file:?}");
        }
        assert_eq!(take_apart(b"c1###a\nc1###", false).unwrap().len(), 1);
        assert_eq!(take_apart(b"c1###a\nc1", false).unwrap().len(), 1);
    }
}
