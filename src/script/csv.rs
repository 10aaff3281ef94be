//! Station 1, first step: a command file taken apart into records and fields (RFC 4180), strictly.
//!
//! The `csv` crate splits the file. It accepts an unbalanced quote and gives no columns, so this layer compares each
//! field with the bytes of the file: an unbalanced quote is an error, and every error has its place. Lines end with LF
//! or CRLF; a carriage return alone is data. A quote inside an unquoted field is data too: people write
//! `Multicast,c1,say "hi"` and mean it.

use std::fmt;
use std::io::{Chain, Cursor, Read};
use std::ops::Range;

use ::csv::{ByteRecord, Reader, ReaderBuilder, Terminator};
use bytes::Bytes;

use crate::place::Flaw;

/// Most fields of a record that are kept. No operation has as many, so beyond them only the count matters.
const KEPT_FIELDS: usize = 4;

/// One record: usually one line, several if a quoted field holds line breaks.
#[derive(Debug)]
pub(super) struct Record {
    /// The line that it starts on, from 1.
    pub(super) line: u32,
    /// Its span in the file, without its line end.
    pub(super) span: Range<usize>,
    /// The number of its fields, at least 1.
    pub(super) count: usize,
    /// Its fields, the first [`KEPT_FIELDS`] of them.
    pub(super) fields: Vec<Field>,
}

/// One field of a record.
#[derive(Debug)]
pub(super) struct Field {
    /// Its text: a slice of the file, unless doubled quotes had to be undone.
    pub(super) text: Bytes,
    /// Its span in the file, with its quotes.
    pub(super) span: Range<usize>,
}

/// An empty line that the reader gets before the file, because it removes a byte order mark at the start of its input.
/// The file's own mark is already removed, and a second one is data.
const LEAD: &[u8] = b"\n";

/// Splits a file into records; ends after the first flaw.
pub(super) struct Splitter {
    file: Bytes,
    reader: Reader<Chain<&'static [u8], Cursor<Bytes>>>,
    record: ByteRecord,
    is_over: bool,
}

impl fmt::Debug for Splitter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Splitter")
            .field("at", &self.at())
            .field("is_over", &self.is_over)
            .finish_non_exhaustive()
    }
}

impl Splitter {
    /// Returns a splitter of a whole file, without its byte order mark.
    pub(super) fn new(file: Bytes) -> Self {
        let reader = ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .comment(Some(b'#'))
            .terminator(Terminator::Any(b'\n'))
            .from_reader(LEAD.chain(Cursor::new(file.clone())));
        Self { file, reader, record: ByteRecord::new(), is_over: false }
    }

    /// Returns the position that the reader has reached: the end of a record, with its line end.
    fn at(&self) -> usize {
        (self.reader.position().byte() as usize).saturating_sub(LEAD.len())
    }

    /// Returns the number of the line that begins there, from 1.
    fn line(&self) -> u32 {
        (self.reader.position().line() as u32).saturating_sub(LEAD.len() as u32).max(1)
    }

    /// Returns the position and the number of the first line from `at` on that is neither blank nor a comment.
    fn skip_lines(&self, mut at: usize, mut line: u32) -> (usize, u32) {
        while let Some(text) = self.file[at..].split_inclusive(|&byte| byte == b'\n').next() {
            if !text.starts_with(b"#") && !text.trim_ascii().is_empty() {
                break;
            }
            at += text.len();
            line += 1;
        }
        (at, line)
    }

    /// Returns the record that the reader has read, whose first field is at `start`.
    fn checked(&self, start: usize, line: u32) -> Result<Record, Flaw> {
        let count = self.record.len();
        let (mut fields, mut end) = (Vec::with_capacity(KEPT_FIELDS), start);
        for (index, text) in self.record.iter().enumerate() {
            let at = if index == 0 { start } else { end + 1 };
            let field = self.field(at, text)?;
            end = field.span.end;
            if index < KEPT_FIELDS {
                fields.push(field);
            }
        }
        Ok(Record { line, span: start..end, count, fields })
    }

    /// Returns the field at `at` whose text is `text`, as the reader understands it.
    fn field(&self, at: usize, text: &[u8]) -> Result<Field, Flaw> {
        if self.file[at..].starts_with(b"\"") {
            return self.quoted(at, text);
        }
        let end = at + text.len();
        let crlf = text.ends_with(b"\r") && self.file.get(end) == Some(&b'\n');
        let span = at..end - usize::from(crlf);
        Ok(Field { text: self.file.slice(span.clone()), span })
    }

    /// Checks a quoted field. It stands in the file as its text between quotes, with each quote of the text doubled.
    /// The reader accepts other forms, too; the first byte that differs is the flaw.
    fn quoted(&self, open: usize, text: &[u8]) -> Result<Field, Flaw> {
        let (mut close, mut rest, mut is_doubled) = (open + 1, text, false);
        while let Some((&byte, after)) = rest.split_first() {
            let written: &[u8] = if byte == b'"' { b"\"\"" } else { &rest[..1] };
            if !self.file[close..].starts_with(written) {
                break;
            }
            (close, rest, is_doubled) = (close + written.len(), after, is_doubled || byte == b'"');
        }
        if close == self.file.len() {
            return Err(Flaw::new(open..open + 1, "this quote is never closed")
                .help("close it; a quote inside a quoted field is written twice"));
        }
        let end = close + 1;
        if !(rest.is_empty() || (rest == b"\r" && self.file.get(end + 1) == Some(&b'\n'))) {
            return Err(Flaw::new(end..end + 1, "something follows the closing quote of a field").help(
                "a field ends with its closing quote; a quote inside a quoted field is written twice",
            ));
        }
        let text = &text[..text.len() - rest.len()];
        let text = if is_doubled { Bytes::copy_from_slice(text) } else { self.file.slice(open + 1..close) };
        Ok(Field { text, span: open..end })
    }
}

impl Iterator for Splitter {
    type Item = Result<Record, Flaw>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.is_over {
            let (from, line) = (self.at(), self.line());
            let is_read = self.reader.read_byte_record(&mut self.record);
            debug_assert!(is_read.is_ok(), "bytes in memory can be read");
            if !is_read.unwrap_or(false) {
                break;
            }
            let (start, line) = self.skip_lines(from, line);
            // The reader takes a line of spaces for a record.
            if start < self.at() {
                let record = self.checked(start, line);
                self.is_over = record.is_err();
                return Some(record);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file and its records.
    type Case = (&'static str, &'static [(u32, &'static [&'static str])]);

    /// Returns each record as its line, then its fields.
    fn split(file: &'static str) -> Vec<(u32, Vec<String>)> {
        let text = |field: &Field| String::from_utf8(field.text.to_vec()).unwrap();
        Splitter::new(Bytes::from_static(file.as_bytes()))
            .map(|record| record.unwrap())
            .map(|record| (record.line, record.fields.iter().map(text).collect()))
            .collect()
    }

    fn flaw(file: &'static str) -> Flaw {
        Splitter::new(Bytes::from_static(file.as_bytes())).find_map(Result::err).unwrap()
    }

    #[test]
    fn files_are_taken_apart_as_rfc_4180_says() {
        let cases: &[Case] = &[
            ("", &[]),
            ("\n\r\n  \t\n", &[]),
            ("# a \"comment\n", &[]),
            ("a", &[(1, &["a"])]),
            ("a\n", &[(1, &["a"])]),
            ("a,b\nc,d", &[(1, &["a", "b"]), (2, &["c", "d"])]),
            ("a,b\r\nc,d\r\n", &[(1, &["a", "b"]), (2, &["c", "d"])]),
            ("a\n\n# x\nb", &[(1, &["a"]), (4, &["b"])]),
            (",", &[(1, &["", ""])]),
            ("a,\n", &[(1, &["a", ""])]),
            ("a\rb\r", &[(1, &["a\rb\r"])]),
            ("a\r\r\n", &[(1, &["a\r"])]),
            (" a , b ", &[(1, &[" a ", " b "])]),
            (r#""""#, &[(1, &[""])]),
            (r#""a,b",c"#, &[(1, &["a,b", "c"])]),
            (r#""say ""hi""""#, &[(1, &["say \"hi\""])]),
            (r#""""""""#, &[(1, &["\"\""])]),
            ("\"a\n#b\r\n\n\",c\nd", &[(1, &["a\n#b\r\n\n", "c"]), (5, &["d"])]),
            ("\"a\"\r\n\"b\"\n", &[(1, &["a"]), (2, &["b"])]),
            ("\"#\"", &[(1, &["#"])]),
            ("a,#b", &[(1, &["a", "#b"])]),
            (r#"a,say "hi""#, &[(1, &["a", "say \"hi\""])]),
            (r#"a,b"c,d"#, &[(1, &["a", "b\"c", "d"])]),
        ];
        for (file, expected) in cases {
            let expected: Vec<_> = expected
                .iter()
                .map(|&(line, fields)| (line, fields.iter().copied().map(str::to_owned).collect::<Vec<_>>()))
                .collect();
            assert_eq!(split(file), expected, "{file:?}");
        }
    }

    #[test]
    fn a_flaw_points_at_its_place() {
        for (file, at) in [
            ("\"", 0),
            ("a,\"b\nc,d\n", 2),
            ("a,\"b\"\"", 2),
            ("a,\"b\"c", 5),
            ("a,\"b\" ,c", 5),
            ("a,\"b\"\rc", 5),
            ("a,\"b\"\r", 5),
            ("a\nb,\"\"c\"\n", 6),
        ] {
            assert_eq!(flaw(file).span, at..at + 1, "{file:?}");
        }
    }

    #[test]
    fn nothing_follows_a_flaw() {
        let mut splitter = Splitter::new(Bytes::from_static(b"\"a\"b\nc\n"));
        assert!(splitter.next().unwrap().is_err());
        assert!(splitter.next().is_none());
    }

    #[test]
    fn a_text_is_a_slice_of_the_file_unless_quotes_were_doubled() {
        let file = Bytes::from_static(b"a,\"b\",\"c\"\"\"");
        let record = Splitter::new(file.clone()).next().unwrap().unwrap();
        let inside: Vec<bool> =
            record.fields.iter().map(|field| file.as_ptr_range().contains(&field.text.as_ptr())).collect();
        assert_eq!(inside, [true, true, false]);
        assert_eq!(record.fields[1].span, 2..5);
        assert_eq!(record.span, 0..file.len());
    }

    #[test]
    fn fields_beyond_the_kept_ones_are_counted() {
        let record = Splitter::new(Bytes::from(vec![b','; 99])).next().unwrap().unwrap();
        assert_eq!((record.count, record.fields.len()), (100, KEPT_FIELDS));
    }
}
