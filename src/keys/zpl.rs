//! ZPL, the text form of key files: sections, and in each, indented, names with values.
//!
//! ```text
//! # a comment
//! curve
//!     public-key = "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID"
//! ```
//!
//! Deeper levels, which other programs may use, count as their section.

use std::fmt::Write as _;
use std::ops::Range;

use crate::place::{Flaw, text_of};

/// A name with its value.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Entry<'a> {
    pub(super) section: &'a str,
    pub(super) name: &'a str,
    pub(super) value: &'a str,
    /// The place of the value in the file.
    pub(super) span: Range<usize>,
    /// The place of the name in the file.
    pub(super) name_span: Range<usize>,
}

/// Parses a file.
///
/// # Errors
/// The first mistake.
pub(super) fn parse(file: &[u8]) -> Result<Vec<Entry<'_>>, Flaw> {
    let text = text_of(file)?;
    let (mut entries, mut section, mut start) = (Vec::new(), "", 0);
    for line in text.split_inclusive('\n') {
        let at = start;
        start += line.len();
        let content = line.trim_start();
        if content.is_empty() || content.starts_with('#') {
            continue;
        }
        let indent = line.len() - content.len();
        let name_end = content.find(|letter: char| "=#".contains(letter)).unwrap_or(content.len());
        let name = content[..name_end].trim_end();
        if !content[name_end..].starts_with('=') {
            if indent == 0 {
                section = name;
            }
            continue;
        }
        let name_span = at + indent..at + indent + name.len();
        if name.is_empty() {
            return Err(Flaw::new(name_span, "a name is missing before `=`"));
        }
        let value = value(&content[name_end + 1..]).map_err(|flaw| flaw.moved(at + indent + name_end + 1))?;
        let from = at + indent + name_end + 1 + value.start;
        let span = from..from + value.len();
        let section = if indent == 0 { "" } else { section };
        entries.push(Entry { section, name, value: &text[span.clone()], span, name_span });
    }
    Ok(entries)
}

/// Returns the place of the value in `rest`, all of a line behind `=`: within quotes, or up to a comment.
fn value(rest: &str) -> Result<Range<usize>, Flaw> {
    let start = rest.len() - rest.trim_start().len();
    let quote = rest[start..].chars().next().filter(|letter| "\"'".contains(*letter));
    let Some(quote) = quote else {
        let end = rest.find('#').unwrap_or(rest.len());
        return Ok(start.min(end)..rest[..end].trim_end().len().max(start.min(end)));
    };
    let inside = start + 1;
    let Some(length) = rest[inside..].find(quote) else {
        return Err(Flaw::new(start..inside, "this quote is not closed"));
    };
    let (end, behind) = (inside + length, rest[inside + length + 1..].trim());
    if !behind.is_empty() && !behind.starts_with('#') {
        return Err(Flaw::new(end..end + 1, "something follows this quote").help("write it before the quote"));
    }
    Ok(inside..end)
}

/// Adds a section to a text; each value stands in quotes, which it must not have.
pub(super) fn write(text: &mut String, section: &str, entries: &[(&str, &str)]) {
    let _ = writeln!(text, "{section}");
    for (name, value) in entries {
        let _ = writeln!(text, "    {name} = \"{value}\"");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Vec<(String, String, String)> {
        let entries = parse(text.as_bytes()).unwrap();
        for entry in &entries {
            assert_eq!(
                (&text[entry.span.clone()], &text[entry.name_span.clone()]),
                (entry.value, entry.name)
            );
        }
        let owned = |entry: &Entry<'_>| [entry.section, entry.name, entry.value].map(str::to_owned).into();
        entries.iter().map(owned).collect()
    }

    fn entry(section: &str, name: &str, value: &str) -> (String, String, String) {
        (section.to_owned(), name.to_owned(), value.to_owned())
    }

    #[test]
    fn zpl_values_stand_in_quotes_or_not() {
        let text = "version = 1\n#c\n\nmetadata # c\n    a = \"x # y\" # c\n\tb = 'it \"is\"'\r\n    c =  d e  # f\n    \
                    d=\n    e = \"\"\ncurve\n    deep\n        f = g";
        assert_eq!(
            parsed(text),
            [
                entry("", "version", "1"),
                entry("metadata", "a", "x # y"),
                entry("metadata", "b", "it \"is\""),
                entry("metadata", "c", "d e"),
                entry("metadata", "d", ""),
                entry("metadata", "e", ""),
                entry("curve", "f", "g"),
            ]
        );
        assert_eq!(parsed(""), []);
        let mut text = String::new();
        write(&mut text, "curve", &[("a", "b"), ("c", "#")]);
        assert_eq!(parsed(&text), [entry("curve", "a", "b"), entry("curve", "c", "#")]);
    }

    #[test]
    fn zpl_mistakes_have_their_place() {
        for (text, span) in [
            ("a\n  b = \"c", 8..9),
            ("a\n  b = 'c\"", 8..9),
            ("a\n  b = \"c\" d", 10..11),
            ("a\n  = b", 4..4),
            ("\u{e4}\n  b = \"\u{e4}", 9..10),
        ] {
            assert_eq!(parse(text.as_bytes()).unwrap_err().span, span, "{text}");
        }
        assert_eq!(parse(b"a\xff").unwrap_err().span, 1..2);
    }
}
