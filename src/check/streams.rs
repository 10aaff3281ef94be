//! Streams: each sender's messages in multicast order, one stream for each incarnation.
//!
//! A message without a known multicast, from a sender with an incomplete record, is a stream of its own: its
//! position among the sender's messages is unknown, but it may be a cause of others.

use std::collections::BTreeMap;

use super::message_index::MessageIndex;

/// The streams of a history.
pub(super) struct Streams {
    /// For each stream: its messages in multicast order.
    messages: Vec<Vec<u32>>,
    /// For each message: its stream and its rank, or `None` if it cannot have been multicast.
    places: Vec<Option<(u32, u32)>>,
}

impl Streams {
    pub(super) fn new(index: &MessageIndex<'_>) -> Self {
        let mut streams = Self { messages: Vec::new(), places: vec![None; index.len()] };
        let mut found = BTreeMap::new();
        for member in index.members() {
            for (event, message) in index.multicasts(member) {
                if index.origin(message) == Some(event) {
                    let id = index.id(message);
                    let next = streams.messages.len();
                    let stream = *found.entry((id.member, id.incarnation)).or_insert(next);
                    streams.append(stream, message);
                }
            }
        }
        for message in 0..index.len() {
            let may_exist = index.sender(message).is_some_and(|sender| !sender.is_whole());
            if may_exist && index.origin(message).is_none() {
                streams.append(streams.messages.len(), message);
            }
        }
        streams
    }

    fn append(&mut self, stream: usize, message: usize) {
        if stream == self.messages.len() {
            self.messages.push(Vec::new());
        }
        self.places[message] = Some((stream as u32, self.messages[stream].len() as u32));
        self.messages[stream].push(message as u32);
    }

    pub(super) fn len(&self) -> usize {
        self.messages.len()
    }

    /// Returns, for each stream, the number of messages delivered before this newcomer joined.
    pub(super) fn before(&self, index: &MessageIndex<'_>, member: usize) -> Vec<usize> {
        if index.record(member).came_late().is_none() {
            return vec![0; self.len()];
        }
        let owed = |&&message: &&u32| !index.owes(member, message as usize);
        self.messages.iter().map(|stream| stream.iter().take_while(owed).count()).collect()
    }

    /// Returns a message's stream and its rank, from 0.
    pub(super) fn place(&self, message: usize) -> Option<(usize, usize)> {
        self.places[message].map(|(stream, rank)| (stream as usize, rank as usize))
    }

    /// Returns the message of this rank.
    pub(super) fn message(&self, stream: usize, rank: usize) -> usize {
        self.messages[stream][rank] as usize
    }
}
