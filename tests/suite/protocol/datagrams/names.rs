//! The name of every byte of a datagram. Written from the document, not from the code: a second opinion on the
//! layout, and the comments of the vectors.

use groupcast::ids::MemberId;
use groupcast::replica::entry::{Content, Entry, EntryId};
use groupcast::replica::message::{Line, Message, Want, Word};
use groupcast::wire::Batch;
use groupcast::wire::datagram::Head;

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
        messages.iter().for_each(|message| inside.message(message));
        if padding > 0 {
            inside.add(vec![0; padding], format!("padding: {padding} octets"));
        }
        let mut fields = Self::default();
        fields.add(*b"GC", "magic \"GC\"");
        fields.add([3], "version 3");
        fields.add(&head.cluster.to_le_bytes()[..6], format!("cluster {:012x}", head.cluster));
        fields.add(head.epoch.to_le_bytes(), format!("epoch {}", head.epoch));
        fields.add(head.sender.0.to_le_bytes(), format!("sender: slot {}", head.sender.0));
        let everything_else: Vec<u8> =
            fields.0.iter().chain(&inside.0).flat_map(|field| field.bytes.clone()).collect();
        fields.add(crc_32(&everything_else).to_le_bytes(), "checksum");
        fields.0.append(&mut inside.0);
        fields
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
