//! The syntax of faults of connections: one a line; each mistake is reported with its place and the word that was probably meant.

use std::ops::Range;
use std::time::Duration;

use super::link::{Direction, Fault, HOLD, KINDS, Kind, PORTS, SYNC};
use crate::nearest::hint;
use crate::place::{Flaw, quoted};
use crate::units;

/// The grammar, for `--help`.
pub(crate) const GRAMMAR: &str = "\
A fault is a line: TIME KIND, then in any order what else is to be said. Times count from the first connection.
  1.5s cut for 2s             close all connections, and new ones at once
  3s reset                    break all connections off (TCP RST both ways)
  4s half-close up            tell one side that the other sends no more; it
                              may still send itself
  2s stall up for 1s          connections stay open, nothing moves
  0s delay 20ms jitter 10ms   everything comes 20 to 30 ms later, in its order
  0s bandwidth 1MB/s          at most that for each connection and direction;
                              also kB/s, B/s
  0s loss 5%                  5 of 100 packets never arrive
  0s duplicate 5%             5 of 100 arrive twice
  0s reorder 10%              10 of 100 arrive after the next one to eight
  0s hold this until that     packets that contain `this` wait until one that
                              contains `that` has passed on the same connection
up is from members to the middle, down is the other way; without a direction both are meant (half-close: up).
  on PORT           only connections of this port: in, out, sync, router
  connection N      only the N-th connection of a port, from 1; connections
                    that did not reach the middle do not count
  for TIME          how long, not for reset and half-close; else for ever
Packets are what members multicast and send to one another, and what they say about it: on in, out and router.
In a file, empty lines and those that begin with # are skipped.";

const CLAUSES: [&str; 7] = ["up", "down", "both", "on", "connection", "for", "jitter"];
/// The longest time. Longer ones could overflow when they are added; no real script is longer than a day.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Parses all faults of a script.
///
/// # Errors
/// The first mistake.
pub(crate) fn parse(text: &str) -> Result<Vec<Fault>, Flaw> {
    let mut faults = Vec::new();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let words = Words::of(line, start);
        start += line.len();
        faults.extend(words.fault()?);
    }
    Ok(faults)
}

/// Parses one fault.
///
/// # Errors
/// The mistake in it; or that it is not one fault.
pub(crate) fn parse_one(line: &str) -> Result<Fault, Flaw> {
    let [fault] = <[Fault; 1]>::try_from(parse(line)?).map_err(|_| {
        Flaw::new(0..0, "expected one fault").help("write for example link = \"2s cut for 3s\"")
    })?;
    Ok(fault)
}

/// A word and its place.
type Word<'a> = (&'a str, Range<usize>);

/// The words of a line that have not been read yet.
struct Words<'a> {
    rest: std::vec::IntoIter<Word<'a>>,
    /// The end of the last word, which is the place of a missing one.
    end: usize,
}

impl<'a> Words<'a> {
    fn of(line: &'a str, start: usize) -> Self {
        let mut words = Vec::new();
        if !line.trim_start().starts_with('#') {
            for word in line.split_whitespace() {
                // The words are slices of the line, so the difference of the addresses is their place.
                let from = start + (word.as_ptr().addr() - line.as_ptr().addr());
                words.push((word, from..from + word.len()));
            }
        }
        let end = words.last().map_or(start, |(_, span): &Word<'_>| span.end);
        Self { rest: words.into_iter(), end }
    }

    fn fault(mut self) -> Result<Option<Fault>, Flaw> {
        let Some(first) = self.rest.next() else { return Ok(None) };
        let at = time(first)?;
        let kind = self.kind()?;
        let direction = if kind == Kind::HalfClose { Direction::Up } else { Direction::Both };
        let mut fault = Fault { at, direction, ..Fault::of_all_packets(kind) };
        if kind == Kind::Hold {
            fault.texts = self.texts()?;
        }
        let mut said = Vec::new();
        while let Some(word) = self.rest.next() {
            let subject = if matches!(word.0, "up" | "down" | "both") { "a direction" } else { word.0 };
            if said.contains(&subject) {
                return Err(Flaw::new(word.1, format!("{subject} is said twice")));
            }
            said.push(subject);
            self.clause(word, &mut fault)?;
        }
        Ok(Some(fault))
    }

    fn next(&mut self, what: &str) -> Result<Word<'a>, Flaw> {
        let end = self.end;
        self.rest.next().ok_or_else(|| Flaw::new(end..end, format!("the line ends where {what} is due")))
    }

    fn kind(&mut self) -> Result<Kind, Flaw> {
        let word = self.next("what is to happen")?;
        Ok(match word.0 {
            "cut" => Kind::Cut,
            "reset" => Kind::Reset,
            "half-close" => Kind::HalfClose,
            "stall" => Kind::Stall,
            "delay" => Kind::Delay { by: time(self.next("a time")?)?, jitter: Duration::ZERO },
            "bandwidth" => Kind::Bandwidth { bytes: rate(self.next("a rate like 1MB/s")?)? },
            "loss" => Kind::Loss { share: self.share()? },
            "duplicate" => Kind::Duplicate { share: self.share()? },
            "reorder" => Kind::Reorder { share: self.share()? },
            HOLD => Kind::Hold,
            _ => return Err(unknown(word, "fault", &[&KINDS[..], &[HOLD]].concat())),
        })
    }

    /// Reads what the packets to hold contain, and what the packet contains that they follow.
    fn texts(&mut self) -> Result<(String, String), Flaw> {
        let (held, _) = self.next("a text in the packets to hold")?;
        let (until, span) = self.next("until")?;
        if until != "until" {
            return Err(
                Flaw::new(span, "expected until").help("write for example hold question until answer")
            );
        }
        let (first, _) = self.next("a text in the packet that they follow")?;
        Ok((held.to_owned(), first.to_owned()))
    }

    fn share(&mut self) -> Result<u32, Flaw> {
        let (word, span) = self.next("a share like 5%")?;
        units::parse_share(word)
            .map_err(|why| Flaw::new(span, format!("{} is no share", quoted(word.as_bytes()))).help(why))
    }

    fn clause(&mut self, word: Word<'a>, fault: &mut Fault) -> Result<(), Flaw> {
        let kind = fault.kind;
        let name = kind.word();
        let refuse = |why: &str| Flaw::new(word.1.clone(), format!("{name} {why}"));
        match word.0 {
            "up" | "down" | "both" if !kind.has_direction() => {
                return Err(refuse("is about whole connections and has no direction"));
            }
            "both" if kind == Kind::HalfClose => {
                return Err(refuse("is about one direction").help("write cut for both"));
            }
            "up" => fault.direction = Direction::Up,
            "down" => fault.direction = Direction::Down,
            "both" => fault.direction = Direction::Both,
            "on" => {
                let port = self.next("a port")?;
                let number = PORTS.iter().position(|name| *name == port.0);
                fault.port = Some(number.ok_or_else(|| unknown(port, "port", &PORTS))?);
                if kind.is_about_packets() && number == Some(SYNC) {
                    return Err(refuse("is about packets, and sync has none").help("the others have"));
                }
            }
            "connection" => fault.connection = Some(number(self.next("a number")?)?),
            "for" if !kind.lasts() => return Err(refuse("happens in a moment")),
            "for" => fault.lasts = Some(time(self.next("a time")?)?),
            "jitter" => match &mut fault.kind {
                Kind::Delay { jitter, .. } => *jitter = time(self.next("a time")?)?,
                _ => return Err(refuse("has no jitter").help("only delay has")),
            },
            _ => return Err(unknown(word, "word", &CLAUSES)),
        }
        Ok(())
    }
}

fn unknown((word, span): Word<'_>, what: &str, known: &[&str]) -> Flaw {
    let there_are = format!("there are: {}", known.join(", "));
    Flaw::new(span, format!("unknown {what} {}", quoted(word.as_bytes()))).help(hint(
        word,
        known.iter().copied(),
        &there_are,
    ))
}

fn time((word, span): Word<'_>) -> Result<Duration, Flaw> {
    let length = units::parse_duration(word)
        .and_then(|length| if length > DAY { Err("the longest is a day".to_owned()) } else { Ok(length) });
    length.map_err(|why| Flaw::new(span, format!("{} is no time", quoted(word.as_bytes()))).help(why))
}

fn number((word, span): Word<'_>) -> Result<u64, Flaw> {
    let number = word.parse().ok().filter(|&number| number > 0);
    number.ok_or_else(|| Flaw::new(span, format!("{} is no number above 0", quoted(word.as_bytes()))))
}

fn rate((word, span): Word<'_>) -> Result<u64, Flaw> {
    units::parse_rate(word)
        .map_err(|why| Flaw::new(span, format!("{} is no rate", quoted(word.as_bytes()))).help(why))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::place::Source;

    fn shown(text: &str) -> String {
        let source = Source { name: "faults.txt".into(), text: Bytes::copy_from_slice(text.as_bytes()) };
        source.failure(parse(text).unwrap_err()).to_string()
    }

    #[test]
    fn every_fault_is_read_and_shown_as_it_was_written() {
        for line in [
            "1.5s cut for 2s",
            "3s reset on out connection 2",
            "4s half-close up",
            "4s half-close down on sync",
            "2s stall up for 1s",
            "500ms stall",
            "0s delay 20ms jitter 10ms",
            "0s delay 20ms down on router for 250us",
            "0s bandwidth 1MB/s",
            "1s bandwidth 64kB/s up",
            "1s bandwidth 999B/s",
            "0s loss 5%",
            "0s loss 0.25% up on in for 3s",
            "1s duplicate 100% down",
            "1s reorder 12.5% on router connection 3",
            "0s hold Mach until Re: down on out",
        ] {
            let faults = parse(line).unwrap_or_else(|_| panic!("{line}"));
            let written: Vec<String> = faults.iter().map(ToString::to_string).collect();
            assert_eq!(written, [line]);
        }
    }

    #[test]
    fn what_is_left_out_has_its_meaning() {
        let faults = parse("# nothing\n\n 2 half-close\r\n1s stall both on in\n").unwrap();
        let written: Vec<String> = faults.iter().map(ToString::to_string).collect();
        assert_eq!(written, ["2s half-close up", "1s stall on in"]);
    }

    #[test]
    fn a_mistake_is_shown_with_its_place_and_what_was_meant() {
        assert_eq!(
            shown("1s cut\n2s  rezet\n"),
            "faults.txt:2:5: unknown fault `rezet`\n --> faults.txt:2:5\n  |\n2 | 2s  rezet\n  |     ^^^^^\n  \
             help: did you mean `reset`? there are: cut, reset, half-close, stall, delay, bandwidth, \
             loss, duplicate, reorder, hold"
        );
        for (text, expected) in [
            ("soon cut", "faults.txt:1:1: `soon` is no time"),
            ("1s", "faults.txt:1:3: the line ends where what is to happen is due"),
            ("1s delay", "faults.txt:1:9: the line ends where a time is due"),
            ("-1 cut", "faults.txt:1:1: `-1` is no time"),
            ("2000000s cut", "the longest is a day"),
            ("1s cut up", "faults.txt:1:8: cut is about whole connections and has no direction"),
            ("1s reset for 2s", "faults.txt:1:10: reset happens in a moment"),
            ("1s half-close both", "faults.txt:1:15: half-close is about one direction"),
            ("1s stall jitter 2s", "faults.txt:1:10: stall has no jitter"),
            ("1s stall up down", "faults.txt:1:13: a direction is said twice"),
            ("1s stall on out on in", "faults.txt:1:17: on is said twice"),
            ("1s stall on ruoter", "did you mean `router`?"),
            ("1s stall dwn", "did you mean `down`?"),
            ("1s cut connection 0", "faults.txt:1:19: `0` is no number above 0"),
            ("0s bandwidth 0B/s", "faults.txt:1:14: `0B/s` is no rate"),
            ("0s bandwidth NaNB/s", "faults.txt:1:14: `NaNB/s` is no rate"),
            ("0s bandwidth 1Mb/s", "write for example 1MB/s"),
            ("0s loss", "faults.txt:1:8: the line ends where a share like 5% is due"),
            ("0s hold", "faults.txt:1:8: the line ends where a text in the packets to hold is due"),
            ("0s hold a b", "faults.txt:1:11: expected until"),
            (
                "0s hold a until",
                "faults.txt:1:16: the line ends where a text in the packet that they follow is due",
            ),
            ("0s loss 5", "faults.txt:1:9: `5` is no share"),
            ("0s loss 101%", "write for example 5%"),
            ("0s reorder NaN%", "faults.txt:1:12: `NaN%` is no share"),
            ("0s duplicate 0%", "faults.txt:1:14: `0%` is no share"),
            ("0s loss 5% on sync", "faults.txt:1:12: loss is about packets, and sync has none"),
        ] {
            let shown = shown(text);
            assert!(shown.contains(expected), "{text}: {shown}");
        }
    }
}
