//! Station 1, first step: a command file taken apart into records and fields (RFC 4180), strictly.
//!
//! Our own splitter, because an unbalanced quote has to be an error here and every error has to know its place.
//! Lines end with LF or CRLF; a carriage return alone is data. A quote inside an unquoted field is data too:
//! people write `Multicast,c1,say "hi"` and mean it.

use std::ops::Range;

use bytes::Bytes;

use crate::place::Flaw;

/// How many fields of a record are kept. No operation has as many, so of the others only the count matters.
const KEPT_FIELDS: usize = 4;

/// One record: usually one line, several if a quoted field holds line breaks.
#[derive(Debug)]
pub(super) struct Record {
    /// The line that it starts on, from 1.
    pub(super) line: u32,
    /// Where it stands in the file, without its line end.
    pub(super) span: Range<usize>,
    /// How many fields it has, at least 1.
    pub(super) count: usize,
    /// Its fields, the first [`KEPT_FIELDS`] of them.
    pub(super) fields: Vec<Field>,
}

/// One field of a record.
#[derive(Debug)]
pub(super) struct Field {
    /// What it says: a slice of the file, unless doubled quotes had to be undone.
    pub(super) text: Bytes,
    /// Where it stands in the file, with its quotes.
    pub(super) span: Range<usize>,
}

/// Takes a file apart, record by record; ends after the first flaw.
#[derive(Debug)]
pub(super) struct Splitter {
    file: Bytes,
    at: usize,
    line: u32,
}

impl Splitter {
    /// A splitter of a whole file, without its byte order mark.
    pub(super) const fn new(file: Bytes) -> Self {
        Self { file, at: 0, line: 1 }
    }

    fn rest(&self) -> &[u8] {
        &self.file[self.at..]
    }

    /// Skips blank lines and comments. Only the start of a record is looked at, never the inside of quotes.
    fn skip_lines(&mut self) {
        while let Some(line) = self.rest().split_inclusive(|&byte| byte == b'\n').next() {
            if !line.starts_with(b"#") && !line.trim_ascii().is_empty() {
                return;
            }
            self.at += line.len();
            self.line += 1;
        }
    }

    fn record(&mut self) -> Result<Record, Flaw> {
        let (line, start) = (self.line, self.at);
        let (mut count, mut fields) = (0, Vec::with_capacity(KEPT_FIELDS));
        loop {
            let field = self.field()?;
            count += 1;
            if count <= KEPT_FIELDS {
                fields.push(field);
            }
            if !self.skip(b",") {
                break;
            }
        }
        let span = start..self.at;
        if self.skip(b"\n") || self.skip(b"\r\n") {
            self.line += 1;
        }
        Ok(Record { line, span, count, fields })
    }

    fn field(&mut self) -> Result<Field, Flaw> {
        if self.rest().starts_with(b"\"") { self.quoted() } else { Ok(self.bare()) }
    }

    fn bare(&mut self) -> Field {
        let rest = self.rest();
        let stop = rest.iter().position(|byte| matches!(byte, b',' | b'\n')).unwrap_or(rest.len());
        let crlf = rest.get(stop) == Some(&b'\n') && rest[..stop].ends_with(b"\r");
        let span = self.at..self.at + stop - usize::from(crlf);
        self.at = span.end;
        Field { text: self.file.slice(span.clone()), span }
    }

    fn quoted(&mut self) -> Result<Field, Flaw> {
        let open = self.at;
        let Some(close) = self.closing_quote() else {
            return Err(Flaw::new(open..open + 1, "this quote is never closed")
                .help("close it; a quote inside a quoted field is written twice"));
        };
        let inside = self.file.slice(open + 1..close);
        self.line += inside.iter().map(|&byte| u32::from(byte == b'\n')).sum::<u32>();
        self.at = close + 1;
        self.check_end_of_quoted()?;
        Ok(Field { text: undouble(inside), span: open..self.at })
    }

    fn closing_quote(&self) -> Option<usize> {
        let mut at = self.at + 1;
        loop {
            at += self.file[at..].iter().position(|&byte| byte == b'"')?;
            if self.file.get(at + 1) != Some(&b'"') {
                return Some(at);
            }
            at += 2;
        }
    }

    fn check_end_of_quoted(&self) -> Result<(), Flaw> {
        let rest = self.rest();
        let ends =
            rest.is_empty() || [b",".as_slice(), b"\n", b"\r\n"].iter().any(|end| rest.starts_with(end));
        if ends {
            return Ok(());
        }
        Err(Flaw::new(self.at..self.at + 1, "something follows the closing quote of a field")
            .help("a field ends with its closing quote; a quote inside a quoted field is written twice"))
    }

    fn skip(&mut self, expected: &[u8]) -> bool {
        let found = self.rest().starts_with(expected);
        if found {
            self.at += expected.len();
        }
        found
    }
}

impl Iterator for Splitter {
    type Item = Result<Record, Flaw>;

    fn next(&mut self) -> Option<Self::Item> {
        self.skip_lines();
        if self.at == self.file.len() {
            return None;
        }
        let record = self.record();
        if record.is_err() {
            self.at = self.file.len();
        }
        Some(record)
    }
}

/// What the inside of a quoted field says: a doubled quote is one.
fn undouble(inside: Bytes) -> Bytes {
    if !inside.contains(&b'"') {
        return inside;
    }
    let mut text = Vec::with_capacity(inside.len());
    let mut pair = false;
    for &byte in &inside {
        pair = byte == b'"' && !pair;
        if !pair {
            text.push(byte);
        }
    }
    // No spare capacity: a million of these may be kept.
    text.into_boxed_slice().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file and its records.
    type Case = (&'static str, &'static [(u32, &'static [&'static str])]);

    /// Each record as its line, then its fields.
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
