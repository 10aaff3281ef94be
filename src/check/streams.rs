//! Streams: each sender's messages in the order it multicast them, one stream for each of its lives.
//!
//! A message whose multicast is not known, but may have happened after what is known of its sender, is a stream of
//! its own: nothing is known of its place among the sender's others, yet it may be the cause of something.

use std::collections::BTreeMap;

use super::catalogue::Catalogue;

/// The streams of a history.
pub(super) struct Streams {
    /// Of each stream: its messages in the order they were multicast.
    messages: Vec<Vec<u32>>,
    /// Of each message: its stream and its rank in it; nothing if it cannot have been multicast.
    places: Vec<Option<(u32, u32)>>,
}

impl Streams {
    pub(super) fn new(catalogue: &Catalogue<'_>) -> Self {
        let mut streams = Self { messages: Vec::new(), places: vec![None; catalogue.len()] };
        let mut found = BTreeMap::new();
        for member in catalogue.members() {
            for (event, message) in catalogue.multicasts(member) {
                if catalogue.origin(message) == Some(event) {
                    let id = catalogue.id(message);
                    let next = streams.messages.len();
                    let stream = *found.entry((id.member, id.incarnation)).or_insert(next);
                    streams.append(stream, message);
                }
            }
        }
        for message in 0..catalogue.len() {
            let may_exist = catalogue.sender(message).is_some_and(|sender| !sender.is_whole());
            if may_exist && catalogue.origin(message).is_none() {
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

    /// Of each stream: how many of its messages were delivered before this member came, and are none of its business.
    pub(super) fn before(&self, catalogue: &Catalogue<'_>, member: usize) -> Vec<usize> {
        if catalogue.record(member).came_late().is_none() {
            return vec![0; self.len()];
        }
        let owed = |&&message: &&u32| !catalogue.owes(member, message as usize);
        self.messages.iter().map(|stream| stream.iter().take_while(owed).count()).collect()
    }

    /// A message's stream and its rank in it, from 0.
    pub(super) fn place(&self, message: usize) -> Option<(usize, usize)> {
        self.places[message].map(|(stream, rank)| (stream as usize, rank as usize))
    }

    /// The message of this rank.
    pub(super) fn message(&self, stream: usize, rank: usize) -> usize {
        self.messages[stream][rank] as usize
    }
}
