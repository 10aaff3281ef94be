//! The wire format, held to the vectors in `testdata/wire` and to `docs/PROTOCOL.md`.
//!
//! `GROUPCAST_REWRITE=1 cargo test wire` writes the vectors anew from the typed values in [`vectors`], so that a
//! change of the format is reviewed as a diff.

mod bad;
mod document;
mod files;
mod names;
mod open_groups;
mod skipping;
mod vectors;
mod words;

use bytes::Bytes;
use groupcast::engine::MemberId;
use groupcast::member::Message;
use groupcast::member::view_message::ViewMessage;
use groupcast::order::agreed::AgreedWire;
use groupcast::order::total_bb::BbWire;
use groupcast::order::total_ub::UbWire;
use groupcast::order::total_uub::UubWire;
use groupcast::order::{causal, lamport};
use groupcast::reliable::Segment;
use groupcast::reliable::basic::Multicast;
use groupcast::reliable::codec::{decode, encode};
use groupcast::reliable::flood::Flooded;
use groupcast::wire::control::{read_reply, read_request};
use groupcast::wire::packet::bare;
use groupcast::wire::{Batch, Frames, Header, Kind, Malformed, Packet};

use bad::RefusedBy;
use files::{Sample, read_sample};
use names::{Field, Fields};
use vectors::Control;

/// The number of the run that all vectors belong to.
const RUN: u64 = 0x4567_89ab_cdef;
/// The number of the view.
const VIEW: u16 = 1;

/// One variant for each order whose Data packets differ from those of others.
macro_rules! dialects {
    ($($name:ident $message:ty, $title:literal;)*) => {
        /// The kind of message in a group's Data packets, which depends on its order.
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        enum Dialect {
            /// The packet is the same in every order.
            Any,
            $($name,)*
        }

        /// A packet as a program has it.
        #[derive(Clone, Debug, Eq, PartialEq)]
        enum Value {
            Bare(Header),
            /// A message of the membership.
            ViewMessage(Header, Box<ViewMessage>),
            /// A packet whose texts were left out: all are empty.
            Outline(Box<Value>),
            $($name(MemberId, Segment<Message<$message>>),)*
        }

        impl Dialect {
            const ALL: &[Self] = &[Self::Any, $(Self::$name),*];

            /// As the vectors name it.
            const fn name(self) -> &'static str {
                match self {
                    Self::Any => "any",
                    $(Self::$name => $title,)*
                }
            }
        }

        impl Value {
            fn encode(&self) -> Frames {
                match self {
                    Self::Bare(header) => bare(*header).frames,
                    Self::ViewMessage(header, word) => words::encode(header, word),
                    Self::Outline(packet) => words::without_texts(&packet.encode()),
                    $(Self::$name(sender, segment) => encode((RUN, VIEW), *sender, segment).frames,)*
                }
            }

            fn decode_in(dialect: Dialect, run: (u64, u16), frames: &Frames) -> Result<Self, Malformed> {
                match dialect {
                    Dialect::Any => {
                        // In every order alike.
                        for &dialect in &Dialect::ALL[1..] {
                            Self::decode_in(dialect, run, frames)?;
                        }
                        Self::decode_in(Dialect::Total, run, frames)
                    }
                    $(Dialect::$name => {
                        let packet = Packet::parse(frames.clone())?;
                        let sender = packet.header.sender;
                        decode(run, packet).map(|segment| Self::$name(sender, segment))
                    })*
                }
            }
        }
    };
}

dialects! {
    Fifo Batch, "fifo or unordered";
    Basic Multicast<Batch>, "fifo or unordered (basic)";
    Flood Flooded<Batch>, "fifo or unordered (flood)";
    Causal causal::Stamped, "causal";
    Total BbWire, "total (bb)";
    Ub UbWire, "total (ub)";
    Uub UubWire, "total (uub)";
    Lamport lamport::Stamped, "lamport";
    Agreed AgreedWire, "agreed";
}

impl Value {
    fn decode(dialect: Dialect, frames: &Frames) -> Result<Self, Malformed> {
        let header = Header::peek(&frames.header)?;
        if matches!(header.kind, Kind::Probe | Kind::Undeliverable) {
            return Ok(Self::Bare(header));
        }
        if header.kind == Kind::Membership {
            return words::decode(frames);
        }
        let packet = Self::decode_in(dialect, (RUN, VIEW), frames)?;
        Ok(if header.kind == Kind::Outline { Self::Outline(Box::new(packet)) } else { packet })
    }

    /// Returns whether any body is as good as any other: of a relayed packet only its receiver looks at it.
    fn carries_any_body(&self) -> bool {
        matches!(self, Self::ViewMessage(_, word) if matches!(**word, ViewMessage::Relay(_)))
    }
}

/// Every good packet.
fn all_packets() -> Vec<vectors::Vector> {
    [vectors::packets(), words::packets()].concat()
}

#[test]
fn wire_every_vector_decodes_and_encodes_back() {
    let vectors = all_packets();
    for vector in &vectors {
        let sample = read_sample(vector.file);
        let value = Value::decode(vector.dialect, &sample.frames()).expect(vector.file);
        assert_eq!(value, vector.value, "{}", vector.file);
        assert_eq!(value.encode(), sample.frames(), "{}", vector.file);
        let (fields, joined) = (Fields::of(&value), |fields: &[Field]| {
            fields.iter().flat_map(|field| field.bytes.clone()).collect::<Vec<_>>()
        });
        assert_eq!(joined(&fields.header), sample.header, "{}: named otherwise", vector.file);
        assert_eq!(joined(&fields.body), sample.body, "{}: named otherwise", vector.file);
    }
    for (file, control) in vectors::controls() {
        let text = files::read(file);
        let bytes = text.trim_end().as_bytes();
        match control {
            Control::Request(request) => {
                assert_eq!(read_request(bytes).as_ref(), Ok(&*request), "{file}");
                assert_eq!(request.to_bytes(), bytes, "{file}");
            }
            Control::Reply(reply) => {
                assert_eq!(read_reply(bytes), Ok(reply.clone()), "{file}");
                assert_eq!(reply.to_bytes(), bytes, "{file}");
            }
        }
    }
}

#[test]
fn wire_outline_has_everything_but_the_texts() {
    let mut outlines = 0;
    for vector in vectors::packets() {
        let frames = vector.value.encode();
        let Some(outline) = Packet::parse(frames.clone()).unwrap().outline() else { continue };
        outlines += 1;
        let read = |frames: &Frames| Value::decode(vector.dialect, frames);
        // As many empty texts: no other number of them is right.
        let without_texts = |count| Frames { body: vec![0; count].into(), ..frames.clone() };
        let expected = (1..100).find_map(|count| read(&without_texts(count)).ok());
        let expected = expected.map(|packet| Value::Outline(Box::new(packet)));
        assert_eq!(read(&outline).ok(), expected, "{}", vector.file);
        assert_ne!(read(&outline), Ok(vector.value.clone()), "{}", vector.file);
        let with_texts = Frames { body: frames.body.clone(), ..outline };
        assert_eq!(read(&with_texts), Err(Malformed), "{}", vector.file);
    }
    assert!(outlines >= 5, "{outlines}");
}

#[test]
fn wire_vector_files_are_those_of_the_table() {
    let expected = files::expected();
    assert!(expected.len() > 60, "only {} vectors", expected.len());
    assert_eq!(
        files::names(),
        expected.keys().cloned().collect::<Vec<_>>(),
        "GROUPCAST_REWRITE=1 rewrites them"
    );
    for (name, text) in expected {
        assert_eq!(files::read(&name), text, "{name}: GROUPCAST_REWRITE=1 rewrites it");
    }
}

#[test]
fn wire_every_bad_vector_is_refused() {
    for vector in bad::packets() {
        let sample = read_sample(vector.file);
        let frames = sample.frames();
        assert_eq!(Value::decode(vector.dialect, &frames), Err(Malformed), "{}", vector.file);
        assert_eq!(
            Header::peek(&frames.header).is_err(),
            vector.by == RefusedBy::Forwarder,
            "the forwarder looks at the first sixteen bytes alone: {}",
            vector.file
        );
    }
    for vector in bad::controls() {
        let text = files::read(vector.file);
        let bytes = text.trim_end().as_bytes();
        assert_eq!(read_request(bytes), Err(vector.version), "{}", vector.file);
        assert_eq!(read_reply(bytes), Err(vector.version), "{}", vector.file);
    }
}

#[test]
fn wire_packets_of_another_run_or_view_are_refused() {
    for vector in all_packets() {
        for place in [(RUN + 1, VIEW), (RUN, VIEW + 1)] {
            let refused = Value::decode_in(vector.dialect, place, &vector.value.encode());
            assert_eq!(refused, Err(Malformed), "{}", vector.file);
        }
    }
}

#[test]
fn wire_every_truncation_is_refused() {
    for vector in all_packets() {
        let Frames { header, body } = vector.value.encode();
        let header_end = if matches!(vector.value, Value::Bare(_)) { 16 } else { header.len() };
        for end in 0..header_end {
            let cut = Frames { header: header.slice(..end), body: body.clone() };
            assert_eq!(Value::decode(vector.dialect, &cut), Err(Malformed), "{}: {end} bytes", vector.file);
        }
        let body_end = if vector.value.carries_any_body() { 0 } else { body.len() };
        for end in 0..body_end {
            let cut = Frames { header: header.clone(), body: body.slice(..end) };
            assert_eq!(Value::decode(vector.dialect, &cut), Err(Malformed), "{}: {end} bytes", vector.file);
        }
    }
    for (file, control) in vectors::controls() {
        let bytes = control.to_bytes();
        for end in 0..bytes.len() {
            assert_eq!(read_request(&bytes[..end]), Err(None), "{file}: {end} bytes");
            assert_eq!(read_reply(&bytes[..end]), Err(None), "{file}: {end} bytes");
        }
    }
}

#[test]
fn wire_changed_byte_is_refused_or_decodes_without_panic() {
    for vector in all_packets() {
        let Frames { header, body } = vector.value.encode();
        for change in 1..=u8::MAX {
            for at in 0..header.len() {
                let header = flip(&header, at, change);
                check_changed(vector.dialect, &Frames { header, body: body.clone() }, vector.file);
            }
            for at in 0..body.len() {
                let body = flip(&body, at, change);
                check_changed(vector.dialect, &Frames { header: header.clone(), body }, vector.file);
            }
        }
    }
    for (_, control) in vectors::controls() {
        let bytes = control.to_bytes();
        for at in 0..bytes.len() {
            for with in *b"\0 \"\\{}[],:019-e\x7f\xff" {
                let mut changed = bytes.clone();
                changed[at] = with;
                if let Ok(request) = read_request(&changed) {
                    assert_eq!(read_request(&request.to_bytes()), Ok(request));
                }
                if let Ok(reply) = read_reply(&changed) {
                    assert_eq!(read_reply(&reply.to_bytes()), Ok(reply));
                }
            }
        }
    }
}

fn flip(bytes: &Bytes, at: usize, change: u8) -> Bytes {
    let mut changed = bytes.to_vec();
    changed[at] ^= change;
    changed.into()
}

/// Bytes that decode have one encoding: the bytes that were read.
fn check_changed(dialect: Dialect, frames: &Frames, file: &str) {
    match Value::decode(dialect, frames) {
        Ok(Value::Bare(header)) => assert_eq!(Header::peek(&bare(header).frames.header), Ok(header)),
        // A word tells its run and view; whether they are right, its receiver knows.
        Ok(value @ Value::ViewMessage(..)) => assert_eq!(value.encode(), *frames, "{file}"),
        Ok(value) if frames.header[8..16] == (RUN | u64::from(VIEW) << 48).to_le_bytes() => {
            assert_eq!(value.encode(), *frames, "{file}");
        }
        Ok(_) => panic!("{file}: of another run or view"),
        Err(Malformed) => {}
    }
}

#[test]
fn wire_sample_decodes_as_it_was_encoded() {
    for vector in all_packets() {
        let text = vector.text();
        assert_eq!(Sample::parse(&text).frames(), vector.value.encode(), "{text}");
    }
}
