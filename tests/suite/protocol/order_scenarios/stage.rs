//! The stage: the members of a scenario, each with its real engine, and the messages between them.
//!
//! Nothing moves unless a command says so; `testdata/order/README.md` lists the commands.

use std::collections::BTreeMap;
use std::fmt::Display;

use groupcast::engine::{Effect, Effects, Engine, Input, MemberId, Time, To, View};
use groupcast::order::Promise;
use groupcast::wire::{Batch, BatchBuilder, Malformed, Reader, Wire, Writer};

use super::messages::{Message, Words, batch};
use super::names::Names;
use super::verdict::History;
use super::{Make, Place};

/// An order's engine that can say what it holds back.
pub(crate) trait Node<W>: Engine<App = Batch, Wire = W> + Display {}

impl<W, E: Engine<App = Batch, Wire = W> + Display> Node<W> for E {}

/// The members that take part.
struct Cast {
    names: Names,
    view: View,
}

impl Cast {
    fn parse(command: &str) -> Result<Self, String> {
        let mut words =
            command.strip_prefix("members ").ok_or("the first command is `members …`")?.split(' ');
        let (mut names, mut view) =
            (Vec::new(), View { number: 1, clients: Vec::new(), sequencer: None, candidates: Vec::new() });
        while let Some(word) = words.next() {
            let slot = MemberId(u16::try_from(names.len()).unwrap());
            let name = match word {
                "sequencer" => words.next().inspect(|_| view.sequencer = Some(slot)),
                "stranger" => words.next(),
                client => Some(client).inspect(|_| view.clients.push(slot)),
            };
            names.push(name.ok_or("a name is missing")?.to_owned());
        }
        Ok(Self { names: Names(names), view })
    }
}

/// A message that was sent.
struct Letter<W> {
    from: MemberId,
    to: To,
    message: W,
    /// The members that have not received it.
    awaited_by: Vec<MemberId>,
}

pub(crate) struct Stage<W> {
    cast: Cast,
    nodes: BTreeMap<MemberId, Box<dyn Node<W>>>,
    promises: &'static [Promise],
    /// Everything that was ever sent, in this order.
    letters: Vec<Letter<W>>,
    history: History,
    now: u64,
    /// The events since the command began.
    told: Vec<String>,
}

/// A command that cannot be performed is an error of the scenario.
type Outcome = Result<(), String>;

impl<W: Message> Stage<W> {
    /// The stage that the first command describes.
    pub(crate) fn open(command: &str, promises: &'static [Promise], make: Make<W>) -> Result<Self, String> {
        let cast = Cast::parse(command)?;
        let members = cast.view.members();
        let nodes = members.iter().map(|&me| (me, make(Place { me, view: &cast.view }))).collect();
        let (letters, history, told) = (Vec::new(), History::default(), Vec::new());
        Ok(Self { cast, nodes, promises, letters, history, now: 0, told })
    }

    /// Performs one command and tells what came of it.
    pub(crate) fn perform(&mut self, command: &str) -> Result<Vec<String>, String> {
        match command.split_once(' ').ok_or("a command has several words")? {
            ("everything", "arrives") => self.settle(),
            ("wake", name) => self.wake(self.member(name)?),
            ("check", property) => self.check(property)?,
            ("show", "concurrent") => self.told.push(self.history.concurrent()),
            ("show", name) => self.show(self.member(name)?),
            (name, what) => {
                let me = self.member(name)?;
                match what.split_once(' ') {
                    Some(("multicasts", texts)) => self.multicast(me, texts)?,
                    Some(("receives", "everything")) => while self.deliver_next(Some(me)) {},
                    Some(("receives", message)) => self.receive(me, message)?,
                    _ => return Err("no such command".to_owned()),
                }
            }
        }
        Ok(self.told.drain(..).map(|line| self.cast.names.tell(&line)).collect())
    }

    fn slot(&self, name: &str) -> Result<MemberId, String> {
        self.cast.names.slot(name).ok_or_else(|| format!("who is {name}?"))
    }

    fn member(&self, name: &str) -> Result<MemberId, String> {
        self.slot(name)
            .ok()
            .filter(|slot| self.nodes.contains_key(slot))
            .ok_or_else(|| format!("{name} is no member"))
    }

    fn multicast(&mut self, me: MemberId, texts: &str) -> Outcome {
        if self.cast.view.sequencer == Some(me) {
            return Err("a sequencer multicasts nothing of its own".to_owned());
        }
        let ids: Vec<_> = texts.split(", ").map(|_| self.history.multicast(me)).collect();
        let mut builder = BatchBuilder::new(ids[0].1);
        for text in texts.split(", ") {
            builder.push(text.as_bytes());
        }
        let app = builder.finish().expect("a split gives one text at least");
        self.handle(me, Input::Submit { to: To::Group, app });
        Ok(())
    }

    fn receive(&mut self, me: MemberId, what: &str) -> Outcome {
        let (what, from) = match what.rsplit_once(" from ") {
            Some((what, name)) => (what, Some(self.slot(name)?)),
            None => (what, None),
        };
        if let Some(line) = what.strip_prefix("forged ") {
            let from = from.ok_or("a forged message says `from` whom")?;
            let mut words = Words::new(line, &self.cast.names);
            let message = W::parse(&mut words).ok_or("this order has no such message")?;
            let understood = self.cast.names.tell(&message.text(from, To::Member(me)));
            if understood != line {
                return Err(format!("that is understood as `{understood}`"));
            }
            self.arrive(me, from, &message);
        } else if let Some(beginning) = what.strip_prefix("a copy of ") {
            let at = self.find(|_| true, beginning).ok_or("nobody has sent that")?;
            self.arrive(me, from.unwrap_or(self.letters[at].from), &self.letters[at].message.clone());
        } else {
            let awaited = |letter: &Letter<W>| {
                letter.awaited_by.contains(&me) && from.is_none_or(|from| from == letter.from)
            };
            let at = self.find(awaited, what).ok_or("nothing under way to it begins with that")?;
            self.deliver(at, me);
        }
        Ok(())
    }

    /// The first letter of these whose text begins so, up to the end of a word.
    fn find(&self, among: impl Fn(&Letter<W>) -> bool, beginning: &str) -> Option<usize> {
        self.letters.iter().position(|letter| {
            let text = self.cast.names.tell(&letter.message.text(letter.from, letter.to));
            let rest = text.strip_prefix(beginning);
            among(letter) && rest.is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric()))
        })
    }

    fn deliver(&mut self, at: usize, me: MemberId) {
        let letter = &mut self.letters[at];
        letter.awaited_by.retain(|&member| member != me);
        let (from, message) = (letter.from, letter.message.clone());
        self.arrive(me, from, &message);
    }

    /// The oldest message under way arrives, to `me` or to anybody; false if there is none.
    fn deliver_next(&mut self, me: Option<MemberId>) -> bool {
        let next = self.letters.iter().enumerate().find_map(|(at, letter)| {
            let to = letter.awaited_by.iter().find(|&&member| me.is_none_or(|me| me == member))?;
            Some((at, *to))
        });
        next.map(|(at, to)| self.deliver(at, to)).is_some()
    }

    fn settle(&mut self) {
        loop {
            while self.deliver_next(None) {}
            let due = self.nodes.iter().find(|(_, node)| node.next_deadline().is_some());
            let Some((&me, _)) = due else { return };
            self.wake(me);
        }
    }

    fn wake(&mut self, me: MemberId) {
        self.told.push(format!("{me} wakes"));
        self.handle(me, Input::Wake);
        let due = self.nodes[&me].next_deadline();
        assert!(due.is_none_or(|due| due > Time::from_micros(self.now)), "{me} would wake for ever");
    }

    /// As on the network: what cannot be read does not reach the engine.
    fn arrive(&mut self, me: MemberId, from: MemberId, message: &W) {
        self.told.push(format!("{me} receives {} from {from}", message.text(from, To::Member(me))));
        match over_the_wire(message) {
            Ok(message) => self.handle(me, Input::Receive { from, message }),
            Err(Malformed) => self.told.push(format!("{me} drops it, {from} to blame: malformed")),
        }
    }

    /// One input to one engine: its effects, and what it says of itself if that has changed.
    fn handle(&mut self, me: MemberId, input: Input<Batch, W>) {
        self.now += 1;
        let node = self.nodes.get_mut(&me).expect("asked for by name");
        let (before, mut out) = (node.to_string(), Effects::default());
        node.handle(Time::from_micros(self.now), input, &mut out);
        let after = node.to_string();
        for effect in out.drain() {
            self.effect(me, effect);
        }
        if before != after {
            self.told.push(format!("{me} {after}"));
        }
    }

    fn effect(&mut self, me: MemberId, effect: Effect<Batch, W>) {
        let told = match effect {
            Effect::Send { to, message } => self.send(me, to, message),
            Effect::Deliver { from, number, app } => {
                for (first, _) in app.messages() {
                    self.history.delivered(me, (from, first));
                }
                let place = number.map_or(String::new(), |number| format!(" as number {number}"));
                format!("{me} delivers {}{place}", batch(from, &app))
            }
            Effect::Drop { from, reason } => format!("{me} drops it, {from} to blame: {reason}"),
        };
        self.told.push(told);
    }

    fn send(&mut self, me: MemberId, to: To, message: W) -> String {
        let text = message.text(me, to);
        let told = self.cast.names.tell(&text);
        assert_eq!(W::parse(&mut Words::new(&told, &self.cast.names)), Some(message.clone()), "{told}");
        let awaited_by = match to {
            To::Group => self.nodes.keys().copied().filter(|&member| member != me).collect(),
            To::Member(member) => vec![member],
        };
        self.letters.push(Letter { from: me, to, message, awaited_by });
        format!("{me} sends {text} to {to}")
    }

    fn show(&mut self, me: MemberId) {
        self.told.push(format!("{me} {}", self.nodes[&me]));
    }

    fn check(&mut self, name: &str) -> Outcome {
        let property = match name {
            "fifo" => Promise::Fifo,
            "causal" => Promise::Causal,
            "total" => Promise::Total,
            _ => return Err("there are fifo, causal and total".to_owned()),
        };
        match self.history.check(property) {
            Ok(holds) => self.told.push(format!("{name}: {holds}")),
            Err(witness) if self.promises.contains(&property) => {
                return Err(self.cast.names.tell(&format!("promised and broken: {witness}")));
            }
            Err(witness) => self.told.push(format!("{name}: broken, {witness}")),
        }
        Ok(())
    }
}

/// Writes the message into a packet and reads it back.
fn over_the_wire<W: Wire>(message: &W) -> Result<W, Malformed> {
    let mut writer = Writer::default();
    message.write(&mut writer);
    let (header, body) = writer.finish();
    let mut reader = Reader::new(header, body);
    let read = W::read(&mut reader)?;
    reader.end()?;
    Ok(read)
}
