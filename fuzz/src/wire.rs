//! Bytes from the network: packets of every order, and control messages of both sides. A parsed packet is written again
//! unchanged: every packet has one form.

use bytes::Bytes;
use groupcast::member::Message;
use groupcast::order::agreed::AgreedWire;
use groupcast::order::total_bb::BbWire;
use groupcast::order::total_ub::UbWire;
use groupcast::order::total_uub::UubWire;
use groupcast::order::{causal, lamport};
use groupcast::reliable::codec::{decode, encode};
use groupcast::reliable::{Body, Segment};
use groupcast::wire::control::{read_reply, read_request};
use groupcast::wire::packet::bare;
use groupcast::wire::{Batch, Frames, Packet, Wire};

use super::feed::Feed;

/// Runs the target: the input is the kind, then the message. A packet is the length of its header in two bytes, its
/// header, and its body.
pub fn run(input: &[u8]) {
    let mut feed = Feed(input);
    match feed.below(9) {
        0 => packet::<Batch>(&mut feed),
        1 => packet::<causal::Stamped>(&mut feed),
        2 => packet::<BbWire>(&mut feed),
        3 => packet::<UbWire>(&mut feed),
        4 => packet::<UubWire>(&mut feed),
        5 => packet::<lamport::Stamped>(&mut feed),
        6 => packet::<AgreedWire>(&mut feed),
        7 => request(feed.0),
        _ => reply(feed.0),
    }
}

fn packet<M: Wire + PartialEq>(feed: &mut Feed<'_>) {
    let length = usize::from(feed.short());
    let header = Bytes::copy_from_slice(feed.take(length));
    let frames = Frames { header, body: Bytes::copy_from_slice(feed.0) };
    let Ok(packet) = Packet::parse(frames.clone()) else { return };
    let header = packet.header;
    assert_eq!(bare(header).frames.header, frames.header[..16], "a header has one form");
    let Ok(segment) = decode::<Message<M>>((header.run, header.view), packet.clone()) else { return };
    assert!(decode::<Message<M>>((header.run ^ 1, header.view), packet).is_err(), "of another run");
    assert_eq!(segment.to, header.to);
    let written = encode((header.run, header.view), header.sender, &segment).frames;
    if frames.is_outline() {
        // It parses as the packet without texts, and that packet is no outline.
        let but_the_kind = |header: &Bytes| [&header[..3], &header[4..]].concat();
        assert_eq!(but_the_kind(&written.header), but_the_kind(&frames.header), "an outline has one form");
    } else {
        assert_eq!(written, frames, "a packet has one form");
    }
    look_inside(&segment);
}

/// Reads all messages of a packet's batch, as its receiver does.
fn look_inside<M: Wire>(segment: &Segment<Message<M>>) {
    if let Body::Data { message: Message::Direct(batch), .. } = &segment.body {
        let texts: usize = batch.messages().map(|(_, text)| text.len()).sum();
        assert!(texts < batch.body().len());
        assert_eq!(batch.messages().count(), batch.count() as usize);
    }
}

fn request(bytes: &[u8]) {
    if let Ok(request) = read_request(bytes) {
        assert_eq!(read_request(&request.to_bytes()), Ok(request));
    }
}

fn reply(bytes: &[u8]) {
    if let Ok(reply) = read_reply(bytes) {
        assert_eq!(read_reply(&reply.to_bytes()), Ok(reply));
    }
}
