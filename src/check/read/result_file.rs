//! The parser of result files: one delivery a line, `<sender>###<text>`, and nothing else.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;

use bytes::Bytes;

use super::read_file;
use crate::exit::Failure;
use crate::place::{Flaw, Source, unreadable};
use crate::script::check_id;

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
    /// The number of each line in the file, if some of its lines are left out.
    numbers: Option<Vec<u32>>,
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
            Ok(lines) => Ok(Self { name, ended, content, lines, numbers: None }),
            Err(flaw) => Err(Source { name, text: content }.failure(flaw)),
        }
    }

    /// Returns the lines of one group, without its name, of a file whose lines begin with `<sender>@<group>`.
    pub(super) fn of_group(&self, group: &str) -> Self {
        let (mut content, mut lines, mut numbers) = (Vec::new(), Vec::new(), Vec::new());
        for (line, number) in self.lines().zip(1..) {
            let Some((sender, of)) = labelled(&line).filter(|(_, of)| *of == group.as_bytes()) else {
                continue;
            };
            let start = content.len();
            content.extend_from_slice(sender);
            content.extend_from_slice(&line[sender.len() + 1 + of.len()..]);
            lines.push(start..content.len());
            numbers.push(number);
        }
        let (name, content, numbers) = (self.name.clone(), content.into(), Some(numbers));
        Self { name, ended: self.ended, content, lines, numbers }
    }

    /// Returns all lines.
    pub(super) fn whole(&self) -> Self {
        let (name, content, lines) = (self.name.clone(), self.content.clone(), self.lines.clone());
        Self { name, ended: self.ended, content, lines, numbers: None }
    }

    /// Returns the groups that the lines name, if all of them do.
    pub(super) fn labels(&self) -> BTreeSet<String> {
        let group = |line: Bytes| {
            let (sender, group) = labelled(&line)?;
            let is_id = |id: &[u8]| std::str::from_utf8(id).is_ok_and(|id| check_id(id).is_ok());
            (is_id(sender) && is_id(group)).then(|| String::from_utf8_lossy(group).into_owned())
        };
        self.lines().map(group).collect::<Option<_>>().unwrap_or_default()
    }

    /// Returns the number of a line, by its index among the lines that there are.
    pub(in crate::check) fn number(&self, line: usize) -> u32 {
        let known = self.numbers.as_ref().and_then(|numbers| numbers.get(line).or(numbers.last()));
        known.copied().unwrap_or(line as u32 + 1)
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

/// Returns the sender and the group of a line that begins with `<sender>@<group>`.
fn labelled(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let sender = sender(line);
    let at = sender.iter().rposition(|&byte| byte == b'@')?;
    Some((&sender[..at], &sender[at + 1..]))
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
