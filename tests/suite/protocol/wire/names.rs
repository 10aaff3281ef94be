//! The name of every byte of a packet. Written from the document, not from the code: a second opinion on the
//! layout, and the comments of the vectors.

use groupcast::engine::{MemberId, To};
use groupcast::member::replay::{Logged, Missed, Origin, Replay};
use groupcast::member::{Message, Tally};
use groupcast::order::agreed::AgreedWire;
use groupcast::order::total::{Sequenced, Skipped};
use groupcast::order::total_bb::BbWire;
use groupcast::order::total_ub::UbWire;
use groupcast::order::total_uub::UubWire;
use groupcast::order::{causal, lamport};
use groupcast::reliable::basic::Multicast;
use groupcast::reliable::flood::Flooded;
use groupcast::reliable::{Body, Received, Segment};
use groupcast::wire::batch::MAX_TEXT;
use groupcast::wire::{Batch, Kind};

use super::files::hex;
use super::{RUN, VIEW, Value};

/// A few bytes and what they are called.
pub(super) struct Field {
    pub(super) bytes: Vec<u8>,
    what: String,
}

/// The fields of the two frames of a packet.
#[derive(Default)]
pub(super) struct Fields {
    pub(super) header: Vec<Field>,
    pub(super) body: Vec<Field>,
}

impl Fields {
    /// The fields of a packet.
    pub(super) fn of(value: &Value) -> Self {
        let mut fields = Self::default();
        match value {
            Value::Bare(header) => {
                let name = if header.kind == Kind::Probe { "Probe" } else { "Undeliverable" };
                fields.start(header.kind as u8, name, (header.sender, header.view), header.to);
            }
            Value::ViewMessage(header, word) => fields.word(header, word),
            Value::Outline(packet) => {
                fields = Self::of(packet);
                fields.body.clear();
                fields.header[2] = Field { bytes: vec![7], what: "kind 7: Outline".to_owned() };
            }
            Value::Fifo(sender, packet) => fields.packet(*sender, packet, Self::batch),
            Value::Total(sender, packet) => fields.packet(*sender, packet, Self::total),
            Value::Basic(sender, packet) => fields.packet(*sender, packet, Self::basic),
            Value::Flood(sender, packet) => fields.packet(*sender, packet, Self::flood),
            Value::Causal(sender, packet) => fields.packet(*sender, packet, Self::causal),
            Value::Ub(sender, packet) => fields.packet(*sender, packet, Self::ub),
            Value::Uub(sender, packet) => fields.packet(*sender, packet, Self::uub),
            Value::Lamport(sender, packet) => fields.packet(*sender, packet, Self::lamport),
            Value::Agreed(sender, packet) => fields.packet(*sender, packet, Self::agreed),
        }
        fields
    }

    /// The comment lines of a vector.
    pub(super) fn text(&self) -> String {
        let lines = |name: &str, fields: &[Field]| {
            let line = |field: &Field| format!("#   {:<24} {}\n", hex(&field.bytes), field.what);
            format!("# {name}\n{}", fields.iter().map(line).collect::<String>())
        };
        let body = if self.body.is_empty() { "# body: empty\n".into() } else { lines("body", &self.body) };
        lines("header", &self.header) + &body
    }

    pub(super) fn add(&mut self, bytes: impl Into<Vec<u8>>, what: impl Into<String>) {
        self.header.push(Field { bytes: bytes.into(), what: what.into() });
    }

    pub(super) fn u16(&mut self, value: u16, what: &str) {
        self.add(value.to_le_bytes(), format!("{what} {value}"));
    }

    pub(super) fn u32(&mut self, value: u32, what: &str) {
        self.add(value.to_le_bytes(), format!("{what} {value}"));
    }

    pub(super) fn u64(&mut self, value: u64, what: &str) {
        self.add(value.to_le_bytes(), format!("{what} {value}"));
    }

    pub(super) fn start(&mut self, kind: u8, name: &str, (sender, view): (MemberId, u16), to: To) {
        self.add(*b"GC", "magic \"GC\"");
        self.add([2], "version 2");
        self.add([kind], format!("kind {kind}: {name}"));
        self.u16(sender.0, "sender: slot");
        match to {
            To::Group => self.add([0xff, 0xff], "to: the group"),
            To::Member(member) => self.u16(member.0, "to: slot"),
        }
        self.add(RUN.to_le_bytes()[..6].to_vec(), format!("run {RUN:016x}"));
        self.u16(view, "view");
    }

    fn replay(&mut self, replay: &Replay) {
        match replay {
            Replay::Ask { what, view, have } => {
                self.add([1], "replay 1: Ask");
                let (what, words) = match what {
                    Missed::Deliveries => (0, "what: deliveries"),
                    Missed::State => (1, "what: state"),
                    Missed::Log => (2, "what: the log"),
                };
                self.add([what], words);
                self.u64(*view, "before view");
                self.u64(*have, "pieces that are there");
            }
            Replay::Past(origins, batch) => {
                self.add([2], "replay 2: Past");
                self.batch(batch);
                for Origin { sender, own_number, number } in origins {
                    self.u16(sender.0, "  sender: slot");
                    self.u64(*own_number, "    its message number");
                    self.u64(*number, "    place in the total order, or 0");
                }
            }
            Replay::State(batch) => {
                self.add([3], "replay 3: State");
                self.batch(batch);
            }
            Replay::End(count) => {
                self.add([4], "replay 4: End");
                self.u64(*count, "pieces in all");
            }
            Replay::Cannot => self.add([5], "replay 5: Cannot"),
            Replay::Logged(senders, batch) => {
                self.add([6], "replay 6: Logged");
                self.batch(batch);
                for Logged { id, incarnation, first, count } in senders {
                    self.add([id.len() as u8], format!("  id: {} bytes", id.len()));
                    self.add(id.as_bytes(), format!("    {id:?}"));
                    self.u32(*incarnation, "    incarnation");
                    self.u64(*first, "    its message number");
                    self.u32(*count, "    messages");
                }
            }
        }
    }

    /// The body of a packet that is passed on.
    pub(super) fn body_as_it_came(&mut self, body: &[u8]) {
        self.body.push(Field { bytes: body.to_vec(), what: "the body, as it came".to_owned() });
    }

    fn packet<M>(&mut self, sender: MemberId, packet: &Segment<Message<M>>, ordered: fn(&mut Self, &M)) {
        match &packet.body {
            Body::Data { number, message } => {
                self.start(1, "Data", (sender, VIEW), packet.to);
                self.u64(*number, "packet number");
                match message {
                    Message::Ordered(inner) => {
                        self.add([1], "message 1: Ordered");
                        ordered(self, inner);
                    }
                    Message::Direct(batch) => {
                        self.add([2], "message 2: Direct");
                        self.batch(batch);
                    }
                    Message::Finished(tally) => {
                        self.add([3], "message 3: Finished");
                        self.tally(tally);
                    }
                    Message::Replay(replay) => {
                        self.add([4], "message 4: Replay");
                        self.replay(replay);
                    }
                }
            }
            Body::Status { sent, asks, received } => {
                self.start(2, "Status", (sender, VIEW), packet.to);
                self.u64(*sent, "sent: up to packet");
                self.add([u8::from(*asks)], format!("asks: {}", if *asks { "yes" } else { "no" }));
                self.u16(received.len() as u16, "received: entries");
                for Received { sender, complete, held } in received {
                    self.u16(sender.0, "  of slot");
                    self.u64(*complete, "    complete up to packet");
                    self.u16(*held, "    held back");
                }
            }
            Body::Nack { sender: whose, missing } => {
                self.start(3, "Nack", (sender, VIEW), packet.to);
                self.u16(whose.0, "whose packets: slot");
                self.u16(missing.len() as u16, "missing: ranges");
                for (first, last) in missing {
                    self.u64(*first, "  from packet");
                    self.u64(*last, "  to packet");
                }
            }
        }
    }

    fn total(&mut self, message: &BbWire) {
        match message {
            BbWire::Body(batch) => {
                self.add([1], "total 1: Body");
                self.batch(batch);
            }
            BbWire::Advance(number) => {
                self.add([4], "total 4: Advance");
                self.u64(*number, "global number");
            }
            BbWire::Numbers(numbers) => {
                if numbers.skipped == 0 {
                    self.add([2], "total 2: Numbers");
                } else {
                    self.add([3], "total 3: Numbers, the last of which name no message");
                    self.u64(numbers.skipped, "count of these");
                }
                self.u64(numbers.first, "first global number");
                self.u16(numbers.ranges.len() as u16, "ranges:");
                for range in &numbers.ranges {
                    self.u16(range.sender.0, "  messages of slot");
                    self.u64(range.first, "    from its message");
                    self.u32(range.count, "    count");
                }
            }
        }
    }

    fn basic(&mut self, packet: &Multicast<Batch>) {
        self.u64(packet.number, "multicast");
        self.batch(&packet.message);
    }

    fn flood(&mut self, packet: &Flooded<Batch>) {
        match packet {
            Flooded::Own(packet) => {
                self.add([1], "flood 1: Own");
                self.basic(packet);
            }
            Flooded::SentOn(origin, packet) => {
                self.add([2], "flood 2: Sent on");
                self.u16(origin.0, "multicast by slot");
                self.basic(packet);
            }
        }
    }

    fn causal(&mut self, stamped: &causal::Stamped) {
        // A client names every client of the view; the vectors' group has three.
        self.u16(3, "clock: entries");
        for slot in 0..3 {
            self.u16(slot, "  of slot");
            self.u64(stamped.clock.get(MemberId(slot)), "    messages before:");
        }
        self.batch(&stamped.batch);
    }

    fn ub(&mut self, message: &UbWire) {
        match message {
            UbWire::Raw(batch) => {
                self.add([1], "ub 1: Raw");
                self.batch(batch);
            }
            UbWire::Sequenced(sequenced) => {
                self.add([2], "ub 2: Sequenced");
                self.sequenced(sequenced);
            }
            UbWire::Skipped(skipped) => {
                self.add([3], "ub 3: Skipped");
                self.skipped(*skipped);
            }
            UbWire::Advance(number) => {
                self.add([4], "ub 4: Advance");
                self.u64(*number, "global number");
            }
        }
    }

    fn uub(&mut self, message: &UubWire) {
        match message {
            UubWire::Request(request) => {
                self.add([1], "uub 1: Request");
                self.u64(request.first, "first message");
                self.u32(request.count, "count");
            }
            UubWire::Grant { first, number } => {
                self.add([2], "uub 2: Grant");
                self.u64(*first, "first message");
                self.u64(*number, "global number");
            }
            UubWire::Numbered(sequenced) => {
                self.add([3], "uub 3: Numbered");
                self.sequenced(sequenced);
            }
            UubWire::Skipped(skipped) => {
                self.add([4], "uub 4: Skipped");
                self.skipped(*skipped);
            }
            UubWire::Advance(number) => {
                self.add([5], "uub 5: Advance");
                self.u64(*number, "global number");
            }
        }
    }

    fn skipped(&mut self, skipped: Skipped) {
        self.u64(skipped.number, "first global number");
        self.u64(skipped.count, "count of numbers that name no message");
    }

    fn sequenced(&mut self, sequenced: &Sequenced) {
        self.u64(sequenced.number, "global number");
        self.u16(sequenced.sender.0, "multicast by slot");
        self.batch(&sequenced.batch);
    }

    fn lamport(&mut self, stamped: &lamport::Stamped) {
        self.u64(stamped.sequence, "utterance");
        self.u64(stamped.time, "time");
        match &stamped.batch {
            None => self.add([0], "no batch: an acknowledgement"),
            Some(batch) => {
                self.add([1], "a batch follows");
                self.batch(batch);
            }
        }
    }

    fn agreed(&mut self, message: &AgreedWire) {
        match message {
            AgreedWire::Body(batch) => {
                self.add([1], "agreed 1: Body");
                self.batch(batch);
            }
            AgreedWire::Proposal { first, number } => {
                self.add([2], "agreed 2: Proposal");
                self.u64(*first, "first message");
                self.u64(*number, "proposed number");
            }
            AgreedWire::Agreed { first, rank } => {
                self.add([3], "agreed 3: Agreed");
                self.u64(*first, "first message");
                self.u64(rank.number, "agreed number");
                self.u16(rank.proposer.0, "proposed by slot");
            }
        }
    }

    fn tally(&mut self, tally: &Tally) {
        self.u64(tally.multicasts, "multicasts:");
        self.u16(tally.sent.len() as u16, "sent: entries");
        for (to, count) in &tally.sent {
            self.u16(to.0, "  to slot");
            self.u64(*count, "    direct messages:");
        }
    }

    /// The fields of an author; returns the text behind them.
    fn author<'t>(&mut self, entry: &'t [u8]) -> &'t [u8] {
        let name = usize::from(entry[0]);
        let (author, text) = entry.split_at(1 + name + 16);
        let (key, number) = author[1 + name..].split_at(8);
        let number_of = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().expect("eight bytes"));
        let fields = [
            (&author[..1], format!("  author: length {name}")),
            (&author[1..=name], format!("  author {:?}", String::from_utf8_lossy(&author[1..=name]))),
            (key, format!("  key {:016x}", number_of(key))),
            (number, format!("  text {} of this key", number_of(number))),
        ];
        self.body.extend(fields.map(|(bytes, what)| Field { bytes: bytes.to_vec(), what }));
        text
    }

    fn batch(&mut self, batch: &Batch) {
        self.u64(batch.first(), "first message");
        self.u32(batch.count(), "count");
        let mut rest = &batch.body()[..];
        while !rest.is_empty() {
            let end = rest.iter().position(|byte| byte & 0x80 == 0).expect("a length ends") + 1;
            let length =
                rest[..end].iter().rev().fold(0, |length, byte| length << 7 | usize::from(byte & 0x7f));
            let (prefix, of_author) = (&rest[..end], length > MAX_TEXT);
            let length = if of_author { length - MAX_TEXT } else { length };
            let mut text = &rest[end..end + length];
            rest = &rest[end + length..];
            let what = if of_author { "MAX_TEXT + length" } else { "length" };
            self.body.push(Field { bytes: prefix.to_vec(), what: format!("{what} {length}") });
            if of_author {
                text = self.author(text);
            }
            for (place, line) in text.chunks(8).enumerate() {
                let what = format!(
                    "{} {:?}",
                    if place == 0 { "text" } else { "    " },
                    String::from_utf8_lossy(line)
                );
                self.body.push(Field { bytes: line.to_vec(), what });
            }
        }
    }
}
