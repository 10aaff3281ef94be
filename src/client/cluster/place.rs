//! The place in a command file at which a member that starts again goes on: after the last message that its journal has.

use std::collections::BTreeMap;
use std::path::Path;

use crate::exit::{Exit, Failure};
use crate::ids::MemberId;
use crate::place::quoted;
use crate::script::{Op, Script};

/// The messages to everybody, or those to one member.
type Stream = Option<MemberId>;

/// The messages of this member that its journal has.
#[derive(Debug, Default)]
pub(super) struct Sent<'a> {
    /// The number of the last message of each stream.
    pub(super) last: BTreeMap<Stream, u64>,
    /// The texts that the journal still has, each with its stream and its number.
    pub(super) texts: Vec<(Stream, u64, &'a [u8])>,
    /// True if the member had come to the end of its commands.
    pub(super) has_finished: bool,
}

/// Finds the index of the line after the last one whose message was sent. `receivers` are those of the script.
///
/// # Errors
/// [`Exit::Config`] if the messages that were sent are not the first ones of this script.
pub(super) fn find(
    script: &Script,
    receivers: &[MemberId],
    sent: &Sent<'_>,
    data: &Path,
) -> Result<usize, Failure> {
    let mut left = sent.last.clone();
    let mut lines: BTreeMap<Stream, Vec<&[u8]>> = BTreeMap::new();
    let mut at = 0;
    for (line, next) in script.lines().iter().zip(1..) {
        let (stream, text) = match &line.op {
            Op::Multicast(text) | Op::MulticastTo { text, .. } => (None, text),
            Op::Send { to, text } => (Some(receivers[to.0 as usize]), text),
            Op::Sleep(_) | Op::Leave => continue,
        };
        match left.get_mut(&stream).filter(|left| **left > 0) {
            Some(left) => *left -= 1,
            None if sent.has_finished => {
                return Err(differs(data, "it ended before this file does"));
            }
            None => break,
        }
        lines.entry(stream).or_default().push(text);
        at = next;
    }
    if left.values().any(|&left| left > 0) {
        return Err(differs(data, "it has messages that this file lacks"));
    }
    for &(stream, number, text) in &sent.texts {
        let line = lines.get(&stream).and_then(|lines| lines.get(usize::try_from(number).ok()? - 1));
        if let Some(&line) = line
            && line != text
        {
            let (line, text) = (quoted(line), quoted(text));
            return Err(differs(data, &format!("it has {text} where this file has {line}")));
        }
    }
    Ok(at)
}

fn differs(data: &Path, how: &str) -> Failure {
    let why = format!("the journal in {} is of another command file: {how}", data.display());
    Failure::new(Exit::Config, why)
        .help("give the command file with which it began, or another folder to --data")
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMANDS: &str = "Multicast,s1,a\ns1,s2,x\nsleep,1\nMulticast,s1,b\nMulticast,s1,c\n";

    fn place(commands: &str, sent: &Sent<'_>) -> Result<usize, String> {
        let script = Script::parse("s1.txt", commands.to_owned().into(), "s1").unwrap();
        find(&script, &[MemberId(1)], sent, Path::new("d")).map_err(|failure| failure.message)
    }

    fn sent<'a>(multicasts: &[&'a str], direct: &[&'a str], has_finished: bool) -> Sent<'a> {
        let streams = [(None, multicasts), (Some(MemberId(1)), direct)];
        let texts = |&(stream, texts): &(Stream, &[&'a str])| {
            texts.iter().zip(1..).map(|(text, number)| (stream, number, text.as_bytes())).collect::<Vec<_>>()
        };
        Sent {
            last: streams.iter().map(|(stream, texts)| (*stream, texts.len() as u64)).collect(),
            texts: streams.iter().flat_map(texts).collect(),
            has_finished,
        }
    }

    #[test]
    fn place_is_after_the_last_message_that_was_sent() {
        for (multicasts, direct, at) in [
            (&[][..], &[][..], 0),
            (&["a"], &[], 1),
            (&["a"], &["x"], 2),
            (&["a", "b"], &["x"], 4),
            (&["a", "b", "c"], &["x"], 5),
        ] {
            assert_eq!(
                place(COMMANDS, &sent(multicasts, direct, false)),
                Ok(at),
                "{multicasts:?} {direct:?}"
            );
        }
        assert_eq!(place(COMMANDS, &sent(&["a", "b", "c"], &["x"], true)), Ok(5));
    }

    #[test]
    fn place_in_another_command_file_is_refused_with_the_difference() {
        for (sent, how) in [
            (sent(&["a", "b", "c", "d"], &["x"], false), "it has messages that this file lacks"),
            (sent(&["a", "b"], &["x"], true), "it ended before this file does"),
            (sent(&["a", "B"], &["x"], false), "it has `B` where this file has `b`"),
            (sent(&["a"], &["y"], false), "it has `y` where this file has `x`"),
        ] {
            let said = place(COMMANDS, &sent).unwrap_err();
            assert!(said.contains(how), "{said}");
        }
    }
}
