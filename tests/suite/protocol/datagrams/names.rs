//! The name of every byte of a datagram. Written from the document, not from the code: a second opinion on the
//! layout, and the comments of the vectors.

use groupcast::ids::{MemberId, To};
use groupcast::replica::entry::{Content, Entry, EntryId};
use groupcast::replica::epoch::{Ballot, Change, Request};
use groupcast::replica::message::{Line, Message, State, Want, Word};
use groupcast::replica::record::{Confirmed, Forgotten};
use groupcast::wire::Batch;
use groupcast::wire::datagram::Head;
use groupcast::wire::sealed::{Greeting, Seal};

/// A few bytes, and the name of the field.
pub(super) struct Field {
    pub(super) bytes: Vec<u8>,
    what: String,
}

/// The fields of a datagram.
#[derive(Default)]
pub(super) struct Fields(pub(super) Vec<Field>);

/// `47 43 03`.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
}

/// The CRC-32 of IEEE 802.3, bit by bit.
pub(super) fn crc_32(bytes: &[u8]) -> u32 {
    let next = |crc: u32| (crc >> 1) ^ (0xedb8_8320 & 0_u32.wrapping_sub(crc & 1));
    !bytes.iter().fold(u32::MAX, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| next(crc)))
}

/// A number as LEB128.
fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

impl Fields {
    /// The fields of a datagram with this head and these messages, and so many bytes of padding.
    pub(super) fn of(head: Head, messages: &[Message], padding: usize) -> Self {
        let mut inside = Self::default();
        inside.messages(messages, padding);
        let mut fields = Self::default();
        fields.head(3, head);
        let everything_else: Vec<u8> =
            fields.0.iter().chain(&inside.0).flat_map(|field| field.bytes.clone()).collect();
        fields.add(crc_32(&everything_else).to_le_bytes(), "checksum");
        fields.0.append(&mut inside.0);
        fields
    }

    /// The fields of a sealed datagram with these messages, or with a greeting, before its code.
    pub(super) fn sealed(head: Head, seal: Seal, content: &Result<(Vec<Message>, usize), Greeting>) -> Self {
        let mut fields = Self::default();
        fields.head(4, head);
        match seal.to {
            To::Group => fields.add([0xff, 0xff], "to: all"),
            To::Member(member) => fields.member(member, "to:"),
        }
        fields.add(seal.mark.to_le_bytes(), format!("mark {:016x}", seal.mark));
        fields.add(seal.number.to_le_bytes(), format!("number {}", seal.number));
        match content {
            Ok((messages, padding)) => fields.messages(messages, *padding),
            Err(Greeting { question, answer, sent }) => {
                fields.add(question.to_le_bytes(), format!("question {question:016x}"));
                fields.add(answer.to_le_bytes(), format!("answer {answer:016x}"));
                fields.add(sent.to_le_bytes(), format!("sent: up to number {sent}"));
            }
        }
        fields
    }

    /// Adds the code of a sealed datagram.
    pub(super) fn code(&mut self, code: &[u8]) {
        self.add(&code[..8], "code");
        self.add(&code[8..], "  its second half");
    }

    fn head(&mut self, version: u8, head: Head) {
        self.add(*b"GC", "magic \"GC\"");
        self.add([version], format!("version {version}"));
        self.add(&head.cluster.to_le_bytes()[..6], format!("cluster {:012x}", head.cluster));
        self.add(head.epoch.to_le_bytes(), format!("epoch {}", head.epoch));
        self.add(head.sender.0.to_le_bytes(), format!("sender: slot {}", head.sender.0));
    }

    fn messages(&mut self, messages: &[Message], padding: usize) {
        messages.iter().for_each(|message| self.message(message));
        if padding > 0 {
            self.add(vec![0; padding], format!("padding: {padding} octets"));
        }
    }

    /// The comment lines of a vector.
    pub(super) fn text(&self) -> String {
        self.0.iter().map(|field| format!("#   {:<24} {}\n", hex(&field.bytes), field.what)).collect()
    }

    fn add(&mut self, bytes: impl Into<Vec<u8>>, what: impl Into<String>) {
        self.0.push(Field { bytes: bytes.into(), what: what.into() });
    }

    fn number(&mut self, value: u64, what: &str) {
        self.add(varint(value), format!("{what} {value}"));
    }

    fn u16(&mut self, value: u16, what: &str) {
        self.add(value.to_le_bytes(), format!("{what} {value}"));
    }

    fn member(&mut self, member: MemberId, what: &str) {
        self.u16(member.0, &format!("{what} slot"));
    }

    fn numbers(&mut self, list: &[u64], (what, each): (&str, &str), first: MemberId) {
        self.add([list.len() as u8], format!("{what} {}", list.len()));
        for (slot, value) in (first.0..).zip(list) {
            self.number(*value, &format!("  of slot {slot}: {each}"));
        }
    }

    fn message(&mut self, message: &Message) {
        let length = message.bytes().len();
        self.add((length as u16).to_le_bytes(), format!("length {length}"));
        match message {
            Message::Entry(entry) => self.entry(entry),
            Message::Word(word) => self.word(word),
            Message::Want(want) => self.want(want),
            Message::Forgotten(id) => {
                self.add([12], "kind 12: Forgotten");
                self.id(*id, "");
            }
            Message::Piece(piece) => {
                self.add([11], "kind 11: Piece");
                self.id(piece.id, "");
                self.number(piece.start.into(), "octets before it:");
                self.number(piece.whole.into(), "octets of the entry:");
                self.add(&piece.bytes[..], "octets of the entry");
            }
            other => self.change(other),
        }
    }

    /// A message about the members.
    fn change(&mut self, message: &Message) {
        match message {
            Message::Prepare(ballot, request) => {
                self.add([13], "kind 13: Prepare");
                self.ballot(*ballot);
                self.request(request);
            }
            Message::Promise(promise) => {
                self.add([14], "kind 14: Promise");
                self.ballot(promise.ballot);
                self.number(promise.clock, "clock");
                self.numbers(&promise.stored, ("stored: slots", "up to entry"), MemberId(0));
                self.add([u8::from(promise.accepted.is_some())], "accepted before: 1 if a change follows");
                if let Some((ballot, change)) = &promise.accepted {
                    self.ballot(*ballot);
                    self.decision(change);
                }
            }
            Message::Accept(ballot, change) => {
                self.add([15], "kind 15: Accept");
                self.ballot(*ballot);
                self.decision(change);
            }
            Message::Accepted(ballot) => {
                self.add([16], "kind 16: Accepted");
                self.ballot(*ballot);
            }
            Message::Decided(epoch, change) => {
                self.add([17], "kind 17: Decided");
                self.u16(*epoch, "epoch");
                self.decision(change);
            }
            Message::Join(epoch) => {
                self.add([18], "kind 18: Join");
                self.u16(*epoch, "knows epochs up to");
            }
            Message::State(state) => self.state(state),
            Message::Entry(_)
            | Message::Word(_)
            | Message::Want(_)
            | Message::Piece(_)
            | Message::Forgotten(_) => {}
        }
    }

    fn ballot(&mut self, ballot: Ballot) {
        self.add(ballot.round.to_le_bytes(), format!("ballot: round {}", ballot.round));
        self.member(ballot.proposer, "  of");
    }

    fn request(&mut self, request: &Request) {
        match request {
            Request::Add { name, udp } => {
                self.add([1], "request 1: add");
                for text in [name.clone(), udp.to_string()] {
                    self.add([text.len() as u8], format!("length {}", text.len()));
                    self.add(text.as_bytes(), text.clone());
                }
            }
            Request::Remove(slot) => {
                self.add([2], "request 2: remove");
                self.member(*slot, "member of");
            }
        }
    }

    fn decision(&mut self, change: &Change) {
        self.request(&change.request);
        self.number(change.clock, "clock");
        self.numbers(&change.stored, ("stored: slots", "up to entry"), MemberId(0));
    }

    fn state(&mut self, state: &State) {
        self.add([19], "kind 19: State");
        self.u16(state.epoch, "epoch");
        let Confirmed { upto, entries, count, digest } = state.confirmed;
        self.add(upto.time.to_le_bytes(), format!("confirmed up to time {}", upto.time));
        self.member(upto.origin, "  of");
        self.add(entries.to_le_bytes(), format!("  entries: {entries}"));
        self.add(count.to_le_bytes(), format!("  messages: {count}"));
        self.add(digest.to_le_bytes(), format!("  digest {digest:016x}"));
        self.member(state.first, "from");
        self.add([state.origins.len() as u8], format!("slots: {}", state.origins.len()));
        for origin in &state.origins {
            let Forgotten { number, time, digest, multicasts, finished } = *origin;
            self.add(number.to_le_bytes(), format!("  up to entry {number}"));
            self.add(time.to_le_bytes(), format!("  at {time}"));
            self.add(digest.to_le_bytes(), format!("  digest {digest:016x}"));
            self.add(multicasts.to_le_bytes(), format!("  multicasts: {multicasts}"));
            self.add(u64::from(finished).to_le_bytes(), format!("  finished: {}", u8::from(finished)));
        }
    }

    fn id(&mut self, id: EntryId, indent: &str) {
        self.member(id.origin, &format!("{indent}of"));
        self.number(id.number, &format!("{indent}entry number"));
    }

    fn entry(&mut self, entry: &Entry) {
        self.add([8], "kind 8: Entry");
        self.member(entry.id.origin, "of");
        self.number(entry.id.number, "entry number");
        self.number(entry.time, "time");
        self.number(entry.life.into(), "life");
        self.add(entry.previous.to_le_bytes(), format!("previous digest {:016x}", entry.previous));
        self.numbers(&entry.causes, ("causes: members", "up to entry"), MemberId(0));
        match &entry.content {
            Content::Multicast(batch) => {
                self.add([1], "content 1: Multicast");
                self.batch(batch);
            }
            Content::Direct(to, batch) => {
                self.add([2], "content 2: Direct");
                self.member(*to, "to");
                self.batch(batch);
            }
            Content::Finished => self.add([3], "content 3: Finished"),
        }
    }

    fn batch(&mut self, batch: &Batch) {
        self.number(batch.first(), "first message");
        self.number(batch.count().into(), "count");
        for (_, text) in batch.messages() {
            self.number(text.len() as u64, "length");
            self.add(text, format!("text {:?}", String::from_utf8_lossy(text)));
        }
    }

    fn word(&mut self, word: &Word) {
        self.add([9], "kind 9: Word");
        self.number(word.life.into(), "life");
        self.number(word.confirmed, "confirmed entries:");
        self.add(word.digest.to_le_bytes(), format!("digest {:016x}", word.digest));
        self.number(word.room, "room for datagrams:");
        self.add([u8::from(word.settled)], if word.settled { "settled: yes" } else { "settled: no" });
        self.member(word.first, "lists: members from");
        self.numbers(&word.received, ("received: members", "up to entry"), word.first);
        self.add([word.lines.len() as u8], format!("lines: {}", word.lines.len()));
        for Line { member, sent, clock, stored } in &word.lines {
            self.member(*member, "  line of");
            self.number(*sent, "    sent: up to entry");
            self.number(*clock, "    clock");
            self.numbers(stored, ("    stored: members", "    up to entry"), word.first);
        }
    }

    fn want(&mut self, want: &Want) {
        self.add([10], "kind 10: Want");
        self.number(want.room, "room for octets:");
        self.add([want.entries.len() as u8], format!("entries: ranges {}", want.entries.len()));
        for range in &want.entries {
            self.member(range.origin, "  of");
            self.number(range.first, "    from entry");
            self.number(range.last - range.first, "    and the next");
        }
        self.add([want.pieces.len() as u8], format!("pieces: ranges {}", want.pieces.len()));
        for range in &want.pieces {
            self.id(range.id, "  ");
            self.number(range.first.into(), "    from octet");
            self.number((range.last - range.first).into(), "    and the next");
        }
    }
}
