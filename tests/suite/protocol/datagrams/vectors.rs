//! The typed values from which the vectors are written: good datagrams, and datagrams to refuse.
//!
//! The cluster: `s1` has slot 0, `s2` slot 1, `s3` slot 2.

use bytes::Bytes;
use groupcast::ids::MemberId;
use groupcast::replica::entry::{Content, Entry, EntryId, Fields, Stamp};
use groupcast::replica::epoch::{Ballot, Change, Request};
use groupcast::replica::message::{EntryRange, Line, Message, Piece, PieceRange, Promise, State, Want, Word};
use groupcast::replica::record::{Confirmed, Forgotten};
use groupcast::wire::datagram::of_content;
use groupcast::wire::{Batch, BatchBuilder};

use super::{HEAD, names, shown};

const S1: MemberId = MemberId(0);
const S2: MemberId = MemberId(1);
const S3: MemberId = MemberId(2);

/// A good datagram.
pub(super) struct Good {
    pub(super) file: &'static str,
    title: &'static str,
    pub(super) messages: Vec<Message>,
    padding: usize,
}

impl Good {
    /// The fields, by name.
    pub(super) fn fields(&self) -> names::Fields {
        names::Fields::of(HEAD, &self.messages, self.padding)
    }

    /// The bytes.
    pub(super) fn datagram(&self) -> Bytes {
        of_content(HEAD, &content(&self.messages, self.padding))
    }

    /// The file.
    pub(super) fn text(&self) -> String {
        format!("# {}\n#\n{}{}", self.title, self.fields().text(), shown(&self.datagram()))
    }
}

pub(super) fn content(messages: &[Message], padding: usize) -> Vec<u8> {
    let mut content = Vec::new();
    for message in messages.iter().map(Message::bytes) {
        content.extend((message.len() as u16).to_le_bytes());
        content.extend(message);
    }
    content.resize(content.len() + padding, 0);
    content
}

fn batch(first: u64, texts: &[&str]) -> Batch {
    let mut batch = BatchBuilder::new(first);
    for text in texts {
        batch.push(text.as_bytes());
    }
    batch.finish().expect("not empty")
}

fn entry(number: u64, time: u64, content: Content) -> Message {
    let id = EntryId { origin: S1, number };
    let previous = if number == 1 { 0 } else { 0x0123_4567_89ab_cdef };
    Message::Entry(Entry::new(&Fields {
        id,
        time,
        life: 2,
        previous,
        causes: vec![number - 1, 3, 0],
        content,
    }))
}

pub(super) fn multicast() -> Message {
    entry(4, 300, Content::Multicast(batch(7, &["command7", "command8"])))
}

pub(super) fn word() -> Message {
    let line = |member, sent, clock, stored: &[u64]| Line { member, sent, clock, stored: stored.to_vec() };
    Message::Word(Word {
        life: 2,
        confirmed: 12,
        digest: 0xfedc_ba98_7654_3210,
        room: 3640,
        settled: false,
        first: S1,
        received: vec![4, 3, 200],
        lines: vec![line(S1, 4, 300, &[4, 3, 150]), line(S2, 3, 280, &[4, 3, 0])],
    })
}

pub(super) fn want() -> Message {
    Message::Want(Want {
        room: 60_000,
        entries: vec![
            EntryRange { origin: S2, first: 4, last: 6 },
            EntryRange { origin: S3, first: 201, last: 201 },
        ],
        pieces: vec![PieceRange { id: EntryId { origin: S3, number: 202 }, first: 1_100, last: 3_299 }],
    })
}

fn piece() -> Message {
    let id = EntryId { origin: S1, number: 5 };
    Message::Piece(Piece { id, start: 2_200, whole: 2_215, bytes: Bytes::from_static(b"the last octets") })
}

fn ballot() -> Ballot {
    Ballot { round: 1, proposer: S1 }
}

fn added() -> Change {
    let udp = "10.0.0.4:5600".parse().expect("an address");
    Change { request: Request::Add { name: "s4".to_owned(), udp }, clock: 300, stored: vec![4, 3, 200] }
}

fn promise() -> Message {
    Message::Promise(Promise { ballot: ballot(), clock: 290, stored: vec![4, 3, 200], accepted: None })
}

fn promise_accepted() -> Message {
    let removed = Change { request: Request::Remove(S3), clock: 280, stored: vec![4, 3, 150] };
    let ballot = Ballot { round: 2, proposer: S1 };
    let accepted = Some((Ballot { round: 1, proposer: S2 }, removed));
    Message::Promise(Promise { ballot, clock: 290, stored: Vec::new(), accepted })
}

fn state() -> Message {
    let upto = Stamp { time: 250, origin: S2 };
    let confirmed = Confirmed { upto, entries: 5, count: 12, digest: 0xfedc_ba98_7654_3210 };
    let origin = |number, time, multicasts, finished| Forgotten {
        number,
        time,
        digest: 0x0123_4567_89ab_cdef,
        multicasts,
        finished,
    };
    let nobody = Forgotten::default();
    let origins = vec![origin(3, 240, 8, false), origin(2, 250, 4, true), nobody, nobody];
    Message::State(State { epoch: 2, confirmed, first: S1, origins })
}

/// The good datagrams.
pub(super) fn good() -> Vec<Good> {
    let one = |file, title, message| Good { file, title, messages: vec![message], padding: 0 };
    let settled = Message::Word(Word { life: 1, settled: true, ..Word::default() });
    let line = Line { member: S1, sent: 4, clock: 300, stored: vec![3, 150] };
    let some = Word { first: S2, received: vec![3, 200], lines: vec![line], ..Word::default() };
    vec![
        one("entry_multicast.hex", "Entry of s1: its fourth, with its multicasts 7 and 8", multicast()),
        one(
            "entry_first.hex",
            "Entry of s1: its first, with one empty text",
            entry(1, 1, Content::Multicast(batch(1, &[""]))),
        ),
        one(
            "entry_direct.hex",
            "Entry of s1: its fifth, with its first direct message to s3",
            entry(5, 301, Content::Direct(S3, batch(1, &["psst"]))),
        ),
        one("entry_finished.hex", "Entry of s1: it sends nothing more", entry(6, 302, Content::Finished)),
        one("word.hex", "Word of s1: what it has, and what it knows of s2", word()),
        one("word_of_some.hex", "Word of s1 with the numbers for s2 and s3 alone", Message::Word(some)),
        one("word_settled.hex", "Word of a member that knows nothing, and that is settled", settled),
        one(
            "want.hex",
            "Want: entries 4 to 6 of s2, entry 201 of s3, and octets 1100 to 3299 of its entry 202",
            want(),
        ),
        one(
            "forgotten.hex",
            "Forgotten: entry 300 of s2, and all of it before",
            Message::Forgotten(EntryId { origin: S2, number: 300 }),
        ),
        one("piece.hex", "Piece of s1: the last octets of its entry 5", piece()),
        one("prepare.hex", "Prepare of s1: remove s3", Message::Prepare(ballot(), Request::Remove(S3))),
        one("promise.hex", "Promise of s2, which has accepted no change", promise()),
        one(
            "promise_accepted.hex",
            "Promise of s2, which has accepted a change before: remove s3",
            promise_accepted(),
        ),
        one("accept.hex", "Accept of s1: a fourth member, s4", Message::Accept(ballot(), added())),
        one("accepted.hex", "Accepted of s2", Message::Accepted(ballot())),
        one("decided.hex", "Decided: epoch 2 has a fourth member, s4", Message::Decided(2, added())),
        one("join.hex", "Join of s4, which knows the first epoch", Message::Join(1)),
        one("state.hex", "State for s4: the log that all others have forgotten", state()),
        Good {
            file: "several.hex",
            title: "A word and an entry, padded to the length of a datagram that leaves together with it",
            messages: vec![word(), multicast()],
            padding: 9,
        },
        Good {
            file: "padding_1.hex",
            title: "Padding that is too short for a length",
            messages: vec![entry(6, 302, Content::Finished)],
            padding: 1,
        },
    ]
}

/// The layer that refuses.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum RefusedBy {
    /// The datagram is refused.
    Datagram,
    /// A message in a good datagram is refused.
    Message,
}

/// A datagram to refuse.
pub(super) struct Bad {
    pub(super) file: &'static str,
    why: &'static str,
    pub(super) by: RefusedBy,
    datagram: Bytes,
}

impl Bad {
    /// The file.
    pub(super) fn text(&self) -> String {
        let by = match self.by {
            RefusedBy::Datagram => "datagram",
            RefusedBy::Message => "message",
        };
        format!("# Refused: {}\nrefused: {by}\n{}", self.why, shown(&self.datagram))
    }
}

/// The datagrams to refuse.
pub(super) fn bad() -> Vec<Bad> {
    let whole = |(file, why, content): &(&'static str, &'static str, &[u8])| Bad {
        file,
        why,
        by: RefusedBy::Datagram,
        datagram: of_content(HEAD, content),
    };
    let message = |(file, why, message): (&'static str, &'static str, Vec<u8>)| {
        let content = [&(message.len() as u16).to_le_bytes()[..], &message].concat();
        Bad { file, why, by: RefusedBy::Message, datagram: of_content(HEAD, &content) }
    };
    let contents = CONTENTS.iter().map(whole);
    let messages = [bad_entries(), bad_words(), bad_wants(), bad_pieces(), bad_changes()]
        .concat()
        .into_iter()
        .map(message);
    bad_heads().into_iter().chain(contents).chain(messages).collect()
}

/// Datagrams that are changed after they were sealed.
fn bad_heads() -> Vec<Bad> {
    let good = of_content(HEAD, &content(&[word()], 0));
    let changed = |file, why, at: usize, to: u8| {
        let mut datagram = good.to_vec();
        datagram[at] = to;
        Bad { file, why, by: RefusedBy::Datagram, datagram: datagram.into() }
    };
    let cut = |file, why, end| Bad { file, why, by: RefusedBy::Datagram, datagram: good.slice(..end) };
    vec![
        cut("empty.hex", "there is nothing", 0),
        cut("cut_in_head.hex", "it ends in the head", 16),
        cut("cut_behind_head.hex", "it ends behind the head", 17),
        cut("cut_in_message.hex", "it ends in a message", 40),
        changed("magic.hex", "the magic is wrong", 1, b'D'),
        changed("version_2.hex", "it is of version 2", 2, 2),
        changed("version_4.hex", "it is of version 4", 2, 4),
        changed("checksum.hex", "the checksum is wrong", 13, good[13] ^ 1),
        changed("bit_in_head.hex", "a bit of the cluster is changed", 3, good[3] ^ 1),
        changed("bit_in_message.hex", "a bit of the message is changed", 30, good[30] ^ 0x80),
    ]
}

/// Contents that are no messages.
const CONTENTS: [(&str, &str, &[u8]); 7] = [
    ("no_message.hex", "there is no message", b""),
    ("length_0.hex", "the first message is padding", b"\0\0"),
    ("length_cut.hex", "it ends in a length", b"\x01"),
    ("length_beyond.hex", "a message goes on beyond the end", b"\x02\0\x0b"),
    ("trailing.hex", "an octet that is not zero is behind the last message", b"\x01\0\x0b\x01"),
    ("padding_not_zero.hex", "the padding is not zero everywhere", b"\x01\0\x0b\0\0\0\x01"),
    ("message_behind_padding.hex", "a message is behind the padding", b"\x01\0\x0b\0\0\x01\0\x0b"),
];

type BadMessage = (&'static str, &'static str, Vec<u8>);

fn bad_entries() -> Vec<BadMessage> {
    let good = multicast().bytes();
    let direct = entry(5, 301, Content::Direct(S3, batch(1, &["psst"]))).bytes();
    let finished = entry(6, 302, Content::Finished).bytes();
    vec![
        ("kind_7.hex", "there is no kind 7", vec![7, 0]),
        ("kind_20.hex", "there is no kind 20", vec![20, 0]),
        ("forgotten_entry_0.hex", "there is no entry 0", vec![12, 0, 0, 0]),
        ("forgotten_trailing.hex", "something is behind the number", vec![12, 0, 0, 1, 0]),
        ("entry_cut_in_head.hex", "the entry ends in its digest", good[..10].to_vec()),
        ("entry_cut_in_causes.hex", "the entry ends in its causes", good[..17].to_vec()),
        (
            "entry_65_causes.hex",
            "the entry has more causes than a cluster has members",
            with(&good, 15, &[65]),
        ),
        ("entry_padded_number.hex", "the number has a longer form than it needs", with(&good, 3, &[0x84, 0])),
        ("entry_content_0.hex", "there is no content 0", with(&good, 19, &[0])),
        ("entry_content_4.hex", "there is no content 4", with(&good, 19, &[4])),
        ("entry_first_0.hex", "the first message has number 0", with(&good, 20, &[0])),
        ("entry_count_0.hex", "the batch has no message", with(&good, 21, &[0])),
        ("entry_count_too_small.hex", "the batch has more texts than it says", with(&good, 21, &[1])),
        ("entry_count_too_large.hex", "the batch has fewer texts than it says", with(&good, 21, &[3])),
        (
            "entry_without_batch.hex",
            "a direct entry ends behind its receiver",
            direct[..direct.len() - 7].to_vec(),
        ),
        ("entry_trailing.hex", "something is behind a finished entry", with(&finished, finished.len(), &[0])),
    ]
}

fn bad_words() -> Vec<BadMessage> {
    let good = word().bytes();
    vec![
        ("word_cut.hex", "the word ends in its last line", good[..good.len() - 1].to_vec()),
        ("word_trailing.hex", "something is behind the word", with(&good, good.len(), &[0])),
        ("word_settled_2.hex", "settled is neither 0 nor 1", with(&good, 13, &[2])),
        ("word_65_members.hex", "the word names more members than a cluster has", with(&good, 16, &[65])),
        ("word_65_lines.hex", "the word has more lines than a cluster has members", with(&good, 21, &[65])),
    ]
}

fn bad_wants() -> Vec<BadMessage> {
    let good = want().bytes();
    let first_0 = with(&good, 7, &[0]);
    vec![
        ("want_nothing.hex", "the want names nothing", vec![10, 0, 0, 0]),
        ("want_cut.hex", "the want ends in its last range", good[..good.len() - 1].to_vec()),
        ("want_first_0.hex", "a range begins with entry 0", first_0),
        ("want_65_ranges.hex", "the want has too many ranges", with(&good, 4, &[65])),
        ("want_overflows.hex", "a range goes on beyond 64 bits", {
            let most = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
            [&[10, 0, 1, 0, 0][..], &most, &[1, 0]].concat()
        }),
        ("want_octets_of_entry_0.hex", "there is no entry 0", [&good[..17], &[0], &good[19..]].concat()),
        // 1,114,116 octets of a batch and 4,096 of the other fields are the most: the last one is 1,118,211.
        ("want_octet_beyond.hex", "a range goes on beyond the last octet that an entry can have", {
            [&good[..19], &[0, 0x84, 0xa0, 0x44]].concat()
        }),
        ("want_octets_overflow.hex", "a range of octets is longer than 32 bits", {
            [&good[..19], &[1, 0xff, 0xff, 0xff, 0xff, 0x0f]].concat()
        }),
    ]
}

fn bad_pieces() -> Vec<BadMessage> {
    // The octets before it are at 4, the length of the entry at 6, its own octets at 8.
    let good = piece().bytes();
    vec![
        ("piece_whole.hex", "an entry in one piece is sent whole", {
            [&good[..4], &[0, 15], &good[8..]].concat()
        }),
        ("piece_beyond.hex", "the piece goes on beyond the end of the entry", with(&good, 6, &[0xa6])),
        ("piece_too_long.hex", "no entry is so long", {
            [&good[..6], &[0x85, 0xa0, 0x44], &good[8..]].concat()
        }),
        ("piece_padded_start.hex", "a number has a longer form than it needs", with(&good, 4, &[0x81, 0])),
        ("piece_empty.hex", "the piece has no octets", good[..8].to_vec()),
        ("piece_of_entry_0.hex", "there is no entry 0", with(&good, 3, &[0])),
    ]
}

fn bad_changes() -> Vec<BadMessage> {
    // The ballot ends at 7.
    let prepare = Message::Prepare(ballot(), Request::Remove(S3)).bytes();
    let accept = Message::Accept(ballot(), added()).bytes();
    let promise = promise().bytes();
    vec![
        ("prepare_request_3.hex", "there is no request 3", with(&prepare, 7, &[3])),
        ("prepare_trailing.hex", "something is behind the request", with(&prepare, prepare.len(), &[0])),
        ("accept_cut.hex", "the change ends in its last number", accept[..accept.len() - 1].to_vec()),
        ("accept_id.hex", "the id has a space", with(&accept, 9, b" ")),
        ("accept_port.hex", "the address has a zero before its port", with(&accept, 21, b"0")),
        ("promise_of_nothing.hex", "the promise has neither numbers nor a change", {
            [&promise[..9], &[0, 0]].concat()
        }),
        ("promise_of_both.hex", "the promise has numbers and a change", {
            [&promise[..promise.len() - 1], &[1], &accept[1..]].concat()
        }),
    ]
}

/// Returns the bytes with others in the place of those at `at`.
fn with(bytes: &[u8], at: usize, put: &[u8]) -> Vec<u8> {
    let mut changed = bytes.to_vec();
    changed.splice(at..changed.len().min(at + put.len()), put.iter().copied());
    changed
}
