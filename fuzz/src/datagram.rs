//! Datagrams from the network, open and sealed, and the messages in them. A message that is parsed is written again
//! unchanged; packed messages come out as they went in; nothing opens that was not sealed with the key.

use bytes::Bytes;
use groupcast::ids::{MemberId, To};
use groupcast::replica::message::Message;
use groupcast::wire::datagram::{
    HEAD_LEN, Head, MOST_TOGETHER, Messages, Packer, of_content, room_of, unpack,
};
use groupcast::wire::sealed::{self, Greeting, Key, Seal};

use super::feed::Feed;

const KEY: Key = Key([7; 32]);
const HEAD: Head = Head { cluster: 0x4567_89ab_cdef, epoch: 1, sender: MemberId(1) };

/// Runs the target: the input is the kind, then a datagram, its content, or lengths of messages to pack.
/// Kinds from 3 on are of a cluster with a key.
pub fn run(input: &[u8]) {
    let mut feed = Feed(input);
    match feed.below(5) {
        0 => read(&Bytes::copy_from_slice(feed.0)),
        1 => read(&of_content(HEAD, feed.0)),
        2 => pack(&mut feed),
        3 => assert_eq!(sealed::open(&KEY, feed.0), None, "somebody has made a code without the key"),
        _ => seal(&mut feed),
    }
}

/// Seals any content, opens it, and changes it.
fn seal(feed: &mut Feed<'_>) {
    let to = if feed.below(2) == 0 { To::Group } else { To::Member(MemberId(feed.byte().into())) };
    let seal = Seal { to, mark: feed.short().into(), number: feed.byte().into() };
    let (at, bit, content) = (usize::from(feed.short()), feed.below(8), feed.0);
    let mut datagram = Vec::new();
    sealed::close(&KEY, HEAD, seal, content, &mut datagram);
    assert_eq!(datagram.len(), of_content(HEAD, content).len() + sealed::EXTRA);
    assert_eq!(sealed::open(&KEY, &datagram), Some((HEAD, seal, content)));
    let of_open = unpack(of_content(HEAD, content)).map(|(_, messages)| messages.collect::<Vec<_>>());
    let of_sealed = Messages::parse(Bytes::copy_from_slice(content)).map(Iterator::collect);
    assert_eq!(of_open, of_sealed, "the content means the same");
    if let Some(greeting) = Greeting::parse(content) {
        assert_eq!(greeting.bytes(), content);
    }
    let length = datagram.len();
    datagram[at % length] ^= 1 << bit;
    assert_eq!(sealed::open(&KEY, &datagram), None);
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
    assert_eq!(of_content(head, &content), *datagram, "a datagram is its messages and padding");
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
