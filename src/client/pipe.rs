//! Station 2: `producer | client --lines | consumer`: each line of input is a multicast, each delivery a line of
//! output, as in a result file.

use std::io::IsTerminal;

use bytes::{Buf, Bytes, BytesMut};

use super::user::{GRACE, User};
use crate::engine::Time;
use crate::exit::{Exit, Failure};
use crate::participant::Next;
use crate::results::write_result;
use crate::talk::{self, Talk};
use crate::transport::stdio::{Input, Output};
use crate::transport::wakeup::Waker;
use crate::wire::batch::MAX_TEXT;

/// Standard input and standard output.
pub(super) struct Pipe {
    input: Input,
    lines: Lines,
    failure: Option<Failure>,
    /// The lines to come that earlier lives have multicast.
    sent_before: u64,
    output: Output,
    /// Deliveries that have not been passed to the output.
    delivered: Vec<u8>,
    is_seen: bool,
    talk: Talk,
}

impl Pipe {
    pub(super) fn begin(waker: Waker, talk: &Talk) -> Result<Self, Failure> {
        Ok(Self {
            input: Input::stdin(waker.clone())?,
            lines: Lines::default(),
            failure: None,
            sent_before: 0,
            output: Output::stdout(waker)?,
            delivered: Vec::new(),
            is_seen: std::io::stdout().is_terminal(),
            talk: talk.clone(),
        })
    }
}

impl User for Pipe {
    fn next(&mut self, _: Time) -> Result<Next, Failure> {
        loop {
            if !self.lines.wants_more()? {
                if self.sent_before == 0 || self.lines.first.take().is_none() {
                    break;
                }
                self.sent_before -= 1;
                continue;
            }
            if let Some(failure) = &self.failure {
                return Err(failure.clone());
            }
            match self.input.take() {
                Ok(Some(chunk)) => self.lines.push(&chunk),
                Ok(None) => return Ok(Next::Rest(None)),
                Err(failure) => self.failure = Some(failure),
            }
        }
        Ok(if self.lines.first.is_some() { Next::Multicast } else { Next::Finish })
    }

    fn take(&mut self) -> Option<Bytes> {
        self.lines.first.take()
    }

    fn resume(&mut self, multicasts: u64) {
        self.sent_before = multicasts;
    }

    fn delivered(&mut self, from: &str, text: &[u8]) {
        if self.is_seen {
            write_result(&mut self.delivered, from, talk::on_one_line(text).as_bytes());
        } else {
            write_result(&mut self.delivered, from, text);
        }
        self.delivered.push(b'\n');
    }

    /// Standard output has only multicasts, so it is the same at every member.
    fn received(&mut self, from: &str, text: &[u8]) {
        self.talk.say(format!("{from} (to you)> {}", talk::on_one_line(text)));
    }

    fn show(&mut self) {
        if !self.delivered.is_empty() {
            self.output.write(&self.delivered);
            self.delivered.clear();
        }
    }

    fn output(&self) -> Option<&Output> {
        Some(&self.output)
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        self.show();
        self.output.settle(GRACE);
    }
}

/// The lines in the chunks read. A last line may have no line feed.
#[derive(Debug, Default)]
struct Lines {
    /// The line at the front, without its line feed.
    first: Option<Bytes>,
    rest: BytesMut,
    /// The number of leading bytes of `rest` without a line feed.
    searched: usize,
    /// The number of lines taken out of `rest`.
    number: u64,
    has_ended: bool,
}

impl Lines {
    /// Appends a chunk; an empty one is the end.
    fn push(&mut self, chunk: &[u8]) {
        self.rest.extend_from_slice(chunk);
        self.has_ended = chunk.is_empty();
    }

    /// Looks for the next line. Returns whether it, or the end, is still to be read.
    fn wants_more(&mut self) -> Result<bool, Failure> {
        if self.first.is_some() {
            return Ok(false);
        }
        let end = self.rest[self.searched..].iter().position(|&byte| byte == b'\n');
        self.searched += end.unwrap_or(self.rest.len() - self.searched);
        match end {
            _ if self.searched > MAX_TEXT => return Err(self.too_long()),
            Some(_) => self.take(1),
            None if !self.has_ended => return Ok(true),
            None if self.rest.is_empty() => {}
            None => self.take(0),
        }
        Ok(false)
    }

    /// Takes the searched bytes as the next line, and removes the line feed behind them.
    fn take(&mut self, line_feed: usize) {
        self.first = Some(self.rest.split_to(self.searched).freeze());
        self.rest.advance(line_feed);
        self.searched = 0;
        self.number += 1;
    }

    fn too_long(&self) -> Failure {
        let message = format!(
            "<stdin>:{}: this line has more than {MAX_TEXT} bytes, the most possible",
            self.number + 1
        );
        Failure::new(Exit::BadData, message).help("split it into several lines")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the lines in these chunks, until more are wanted.
    fn lines(chunks: &[&[u8]]) -> Result<Vec<String>, Failure> {
        let (mut lines, mut taken) = (Lines::default(), Vec::new());
        for chunk in chunks {
            lines.push(chunk);
            while !lines.wants_more()? {
                let Some(line) = lines.first.take() else { return Ok([taken, vec!["END".into()]].concat()) };
                taken.push(String::from_utf8(line.to_vec()).unwrap());
            }
        }
        Ok(taken)
    }

    #[test]
    fn chunks_become_lines_wherever_they_are_cut() {
        assert_eq!(lines(&[b"one\ntwo\n"]).unwrap(), ["one", "two"]);
        assert_eq!(lines(&[b"o", b"ne", b"\n\ntw", b"o\n"]).unwrap(), ["one", "", "two"]);
        assert_eq!(lines(&[b"a,\"b\\\r\n"]).unwrap(), ["a,\"b\\\r"]);
    }

    #[test]
    fn the_last_line_needs_no_line_feed() {
        assert_eq!(lines(&[b"one\ntw", b"o", b""]).unwrap(), ["one", "two", "END"]);
        assert_eq!(lines(&[b"one\n", b""]).unwrap(), ["one", "END"]);
        assert_eq!(lines(&[b""]).unwrap(), ["END"]);
    }

    #[test]
    fn the_longest_line_passes_and_a_longer_one_is_named() {
        let longest = vec![b'x'; MAX_TEXT];
        assert_eq!(lines(&[&longest, b"\n"]).unwrap()[0].len(), MAX_TEXT);
        assert_eq!(lines(&[&longest, b""]).unwrap()[0].len(), MAX_TEXT);
        for end in [&b"x"[..], b"x\n"] {
            let failure = lines(&[b"one\ntwo\n", &longest, end]).unwrap_err();
            assert_eq!(failure.exit, Exit::BadData);
            assert!(failure.message.starts_with("<stdin>:3: "), "{failure}");
        }
    }
}
