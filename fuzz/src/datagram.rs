//! Datagrams from the network, and the messages in them. A message that is parsed is written again unchanged; packed
//! messages come out as they went in.

use bytes::Bytes;
use groupcast::ids::MemberId;
use groupcast::replica::message::Message;
use groupcast::wire::datagram::{HEAD_LEN, Head, MOST_TOGETHER, Packer, room_of, seal, unpack};

use super::feed::Feed;

const HEAD: Head = Head { cluster: 0x4567_89ab_cdef, epoch: 1, sender: MemberId(1) };

/// Runs the target: the input is the kind, then a datagram, its content, or lengths of messages to pack.
pub fn run(input: &[u8]) {
    let mut feed = Feed(input);
    match feed.below(3) {
        0 => read(&Bytes::copy_from_slice(feed.0)),
        1 => read(&seal(HEAD, feed.0)),
        _ => pack(&mut feed),
    }
}

fn read(datagram: &Bytes) {
    let Ok((head, messages)) = unpack(datagram.clone()) else { return };
    let mut content = Vec::new();
    for message in messages {
        assert!(!message.is_empty());
        content.extend((message.len() as u16).to_le_bytes());
        content.extend_from_slice(&message);
        if let Ok(parsed) = Message::parse(message.clone()) {
            assert_eq!(parsed.bytes(), message, "a message has one form");
        }
    }
    assert!(!content.is_empty(), "a datagram has a message");
    content.resize(datagram.len() - HEAD_LEN, 0);
    assert_eq!(seal(head, &content), *datagram, "a datagram is its messages and padding");
}

fn pack(feed: &mut Feed<'_>) {
    let size = usize::from(feed.short()) % 9000;
    let mut packer = Packer::new(HEAD, size);
    let mut packed = Vec::new();
    while !feed.is_empty() && packed.len() < 200 {
        let message = vec![feed.byte(); usize::from(feed.short()) % 9000];
        let fits = (1..=room_of(size)).contains(&message.len());
        assert_eq!(packer.push(&message), fits);
        packed.extend(fits.then_some(message));
    }
    let datagrams = packer.take();
    assert!(datagrams.iter().all(|datagram| datagram.len() <= size));
    assert!(datagrams.len() <= packed.len());
    let unpacked = datagrams.iter().flat_map(|datagram| unpack(datagram.clone()).expect("good").1);
    assert_eq!(unpacked.collect::<Vec<_>>(), packed);
    // No longer run has one length, or a shorter last datagram, than the system takes.
    let messages: usize = packed.iter().map(|message| message.len() + 2).sum();
    let padding = datagrams.iter().map(|datagram| datagram.len() - HEAD_LEN).sum::<usize>() - messages;
    let most =
        if datagrams.len() < 2 { 0 } else { datagrams.iter().map(|datagram| datagram.len() / 8 + 1).sum() };
    assert!(padding <= most, "{padding} of padding in runs of up to {MOST_TOGETHER}");
}
