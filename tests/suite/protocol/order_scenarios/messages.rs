//! The messages of each order as people read and write them. The text is complete: [`Message::parse`] reads
//! back what [`Message::text`] writes, and the stage checks that for every message that is sent.

use groupcast::clock::VectorClock;
use groupcast::engine::{MemberId, To};
use groupcast::order::agreed::{AgreedWire, Rank};
use groupcast::order::total::{Sequenced, Skipped};
use groupcast::order::total_bb::{BbWire, Numbered, Range};
use groupcast::order::total_ub::UbWire;
use groupcast::order::total_uub::{Request, UubWire};
use groupcast::order::{causal, lamport};
use groupcast::wire::{Batch, BatchBuilder, Wire};

use super::names::Names;

pub(crate) trait Message: Wire + Eq + 'static {
    /// The message as a line; its first two words are its name.
    fn text(&self, from: MemberId, to: To) -> String;

    /// The message that such a line tells.
    fn parse(words: &mut Words<'_>) -> Option<Self>;
}

/// A line, word by word: commas and colons are for the reader only, a quoted text is one word.
pub(crate) struct Words<'a> {
    rest: &'a str,
    names: &'a Names,
}

impl<'a> Words<'a> {
    pub(crate) fn new(line: &'a str, names: &'a Names) -> Self {
        Self { rest: line.trim(), names }
    }

    fn next(&mut self) -> Option<&'a str> {
        let end = match self.rest.strip_prefix('"') {
            Some(text) => text.find('"')? + 2,
            None => self.rest.find(' ').unwrap_or(self.rest.len()),
        };
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest.trim_start();
        (!word.is_empty()).then(|| word.trim_end_matches([',', ':']))
    }

    fn expect(&mut self, word: &str) -> Option<()> {
        (self.next()? == word).then_some(())
    }

    fn number(&mut self) -> Option<u64> {
        self.next()?.trim_start_matches('#').parse().ok()
    }

    /// `4`, or `4-6`: the first number.
    fn numbers(&mut self) -> Option<u64> {
        self.next()?.split('-').next()?.parse().ok()
    }

    /// `a/3` or `a/3-5`.
    fn range(&mut self) -> Option<Range> {
        let (sender, numbers) = self.next()?.split_once('/')?;
        let (first, last) = numbers.split_once('-').unwrap_or((numbers, numbers));
        let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
        let count = u32::try_from(last.checked_sub(first)? + 1).ok()?;
        Some(Range { sender: self.names.slot(sender)?, first, count })
    }

    /// `a/3-4 "x" "y"`.
    fn batch(&mut self) -> Option<(MemberId, Batch)> {
        let Range { sender, first, .. } = self.range()?;
        let mut builder = BatchBuilder::new(first);
        while self.rest.starts_with('"') {
            builder.push(self.next()?.trim_matches('"').as_bytes());
        }
        Some((sender, builder.finish()?))
    }

    /// `(1,0,2)`: an entry for each name.
    fn clock(&mut self) -> Option<VectorClock> {
        let counts = self.next()?.strip_prefix('(')?.strip_suffix(')')?;
        let members: Vec<MemberId> = (0..).take(counts.split(',').count()).map(MemberId).collect();
        let mut clock = VectorClock::new(&members);
        for (&member, count) in members.iter().zip(counts.split(',')) {
            clock.advance(member, count.parse().ok()?);
        }
        Some(clock)
    }

    /// `2.a`.
    fn rank(&mut self) -> Option<Rank> {
        let (number, proposer) = self.next()?.split_once('.')?;
        Some(Rank { number: number.parse().ok()?, proposer: self.names.slot(proposer)? })
    }
}

/// `3`, or `3-5`.
fn numbers(first: u64, count: u64) -> String {
    if count == 1 { first.to_string() } else { format!("{first}-{}", first + (count - 1)) }
}

fn range(Range { sender, first, count }: Range) -> String {
    format!("{sender}/{}", numbers(first, count.into()))
}

/// `p0/3-4 "x" "y"`.
pub(crate) fn batch(sender: MemberId, batch: &Batch) -> String {
    let mut shown = range(Range { sender, first: batch.first(), count: batch.count() });
    for (_, text) in batch.messages() {
        shown += &format!(" \"{}\"", String::from_utf8_lossy(text));
    }
    shown
}

/// The sender of the batch, for messages that go to that sender alone.
fn addressee(to: To) -> MemberId {
    match to {
        To::Member(member) => member,
        To::Group => panic!("this message is for one member"),
    }
}

impl Message for Batch {
    fn text(&self, from: MemberId, _to: To) -> String {
        format!("body {}", batch(from, self))
    }

    fn parse(words: &mut Words<'_>) -> Option<Self> {
        words.expect("body")?;
        Some(words.batch()?.1)
    }
}

impl Message for causal::Stamped {
    fn text(&self, from: MemberId, _to: To) -> String {
        format!("body {} after {}", batch(from, &self.batch), self.clock)
    }

    fn parse(words: &mut Words<'_>) -> Option<Self> {
        let batch = <Batch as Message>::parse(words)?;
        words.expect("after")?;
        Some(Self { clock: words.clock()?, batch })
    }
}

impl Message for BbWire {
    fn text(&self, from: MemberId, to: To) -> String {
        match self {
            Self::Body(batch) => batch.text(from, to),
            Self::Numbers(numbered) => {
                let ranges: Vec<String> = numbered.ranges.iter().copied().map(range).collect();
                let skipped = match numbered.skipped {
                    0 => String::new(),
                    count => format!(" skip {count}"),
                };
                let places = numbers(numbered.first, numbered.count());
                format!("numbers {places}: {}{skipped}", ranges.join(", "))
            }
            Self::Advance(number) => format!("advance {number}"),
        }
    }

    fn parse(words: &mut Words<'_>) -> Option<Self> {
        if words.rest.starts_with("body") {
            return <Batch as Message>::parse(words).map(Self::Body);
        }
        if words.rest.starts_with("advance") {
            words.expect("advance")?;
            return Some(Self::Advance(words.number()?));
        }
        words.expect("numbers")?;
        let first = words.numbers()?;
        let mut ranges = Vec::new();
        while !words.rest.is_empty() && !words.rest.starts_with("skip") {
            ranges.push(words.range()?);
        }
        let skipped = if words.rest.starts_with("skip") {
            words.expect("skip")?;
            words.number()?
        } else {
            0
        };
        Some(Self::Numbers(Numbered { first, ranges, skipped }))
    }
}

fn sequenced(of: &Sequenced) -> String {
    let places = numbers(of.number, of.batch.count().into());
    format!("numbered {} as {places}", batch(of.sender, &of.batch))
}

fn parse_sequenced(words: &mut Words<'_>) -> Option<Sequenced> {
    words.expect("numbered")?;
    let (sender, batch) = words.batch()?;
    words.expect("as")?;
    Some(Sequenced { number: words.numbers()?, sender, batch })
}

impl Message for UbWire {
    fn text(&self, from: MemberId, to: To) -> String {
        match self {
            Self::Raw(batch) => batch.text(from, to),
            Self::Sequenced(of) => sequenced(of),
            Self::Skipped(Skipped { number, count }) => format!("skip {}", numbers(*number, *count)),
            Self::Advance(number) => format!("advance {number}"),
        }
    }

    fn parse(words: &mut Words<'_>) -> Option<Self> {
        if words.rest.starts_with("body") {
            return <Batch as Message>::parse(words).map(Self::Raw);
        }
        parse_sequenced(words).map(Self::Sequenced)
    }
}

impl Message for UubWire {
    fn text(&self, from: MemberId, to: To) -> String {
        match self {
            &Self::Request(Request { first, count }) => {
                format!("request {}", range(Range { sender: from, first, count }))
            }
            Self::Grant { first, number } => format!("grant {}/{first} as {number}", addressee(to)),
            Self::Numbered(of) => sequenced(of),
            Self::Skipped(Skipped { number, count }) => format!("skip {}", numbers(*number, *count)),
            Self::Advance(number) => format!("advance {number}"),
        }
    }

    fn parse(words: &mut Words<'_>) -> Option<Self> {
        if words.rest.starts_with("numbered") {
            return parse_sequenced(words).map(Self::Numbered);
        }
        let kind = words.next()?;
        let Range { first, count, .. } = words.range()?;
        if kind == "request" {
            return Some(Self::Request(Request { first, count }));
        }
        words.expect("as")?;
        Some(Self::Grant { first, number: words.number()? })
    }
}

impl Message for lamport::Stamped {
    fn text(&self, from: MemberId, _to: To) -> String {
        let Self { sequence, time, batch: carried } = self;
        let what =
            carried.as_ref().map_or("ack".to_owned(), |carried| format!("body {}", batch(from, carried)));
        format!("{what} #{sequence} at {time}")
    }

    fn parse(words: &mut Words<'_>) -> Option<Self> {
        let batch = match words.next()? {
            "body" => Some(words.batch()?.1),
            _ => None,
        };
        let sequence = words.number()?;
        words.expect("at")?;
        Some(Self { sequence, time: words.number()?, batch })
    }
}

impl Message for AgreedWire {
    fn text(&self, from: MemberId, to: To) -> String {
        match self {
            Self::Body(batch) => batch.text(from, to),
            Self::Proposal { first, number } => format!("proposal {}/{first} as {number}", addressee(to)),
            Self::Agreed { first, rank } => {
                format!("agreed {from}/{first} as {}.{}", rank.number, rank.proposer)
            }
        }
    }

    fn parse(words: &mut Words<'_>) -> Option<Self> {
        if words.rest.starts_with("body") {
            return <Batch as Message>::parse(words).map(Self::Body);
        }
        let kind = words.next()?;
        let first = words.range()?.first;
        words.expect("as")?;
        if kind == "proposal" {
            return Some(Self::Proposal { first, number: words.number()? });
        }
        Some(Self::Agreed { first, rank: words.rank()? })
    }
}
