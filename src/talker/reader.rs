//! Standard input in lines, each the text of a post. Pure.

use crate::chat::operation::{LONGEST_TEXT, check_text};
use crate::exit::{Exit, Failure};

/// Most bytes of a line: characters have up to four.
const LONGEST_LINE: usize = 4 * LONGEST_TEXT;

/// The lines in the chunks read. A last line may have no line feed.
#[derive(Debug, Default)]
pub(super) struct Reader {
    rest: Vec<u8>,
    /// The number of lines taken out of `rest`.
    number: u64,
    has_ended: bool,
}

impl Reader {
    /// Appends a chunk; an empty one is the end.
    pub(super) fn push(&mut self, chunk: &[u8]) {
        self.rest.extend_from_slice(chunk);
        self.has_ended = chunk.is_empty();
    }

    /// Ends before a line that is not complete.
    pub(super) fn cut_off(&mut self) {
        self.rest.clear();
        self.has_ended = true;
    }

    /// Returns whether everything was taken.
    pub(super) fn is_at_end(&self) -> bool {
        self.has_ended && self.rest.is_empty()
    }

    /// Returns the next text, if it is there. Lines without one are skipped: a post has a text.
    ///
    /// # Errors
    /// [`Exit::BadData`] with the number of a line that can be no post.
    pub(super) fn next(&mut self) -> Result<Option<String>, Failure> {
        loop {
            let end = self.rest.iter().position(|&byte| byte == b'\n');
            let length = end.unwrap_or(self.rest.len());
            if length > LONGEST_LINE {
                let why = format!("the text has more than the {LONGEST_TEXT} characters that are allowed");
                return Err(self.flaw(&why));
            }
            if end.is_none() && (!self.has_ended || self.rest.is_empty()) {
                return Ok(None);
            }
            let line: Vec<u8> = self.rest.drain(..length).collect();
            self.rest.drain(..usize::from(end.is_some()));
            let text = String::from_utf8(line).map_err(|_| self.flaw("the text is not UTF-8"))?;
            if !text.trim().is_empty() {
                check_text(&text).map_err(|why| self.flaw(&why))?;
                self.number += 1;
                return Ok(Some(text));
            }
            self.number += 1;
        }
    }

    fn flaw(&self, why: &str) -> Failure {
        Failure::new(Exit::BadData, format!("<stdin>:{}: {why}", self.number + 1))
            .help("the posts of the lines before it are stored")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(chunks: &[&[u8]]) -> Result<Vec<String>, Failure> {
        let (mut reader, mut texts) = (Reader::default(), Vec::new());
        for chunk in chunks {
            reader.push(chunk);
            while let Some(text) = reader.next()? {
                texts.push(text);
            }
        }
        assert_eq!(reader.is_at_end(), chunks.last().is_some_and(|chunk| chunk.is_empty()));
        Ok(texts)
    }

    #[test]
    fn chunks_become_texts_wherever_they_are_cut() {
        assert_eq!(texts(&[b"one\ntwo\n", b""]).unwrap(), ["one", "two"]);
        assert_eq!(texts(&[b"o", b"ne\n\n  \ntw", b"o", b""]).unwrap(), ["one", "two"]);
        assert_eq!(texts(&[b"one\ntwo"]).unwrap(), ["one"]);
    }

    #[test]
    fn a_line_that_is_not_complete_is_cut_off() {
        let mut reader = Reader::default();
        reader.push(b"one\ntw");
        assert_eq!(reader.next().unwrap().as_deref(), Some("one"));
        assert!(reader.next().unwrap().is_none() && !reader.is_at_end());
        reader.cut_off();
        assert!(reader.next().unwrap().is_none() && reader.is_at_end());
    }

    #[test]
    fn a_line_that_is_no_post_is_named() {
        let long = "x".repeat(LONGEST_TEXT + 1);
        let endless = "x".repeat(LONGEST_LINE + 1);
        for (line, why) in [
            (&b"\x1b[2J\n"[..], "control characters"),
            (b"\xff\n", "UTF-8"),
            (format!("{long}\n").as_bytes(), "4000"),
            (endless.as_bytes(), "4000"),
        ] {
            let failure = texts(&[b"one\n\n", line]).unwrap_err();
            assert_eq!(failure.exit, Exit::BadData);
            assert!(failure.message.starts_with("<stdin>:3: ") && failure.message.contains(why), "{failure}");
        }
    }
}
