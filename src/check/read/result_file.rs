//! The parser of result files: one delivery a line, `<sender>###<text>`, and nothing else.

use std::ops::Range;
use std::path::Path;

use bytes::Bytes;

use super::read_file;
use crate::exit::Failure;
use crate::place::{Flaw, Source, unreadable};

/// The separator between the sender and the text.
pub(in crate::check) const SEPARATOR: &[u8] = b"###";

/// The lines of a result file, unchanged.
#[derive(Debug)]
pub(in crate::check) struct ResultFile {
    /// The file's name.
    pub(in crate::check) name: String,
    /// Whether the file is complete: it is no `.part`, and its writer is not a member of a cluster that may go on.
    pub(in crate::check) ended: bool,
    content: Bytes,
    lines: Vec<Range<usize>>,
}

impl ResultFile {
    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        Self::read_as(path, |name| !name.ends_with(".part"))
    }

    /// Reads a file that grows under its final name, and is complete if `ended`.
    pub(super) fn read_growing(path: &Path, ended: bool) -> Result<Self, Failure> {
        Self::read_as(path, |_| ended)
    }

    fn read_as(path: &Path, is_complete: impl Fn(&str) -> bool) -> Result<Self, Failure> {
        let (name, content) = read_file(path)?;
        let ended = is_complete(&name);
        if let Some(flaw) = unreadable(&content) {
            return Err(Source { name, text: content }.failure(flaw));
        }
        // An incomplete line at the end of an incomplete file is ignored: the writer was interrupted.
        let whole = if ended {
            content.len()
        } else {
            content.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1)
        };
        match take_apart(&content[..whole]) {
            Ok(lines) => Ok(Self { name, ended, content, lines }),
            Err(flaw) => Err(Source { name, text: content }.failure(flaw)),
        }
    }

    /// Returns the lines without their line ends; the first is line 1.
    pub(in crate::check) fn lines(&self) -> impl ExactSizeIterator<Item = Bytes> + '_ {
        self.lines.iter().map(|line| self.content.slice(line.clone()))
    }
}

/// Returns the sender of a line; empty if it has none.
pub(in crate::check) fn sender(line: &[u8]) -> &[u8] {
    let end = line.windows(SEPARATOR.len()).position(|window| window == SEPARATOR);
    &line[..end.unwrap_or_default()]
}

fn take_apart(content: &[u8]) -> Result<Vec<Range<usize>>, Flaw> {
    let mut start = 0;
    // Other programs write blank lines at the end; they are no deliveries.
    let end = content.iter().rposition(|byte| !byte.is_ascii_whitespace()).map_or(0, |last| last + 1);
    let line_end =
        content[end..].iter().position(|&byte| byte == b'\n').map_or(content.len(), |at| end + at + 1);
    let content = if end == 0 { &[] } else { &content[..line_end] };
    let lines = content.split_inclusive(|&byte| byte == b'\n').map(|line| {
        let from = start;
        start += line.len();
        // A carriage return in a text is written as `\r`, so this one comes from a program that converts line ends.
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let span = from..from + line.len();
        if sender(line).is_empty() {
            return Err(Flaw::new(span, "this is no delivery").help(
                "a delivery is `<sender>###<text>` on one line; a line break in a text is written as `\\n`",
            ));
        }
        Ok(span)
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_sender_and_a_text() {
        let spans = take_apart(b"c1###a\nc2######\r\nc.3-x###a###b\\n\n").unwrap();
        assert_eq!(spans, [0..6, 7..15, 17..32]);
        assert_eq!(sender(b"c.3-x###a###b"), b"c.3-x");
        assert_eq!(take_apart(b"").unwrap(), []);
        for end in ["\n", "\n\n", "\r\n\r\n", "\n \n\t\n\n", "\n  "] {
            assert_eq!(take_apart(format!("c1###a{end}").as_bytes()).unwrap(), vec![0..6], "{end:?}");
            assert_eq!(take_apart(end.as_bytes()).unwrap(), [], "{end:?}");
        }
        assert_eq!(take_apart(b"c1###a  \n\n").unwrap(), vec![0..8], "the spaces are of the text");
        assert_eq!(take_apart(b"c1###a\nc2###b").unwrap(), [0..6, 7..13], "somebody else's last line");
    }

    #[test]
    fn other_lines_are_refused() {
        for (file, at) in
            [("c1###a\n\nc1###b\n", 7..7), ("c1##a\n", 0..5), ("###a\n", 0..4), ("c1###a\nc1#", 7..10)]
        {
            assert_eq!(take_apart(file.as_bytes()).unwrap_err().span, at, "{file:?}");
        }
    }
}
